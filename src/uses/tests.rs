//! Uses add up, reports stay as they are until they arrive, and what is lost is counted.

use std::time::Duration;

use super::*;

const FIRST: Used = Used::Live(Generation(1));

fn at(seconds: u64) -> BootTime {
    BootTime::from_start(Duration::from_secs(seconds))
}

fn outbox() -> Outbox {
    Outbox::new(Uuid::from_u128(1))
}

#[tokio::test]
async fn uses_of_a_secret_add_up_and_the_latest_is_told() {
    let (outbox, token) = (outbox(), TokenId::generate());
    for seconds in [2, 3, 1] {
        outbox.note(token, FIRST, at(seconds));
    }
    outbox.note(token, Used::Live(Generation(2)), at(5));
    outbox.note(token, Used::Superseded, at(4));
    let mut handing = outbox.open().await;
    let mut told = handing.report().unwrap().uses.clone();
    told.sort_by_key(|used| used.secret);
    let expected = [(FIRST, 3, at(3)), (Used::Live(Generation(2)), 1, at(5)), (Used::Superseded, 1, at(4))];
    assert_eq!(told, expected.map(|(secret, count, last)| Use { token, secret, count, last }));
    handing.arrived();
    assert_eq!(handing.report(), None);
    drop(handing);
    assert_eq!(outbox.open().await.report(), None, "nothing is told twice");
}

#[tokio::test]
async fn a_report_stays_as_it_is_until_it_has_arrived() {
    let (outbox, token) = (outbox(), TokenId::generate());
    outbox.note(token, FIRST, at(1));
    let first = outbox.open().await.report().unwrap().clone();
    outbox.note(token, FIRST, at(2));
    let mut handing = outbox.open().await;
    assert_eq!(*handing.report().unwrap(), first);
    handing.arrived();
    let second = handing.report().unwrap();
    assert_eq!((first.sequence, second.sequence), (1, 2));
    assert_eq!(second.uses, [Use { token, secret: FIRST, count: 1, last: at(2) }]);
}

/// Whoever is cut off midway, by an error or because nobody waits any more.
#[tokio::test]
async fn what_was_not_handed_over_is_kept() {
    let outbox = outbox();
    for _ in 0..2 * MOST_USES {
        outbox.note(TokenId::generate(), FIRST, at(1));
    }
    let mut handing = outbox.open().await;
    assert_eq!(handing.report().unwrap().uses.len(), MOST_USES);
    drop(handing);
    outbox.note(TokenId::generate(), FIRST, at(2));
    let mut handing = outbox.open().await;
    let mut sizes = Vec::new();
    while let Some(report) = handing.report() {
        sizes.push((report.sequence, report.uses.len()));
        handing.arrived();
    }
    assert_eq!(sizes, [(1, MOST_USES), (2, MOST_USES), (3, 1)]);
}

#[tokio::test]
async fn what_finds_no_room_is_counted_as_lost_and_nothing_else_is() {
    let outbox = outbox();
    let known = TokenId::generate();
    outbox.note(known, FIRST, at(1));
    let of_part = |byte: u8| {
        let mut bytes = *TokenId::generate().as_uuid().as_bytes();
        bytes[15] = byte;
        TokenId::from_uuid(Uuid::from_bytes(bytes))
    };
    let [.., end] = *known.as_uuid().as_bytes();
    for _ in 1..PART {
        outbox.note(of_part(end), FIRST, at(1));
    }
    assert_eq!(outbox.lost(), [("no_room", 0), ("refused", 0)]);
    outbox.note(of_part(end), FIRST, at(2));
    outbox.note(of_part(end), FIRST, at(2));
    outbox.note(of_part(end.wrapping_add(1)), FIRST, at(2));
    outbox.note(known, FIRST, at(2));
    assert_eq!(outbox.lost(), [("no_room", 2), ("refused", 0)]);
    let mut handing = outbox.open().await;
    handing.report();
    handing.refused();
    assert_eq!(handing.outbox.lost()[1], ("refused", 1_000 + u64::from(first_has_known(&handing, known))));
}

/// Whether the use of a token that counts twice is not among those that are left.
fn first_has_known(handing: &Handing<'_>, known: TokenId) -> bool {
    handing.rest.iter().all(|used| used.token != known)
}
