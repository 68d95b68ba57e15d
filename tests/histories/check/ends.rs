//! When a token may have ended, or been held back: the earliest moments, and between which.

use super::state::Effect;
use super::tokens::{Row, Token};
use crate::moment::Moment;

impl<'h> Token<'h> {
    /// The earliest moment at which a secret of a generation may have ended, for good: by the token's end, by another
    /// secret, or by the end of its overlap with that.
    pub(super) fn earliest_end(&self, generation: i32) -> Moment {
        let end = |row: &Row<'_>| match row.effect {
            Effect::Revoked | Effect::Deleted => Some(row.earliest),
            Effect::Replaced { overlap_end: Some(end) } if row.logged.generation == generation + 1 => {
                Some(row.earliest.max(end))
            }
            Effect::Replaced { .. } | Effect::OverlapEnded if row.logged.generation > generation => {
                Some(row.earliest)
            }
            _ => None,
        };
        self.rows.iter().filter_map(end).min().unwrap_or(Moment::NEVER)
    }

    /// The earliest moment at which a secret of a generation may have been invalidated.
    pub(super) fn earliest_invalidation(&self, generation: i32) -> Moment {
        let issued = self
            .rows
            .iter()
            .find(|row| matches!(row.effect, Effect::Replaced { .. }) && row.logged.generation == generation);
        let issued = issued.map_or(0, |row| row.logged.revision);
        self.earliest(|row| matches!(row.effect, Effect::Invalidated { .. }) && row.logged.revision > issued)
    }

    fn earliest(&self, which: impl Fn(&Row<'_>) -> bool) -> Moment {
        let rows = self.rows.iter().filter(|row| which(row));
        rows.map(|row| row.earliest).min().unwrap_or(Moment::NEVER)
    }

    /// Whether its principal may have been disabled at some moment between two.
    pub(super) fn may_be_disabled(&self, from: Moment, to: Moment) -> bool {
        self.may_be(from, to, |effect| match effect {
            Effect::Held(held) | Effect::HandedOver(_, held) => Some(held.disabled),
            _ => None,
        })
    }

    /// Whether it may have been suspended at some moment between two.
    pub(super) fn may_be_suspended(&self, from: Moment, to: Moment) -> bool {
        self.may_be(from, to, |effect| match effect {
            Effect::Suspended(suspended) => Some(suspended),
            _ => None,
        })
    }

    /// Whether something may have been so at some moment between two that rows say is so, or is not.
    fn may_be(&self, from: Moment, to: Moment, says: impl Fn(Effect<'h>) -> Option<bool>) -> bool {
        let said = self.rows.iter().filter_map(|row| says(row.effect).map(|so| (row, so)));
        let said: Vec<(&Row<'_>, bool)> = said.collect();
        said.iter().enumerate().any(|(number, (row, so))| {
            let end = said[number..].iter().find(|(_, so)| !so);
            *so && row.earliest < to && end.is_none_or(|(end, _)| end.latest >= from)
        })
    }
}
