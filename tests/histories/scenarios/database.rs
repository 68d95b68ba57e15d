//! What scenarios do to the database by hand, past every server, and write down as if somebody had done it.

use std::process::Command;
use std::time::Duration;

use super::scene::Scene;
use crate::ground::database_url;
use crate::history::{Answer, Call, Change, Node, Renewal};
use crate::moment::Moment;
use crate::recorder::Known;
use crate::tables::tables;

/// Appends changes of tokens that nobody has.
const APPEND: &str = "INSERT INTO revisions (revision, kind, workspace, token, generation, reason, initiator)
    SELECT head + number, 'revoked', 'acme', gen_random_uuid(), 1, repeat('x', 200), 'by hand'
    FROM generate_series(1, COUNT) number, (SELECT coalesce(max(revision), 0) AS head FROM revisions) heads";

/// As whoever appends must.
const LOCK: &str = "SELECT pg_advisory_xact_lock(x'746b72657669736e'::bigint)";

impl Scene {
    /// Makes the log so much longer, at once.
    pub async fn fill_log(&self, count: u32) {
        let append = APPEND.replace("COUNT", &count.to_string());
        self.execute(&format!("BEGIN; {LOCK}; {append}; COMMIT")).await;
    }

    /// Makes the log longer for a while, one change at a time, and rings after each.
    pub async fn trickle_into_log(&self, lasting: Duration) {
        let client =
            self.world.ground.postgres.lock().await.primary.connect(&self.world.database).await.unwrap();
        let append = APPEND.replace("COUNT", "1");
        let one =
            format!("BEGIN; SET LOCAL synchronous_commit = off; {LOCK}; {append}; COMMIT; NOTIFY tokenkeep");
        let until = Moment::now().after(lasting);
        while Moment::now() < until {
            client.batch_execute(&one).await.unwrap();
        }
    }

    /// Deletes the log but for its last row.
    pub async fn compact(&self) {
        let log = tables(&self.world).await.log;
        let (_, deleted) = log.split_last().unwrap();
        self.world.compacted.lock().await.extend_from_slice(deleted);
        self.execute(
            "BEGIN; UPDATE histories SET compacted = (SELECT max(revision) - 1 FROM revisions);
             DELETE FROM revisions WHERE revision < (SELECT max(revision) FROM revisions); COMMIT",
        )
        .await;
    }

    /// Begins another history, as an operator does after a restore.
    pub async fn renew_history(&self) {
        let before = Moment::now();
        let mut command = Command::new(&self.world.ground.program);
        let url = database_url(&self.world.links.server_database[0], &self.world.database);
        command.arg("renew-history").env("TOKENKEEP_DATABASE_URL", url);
        let status = tokio::task::block_in_place(|| command.status()).unwrap();
        assert!(status.success(), "renew-history");
        self.world.renewals.lock().await.push(Renewal { before, after: Moment::now() });
    }

    /// Puts another past in place of what was: in it, `revoked` was revoked where `edited` was edited last.
    pub async fn restore_with_revoked(&self, revoked: &Known, edited: &Known) {
        let edited = self.known(&edited.id);
        let (revision, invoke) = (edited.revision, Moment::now());
        let restore = format!(
            "BEGIN; {LOCK}; UPDATE histories SET id = gen_random_uuid();
             UPDATE tokens SET revision = 0, scopes = '{{base,held:*,needed,version:0}}' WHERE id = '{edited}';
             UPDATE tokens SET revision = {revision}, revoke_time = now(), revoke_reason = '' WHERE id = '{revoked}';
             UPDATE revisions SET kind = 'revoked', reason = '', token = '{revoked}' WHERE revision = {revision};
             COMMIT",
            edited = edited.id,
            revoked = revoked.id
        );
        self.execute(&restore).await;
        self.world.recorder.forget_changes_of(&edited.id);
        let call = Call::Change { token: revoked.id.clone(), change: Change::Revoked, fleet: false };
        let answer = Answer::Changed { revision, generation: 1, confirmed: false };
        self.world.recorder.record(9, Node::Server(9), call, invoke, answer);
    }
}
