//! What commands do to server keys is told as what calls do.

use crate::keyring::{keyring, two_keys};

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_tells_which_key_was_rolled_to_and_which_was_retired() {
    let (_directory, server) = two_keys().await;
    for arguments in [&["roll", "02"][..], &["roll", "02"], &["retire", "01", "--confirm"]] {
        keyring(&server.database, arguments).well();
    }
    keyring(&server.database, &["roll", "01"]).refused("is retired");
    let head = server.database.head().await;
    let told = "SELECT action, details ->> 'kid', initiator, revision FROM audit_events \
         WHERE action LIKE '%_key' AND caller IS NULL AND workspace IS NULL ORDER BY id";
    let rows = server.database.connect().await.query(told, &[]).await.unwrap();
    let told: Vec<(&str, &str, &str, i64)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    assert_eq!(
        told,
        [
            ("roll_key", "02", "tokenkeep keyring roll", 0),
            ("retire_key", "01", "tokenkeep keyring retire", head)
        ]
    );
}
