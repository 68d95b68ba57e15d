//! How much each caller may do of something within a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::BootTime;
use crate::token::TokenId;

/// How many at once; as many again come back within a minute, one after the other.
const MOST: u32 = 1_000;

/// What one costs, a thousandth of a minute: the time after which it has come back.
const COST: Duration = Duration::from_millis(60);

/// The most callers that are remembered. Who has its whole allowance is forgotten; while so many have not, nobody else is
/// let in.
const CALLERS: usize = 4_096;

/// The allowances of all callers, those that are not whole: each by the moment at which it will be.
#[derive(Debug, Default)]
pub(super) struct Allowances(Mutex<HashMap<TokenId, BootTime>>);

impl Allowances {
    /// Takes so many out of a caller's allowance.
    ///
    /// # Errors
    /// How long to wait until there are enough; nothing is taken.
    pub(super) fn take(&self, caller: TokenId, count: u32, now: BootTime) -> Result<(), Duration> {
        let whole = COST.saturating_mul(MOST);
        let mut callers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= CALLERS {
            callers.retain(|_, until| *until > now);
        }
        let until = callers.get(&caller).copied();
        if until.is_none() && callers.len() >= CALLERS {
            return Err(COST.saturating_mul(count));
        }
        let taken = until.unwrap_or(now).max(now).after(COST.saturating_mul(count));
        if let Some(over) = taken.since(now).checked_sub(whole).filter(|over| !over.is_zero()) {
            return Err(over);
        }
        callers.insert(caller, taken);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_a_thousand_at_once_and_then_a_thousand_a_minute() {
        let (allowances, caller, now) = (Allowances::default(), TokenId::generate(), BootTime::ZERO);
        for _ in 0..10 {
            allowances.take(caller, 100, now).unwrap();
        }
        assert_eq!(allowances.take(caller, 1, now), Err(COST));
        assert_eq!(allowances.take(caller, 100, now), Err(Duration::from_secs(6)));
        allowances.take(TokenId::generate(), 100, now).unwrap();
        let later = now.after(Duration::from_secs(6));
        allowances.take(caller, 100, later).unwrap();
        assert_eq!(allowances.take(caller, 1, later), Err(COST));
        let later = later.after(Duration::from_mins(5));
        for _ in 0..10 {
            allowances.take(caller, 100, later).unwrap();
        }
        assert!(allowances.take(caller, 1, later).is_err(), "more does not gather");
    }

    #[test]
    fn however_many_callers_come_few_are_remembered() {
        let (allowances, now) = (Allowances::default(), BootTime::ZERO);
        for _ in 0..CALLERS {
            allowances.take(TokenId::generate(), 1, now).unwrap();
        }
        assert!(allowances.take(TokenId::generate(), 1, now).is_err());
        allowances.take(TokenId::generate(), 1, now.after(COST)).unwrap();
        assert_eq!(allowances.0.lock().unwrap().len(), 1);
    }
}
