//! The tokens that the callers know of, all of them together: so that they meet at the same ones.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::request::Answered;
use super::whole::{Kind, Presented};
use crate::calls;
use crate::chance::Chance;
use crate::history::{Answer, Freshness};

/// How many of the newest are picked most often.
const NEWEST: usize = 24;

/// How many are presented at once.
const BATCH: usize = 128;

#[derive(Default)]
pub struct Tokens(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Those that nobody was told the revocation of.
    live: Vec<String>,
    /// The newest secret of each that anybody was told, and its generation.
    secrets: BTreeMap<String, (i32, String)>,
}

impl Tokens {
    /// A token that may be alive, if there is one.
    pub fn pick(&self, chance: &mut Chance) -> Option<String> {
        let known = self.0.lock().unwrap();
        if known.live.is_empty() {
            return None;
        }
        let span = if chance.percent(60) { known.live.len().min(NEWEST) } else { known.live.len() };
        Some(known.live[known.live.len() - 1 - chance.below(span)].clone())
    }

    /// Takes in what a caller was told.
    pub fn note(&self, kind: Kind, made: Answered) {
        let mut known = self.0.lock().unwrap();
        match kind {
            Kind::Create => known.live.push(made.token.clone()),
            Kind::Revoke => known.live.retain(|token| *token != made.token),
            Kind::Update | Kind::Regenerate => {}
        }
        if let Some(secret) = made.secret
            && known.secrets.get(&made.token).is_none_or(|(generation, _)| *generation < made.generation)
        {
            known.secrets.insert(made.token, (made.generation, secret));
        }
    }

    /// Presents every secret to a server that is to know the last change.
    pub async fn present(&self, client: &mut calls::Tokens) -> Vec<Presented> {
        let secrets = std::mem::take(&mut self.0.lock().unwrap().secrets);
        let secrets: Vec<(String, (i32, String))> = secrets.into_iter().collect();
        let mut presented = Vec::new();
        for batch in secrets.chunks(BATCH) {
            let asked: Vec<String> = batch.iter().map(|(_, (_, secret))| secret.clone()).collect();
            let answers = calls::introspect_batch(client, &asked, Freshness::Strong).await;
            for ((token, (generation, _)), answer) in batch.iter().zip(answers) {
                let active = match answer {
                    Answer::Active { .. } => true,
                    Answer::Inactive(_) => false,
                    other => panic!("no verdict on a token when all is over: {other:?}"),
                };
                presented.push(Presented { token: token.clone(), generation: *generation, active });
            }
        }
        presented
    }
}
