//! What is left when every fault is over; and that a history is kept as it was.

use std::time::Duration;

use super::tale::{HERE, life, told};
use crate::check::Promise;
use crate::history::{Aftermath, History};

#[test]
fn an_aftermath_without_peace() {
    let aftermath = |took, idle_in_transaction| {
        let converged = vec![(HERE, took)];
        let mut tale = life();
        tale.0.aftermath = Aftermath { converged, idle_in_transaction, ..Default::default() };
        tale
    };
    aftermath(Some(Duration::from_secs(2)), 0).keeps_everything();
    aftermath(Some(Duration::from_secs(4)), 0).breaks(Promise::Converges);
    let mut busy = aftermath(Some(Duration::from_secs(4)), 0);
    busy.0.aftermath.stalled = Duration::from_secs(1);
    busy.keeps_everything();
    aftermath(None, 0).breaks(Promise::Converges);
    aftermath(Some(Duration::from_secs(2)), 1).breaks(Promise::NoneIdle);
    let mut tale = life();
    tale.0.aftermath.misdeeds.push((HERE, "it ended by itself".to_owned()));
    tale.breaks(Promise::Stands);
}

#[test]
fn a_history_is_kept_and_read_again_unchanged() {
    let history = life().stream(None, None, told()).0;
    let kept = serde_json::to_string(&history).unwrap();
    let read: History = serde_json::from_str(&kept).unwrap();
    assert_eq!(format!("{history:?}"), format!("{read:?}"));
}
