//! Blocking work on so many threads at once and no more, first come, first served.
//!
//! A worker stays as long as there is work, so that under load none is called and sent away for each piece, and what it needs
//! for one piece serves the next.

use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a worker does once, with what it has at hand.
type Work<Tools> = Box<dyn FnOnce(&mut Tools) + Send>;

/// The workers and what waits for them. Cheap to clone.
pub(super) struct Pool<Tools>(Arc<Shared<Tools>>);

struct Shared<Tools> {
    width: usize,
    state: Mutex<State<Tools>>,
}

struct State<Tools> {
    at_work: usize,
    waiting: VecDeque<Arc<Place<Tools>>>,
}

/// The work of one caller, until it is begun or called off.
struct Place<Tools>(Mutex<Option<Work<Tools>>>);

/// A place in the queue.
pub(super) struct Turn<Tools>(Arc<Place<Tools>>);

impl<Tools> Turn<Tools> {
    /// Calls the work off; gives whether it had not begun.
    pub(super) fn call_off(&self) -> bool {
        self.0.take().is_some()
    }
}

impl<Tools> Place<Tools> {
    fn take(&self) -> Option<Work<Tools>> {
        lock(&self.0).take()
    }
}

impl<Tools: Default + 'static> Pool<Tools> {
    pub(super) fn new(width: usize) -> Self {
        let state = Mutex::new(State { at_work: 0, waiting: VecDeque::new() });
        Self(Arc::new(Shared { width, state }))
    }

    /// Has the work done when it is its turn, whether or not anybody still waits for it then. To be called on a runtime.
    pub(super) fn hand_in(&self, work: impl FnOnce(&mut Tools) + Send + 'static) -> Turn<Tools> {
        let place = Arc::new(Place(Mutex::new(Some(Box::new(work)))));
        if self.0.admit(Arc::clone(&place)) {
            let shared = Arc::clone(&self.0);
            tokio::task::spawn_blocking(move || shared.work());
        }
        Turn(place)
    }
}

impl<Tools: Default> Shared<Tools> {
    /// Lets work wait; gives whether another worker must be called for it.
    fn admit(&self, place: Arc<Place<Tools>>) -> bool {
        let mut state = lock(&self.state);
        state.waiting.push_back(place);
        let called = state.at_work < self.width;
        state.at_work += usize::from(called);
        called
    }

    fn work(&self) {
        let mut tools = Tools::default();
        while let Some(place) = self.next() {
            let Some(work) = place.take() else { continue };
            // Whoever waits learns of a panic by what is dropped in it; the log tells where it was.
            if panic::catch_unwind(AssertUnwindSafe(|| work(&mut tools))).is_err() {
                tools = Tools::default();
            }
        }
    }

    /// The next place, or the worker is none any more: under one lock, so that nobody waits for a worker who is gone.
    fn next(&self) -> Option<Arc<Place<Tools>>> {
        let mut state = lock(&self.state);
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.at_work -= 1;
        }
        next
    }
}

impl<Tools> Clone for Pool<Tools> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// No code of ours panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A pool of one worker who is at work until what is returned is dropped.
    fn busy() -> (Pool<u32>, mpsc::Sender<()>) {
        let pool = Pool::new(1);
        let (begun, has_begun) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        pool.hand_in(move |_| {
            begun.send(()).unwrap();
            assert!(ended.recv().is_err());
        });
        has_begun.recv().unwrap();
        (pool, end)
    }

    #[tokio::test]
    async fn work_waits_while_all_are_at_work_and_can_be_called_off_until_it_begins() {
        let (pool, end) = busy();
        let (sender, answers) = mpsc::channel();
        let hand_in = |answer: u32| {
            let sender = sender.clone();
            pool.hand_in(move |_: &mut u32| sender.send(answer).unwrap())
        };
        let (_first, second, third) = (hand_in(1), hand_in(2), hand_in(3));
        assert!(second.call_off() && !second.call_off());
        assert!(answers.try_recv().is_err());
        drop(end);
        assert_eq!((answers.recv(), answers.recv()), (Ok(1), Ok(3)));
        assert!(!third.call_off());
    }

    #[tokio::test]
    async fn a_panic_ends_nobody_elses_work_and_leaves_no_tools_behind() {
        let (pool, end) = busy();
        let (sender, tools_of_next) = mpsc::channel();
        pool.hand_in(|tools| {
            *tools = 7;
            panic!("on purpose");
        });
        pool.hand_in(move |tools| sender.send(*tools).unwrap());
        drop(end);
        assert_eq!(tools_of_next.recv(), Ok(0));
    }

    #[tokio::test]
    async fn tools_serve_as_long_as_there_is_work() {
        let (pool, end) = busy();
        let (sender, counts) = mpsc::channel();
        for _ in 0..3 {
            let sender = sender.clone();
            pool.hand_in(move |tools| {
                *tools += 1;
                sender.send(*tools).unwrap();
            });
        }
        drop(end);
        assert_eq!((counts.recv(), counts.recv(), counts.recv()), (Ok(1), Ok(2), Ok(3)));
    }
}
