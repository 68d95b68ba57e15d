//! What a watcher may rely on: order, completeness, resumption, progress, and how soon it hears.

use std::time::{Duration, Instant, SystemTime};

use tokenkeep::proto::v1;
use tokio::task::JoinSet;

use crate::clients::Client;
use crate::harness::{Database, Server, eventually};
use crate::watchers::{Told, Watcher, fill_log, revisions};

/// Two servers on one database, and who may do everything on each.
async fn fleet() -> ([Server; 2], [Client; 2]) {
    let database = Database::fresh().await;
    let first = Server::start_with(database.clone(), |command| command).await;
    let second = Server::start_with(database, |command| command).await;
    let mut clients = [first.operator().await, second.operator().await];
    clients[0].create_workspace("acme").await;
    ([first, second], clients)
}

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    (server, operator)
}

/// Creates a token and revokes it: one revision.
async fn revoke_one(operator: &mut Client) -> v1::Token {
    let (token, _) = operator.create_token("acme", "short-lived", &[]).await;
    operator.revoke(&token.id).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_with_progress_at_the_head() {
    let (server, mut operator) = server().await;
    let head = server.database.head().await;
    for _ in 0..3 {
        revoke_one(&mut operator).await;
    }
    let mut watcher = Watcher::at_head(&operator).await;
    assert_eq!(watcher.revision, Some(head + 3));
    revoke_one(&mut operator).await;
    assert_eq!(watcher.event().await.0, head + 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_says_what_happened_to_which_token_when_why_and_for_whom() {
    let (_server, mut operator) = server().await;
    let mut watcher = Watcher::at_head(&operator).await;
    let head = watcher.revision.unwrap();
    let (token, _) = operator.create_token("acme", "told", &[]).await;
    let edited = v1::Token { id: token.id.clone(), name: "retold".to_owned(), ..Default::default() };
    let begun = SystemTime::now() - Duration::from_secs(1);
    let request =
        v1::UpdateTokenRequest { token: Some(edited), initiator: "editor".to_owned(), ..Default::default() };
    operator.tokens.update_token(request).await.unwrap();
    operator.regenerate(&token.id, "*").await.unwrap();
    let request = v1::RevokeTokenRequest {
        id: token.id.clone(),
        reason: "left the company".to_owned(),
        initiator: "people office".to_owned(),
        ..Default::default()
    };
    operator.tokens.revoke_token(request).await.unwrap();

    let operator_id = token.creator;
    let expected = [
        (v1::RevocationKind::Updated, 1, "", "editor"),
        (v1::RevocationKind::SecretReplaced, 2, "", operator_id.as_str()),
        (v1::RevocationKind::Revoked, 2, "left the company", "people office"),
    ];
    for (number, (kind, generation, reason, initiator)) in expected.into_iter().enumerate() {
        let (revision, event) = watcher.event().await;
        let time = SystemTime::try_from(event.event_time.unwrap()).unwrap();
        assert!(time >= begun && time <= SystemTime::now() + Duration::from_secs(1), "{time:?}");
        assert_eq!((revision, event.kind()), (head + i64::try_from(number).unwrap() + 1, kind));
        assert_eq!((event.workspace.as_str(), &event.token_id), ("acme", &token.id));
        assert_eq!((event.generation, event.reason.as_str()), (generation, reason));
        assert_eq!(event.initiator, initiator);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_comes_about_twice_a_second_whether_or_not_there_are_events() {
    let (_server, mut operator) = server().await;
    let mut watcher = Watcher::at_head(&operator).await;
    let (frames, longest) = watcher.quiet_for(Duration::from_secs(3)).await;
    assert!((3..=8).contains(&frames) && longest < Duration::from_millis(1500), "{frames}, {longest:?}");

    let (begun, mut progress) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(3) {
        revoke_one(&mut operator).await;
        while watcher.frame().await.unwrap().is_none() {
            progress += 1;
        }
    }
    assert!((2..=8).contains(&progress), "{progress} progress frames among events");
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_stops_while_the_database_is_away_and_the_stream_goes_on_after() {
    let (server, mut operator) = server().await;
    let mut watcher = Watcher::at_head(&operator).await;
    let leaver = Watcher::at_head(&operator).await;
    let name = server.database.url.rsplit('/').next().unwrap();
    let postgres = crate::harness::Run::get().database("postgres").connect().await;
    let cut = format!(
        "ALTER DATABASE {name} ALLOW_CONNECTIONS false; \
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    );
    postgres.batch_execute(&cut).await.unwrap();
    // One may have been on its way.
    tokio::time::timeout(Duration::from_millis(300), watcher.frame()).await.ok();
    let told = tokio::time::timeout(Duration::from_secs(2), watcher.frame()).await;
    assert!(told.is_err(), "a frame while the database is away: {told:?}");
    drop(leaver);
    eventually("who leaves is noticed all the same", || async {
        server.metric("tokenkeep_watchers").await == 1.0
    })
    .await;
    postgres.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await.unwrap();
    assert_eq!(watcher.frame().await.unwrap(), None, "progress again");
    let revision = revoke_one(&mut operator).await.revision;
    assert_eq!(watcher.event().await.0, revision);
}

/// What the log itself holds of tokens: revision, kind and token.
async fn log(database: &Database) -> Vec<(i64, String, String)> {
    let query = "SELECT revision, kind, token::text FROM revisions WHERE token IS NOT NULL ORDER BY revision";
    let rows = database.connect().await.query(query, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

fn as_logged(events: Vec<Told>) -> Vec<(i64, String, String)> {
    let kind = |event: &v1::RevocationEvent| {
        event.kind().as_str_name().trim_start_matches("REVOCATION_KIND_").to_lowercase()
    };
    events.into_iter().map(|(revision, event)| (revision, kind(&event), event.token_id)).collect()
}

/// The life of a few tokens: four revisions each.
async fn write(mut client: Client) {
    for number in 0..8 {
        let (token, _) = client.create_token("acme", &format!("token {number}"), &[]).await;
        let renamed = v1::Token { id: token.id.clone(), name: "renamed".to_owned(), ..Default::default() };
        let request = v1::UpdateTokenRequest { token: Some(renamed), ..Default::default() };
        client.tokens.update_token(request).await.unwrap();
        client.regenerate(&token.id, "*").await.unwrap();
        client.regenerate(&token.id, "*").await.unwrap();
        client.revoke(&token.id).await.unwrap();
    }
}

/// Follows the log to a revision; after every few events it comes back by its cursor, here or there.
async fn follow(clients: [Client; 2], mut cursor: String, to: i64, leaves_after: usize) -> Vec<Told> {
    let (mut events, mut visits) = (Vec::new(), 0);
    loop {
        let mut watcher = Watcher::open(&clients[visits % 2], &cursor).await;
        visits += 1;
        // Uneven, so that it leaves at the edges of readings and within them.
        let leave = events.len() + leaves_after.saturating_mul(visits % 5 + 1);
        while events.len() < leave {
            events.extend(watcher.frame().await.unwrap());
            if watcher.revision >= Some(to) {
                return events;
            }
        }
        cursor = watcher.cursor;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_watcher_is_told_the_log_itself_by_whichever_servers_it_is_written() {
    let (servers, clients) = fleet().await;
    let Watcher { cursor, revision, .. } = Watcher::at_head(&clients[0]).await;
    let (head, total) = (revision.unwrap(), 8 * 8 * 4);
    let mut watchers = JoinSet::new();
    for leaves_after in [usize::MAX, usize::MAX, 3] {
        watchers.spawn(follow(clients.clone(), cursor.clone(), head + total, leaves_after));
    }
    let writers: JoinSet<()> = (0..8).map(|number| write(clients[number % 2].clone())).collect();
    writers.join_all().await;
    let logged = log(&servers[0].database).await;
    assert_eq!(logged.len(), usize::try_from(total).unwrap());
    for events in watchers.join_all().await {
        assert_eq!(as_logged(events), logged);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_resumes_right_after_any_frame_at_any_server() {
    let (_servers, mut clients) = fleet().await;
    let mut watcher = Watcher::at_head(&clients[0]).await;
    let head = watcher.revision.unwrap();
    let mut places = vec![(head, watcher.cursor.clone())];
    for _ in 0..5 {
        revoke_one(&mut clients[0]).await;
        while watcher.frame().await.unwrap().is_none() {
            places.push((watcher.revision.unwrap(), watcher.cursor.clone()));
        }
        places.push((watcher.revision.unwrap(), watcher.cursor.clone()));
    }
    for (revision, cursor) in places {
        for client in &clients {
            let mut resumed = Watcher::open(client, &cursor).await;
            let expected: Vec<i64> = (revision + 1..=head + 5).collect();
            assert_eq!(revisions(&resumed.until(head + 5).await), expected, "from {revision}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_for_one_reading_is_told_whole_live_and_from_an_old_cursor() {
    let (server, operator) = server().await;
    let mut live = Watcher::at_head(&operator).await;
    let (old, head) = (live.cursor.clone(), live.revision.unwrap());
    fill_log(&server.database, "acme", 2_600, 10).await;
    let expected: Vec<i64> = (head + 1..=head + 2_600).collect();
    assert_eq!(revisions(&live.until(head + 2_600).await), expected);
    let mut late = Watcher::open(&operator, &old).await;
    for revision in expected {
        let told = late.frame().await.unwrap().map(|(revision, _)| revision);
        assert_eq!(told, Some(revision), "no progress before all that was missed is told");
    }
    assert_eq!(late.frame().await.unwrap(), None, "and then progress");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_of_one_workspace_learns_of_the_others_only_that_the_log_went_on() {
    let (server, mut operator) = server().await;
    operator.create_workspace("other").await;
    let mut live = Watcher::try_open(&operator, "acme", "").await.unwrap();
    assert_eq!(live.frame().await.unwrap(), None);
    let (old, head) = (live.cursor.clone(), live.revision.unwrap());
    fill_log(&server.database, "other", 600, 10).await;
    while live.revision < Some(head + 600) {
        assert_eq!(live.frame().await.unwrap(), None);
    }
    let mine = revoke_one(&mut operator).await;
    assert_eq!(live.event().await.1.token_id, mine.id);
    // Catching up it is no other.
    let mut late = Watcher::try_open(&operator, "acme", &old).await.unwrap();
    let (revision, event) = late.event().await;
    assert_eq!((revision, &event.token_id, event.workspace.as_str()), (head + 601, &mine.id, "acme"));
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_watchers_hear_one_revocation_and_leave_nothing_behind() {
    let (server, mut operator) = server().await;
    let mut watchers = JoinSet::new();
    for _ in 0..5 {
        let client = server.operator().await;
        for _ in 0..100 {
            let client = client.clone();
            watchers.spawn(async move { Watcher::at_head_in_the_end(&client).await });
        }
    }
    let watchers = watchers.join_all().await;
    assert_eq!(server.metric("tokenkeep_watchers").await, 500.0);
    let begun = Instant::now();
    let revoked = revoke_one(&mut operator).await;
    let mut heard = JoinSet::new();
    for mut watcher in watchers {
        heard.spawn(async move { (watcher.event().await, watcher) });
    }
    let heard = heard.join_all().await;
    println!("500 watchers heard within {:?} of asking", begun.elapsed());
    for ((_, event), _) in &heard {
        assert_eq!(event.token_id, revoked.id);
    }
    drop(heard);
    eventually("no watcher is left", || async { server.metric("tokenkeep_watchers").await == 0.0 }).await;
    let left = "tokenkeep_watchers_ended_total{reason=\"client_left\"}";
    assert_eq!(server.metric(left).await, 500.0);
}

/// From when a revocation is acknowledged to when its event is here: the median and the longest of some.
async fn latency(writer: &mut Client, reader: &Client) -> (Duration, Duration) {
    let mut watcher = Watcher::at_head(reader).await;
    let mut samples = Vec::new();
    for _ in 0..31 {
        let (token, _) = writer.create_token("acme", "timed", &[]).await;
        let heard = tokio::spawn(async move {
            watcher.event().await;
            (Instant::now(), watcher)
        });
        writer.revoke(&token.id).await.unwrap();
        let acknowledged = Instant::now();
        let (time, back) = heard.await.unwrap();
        samples.push(time.saturating_duration_since(acknowledged));
        watcher = back;
    }
    samples.sort();
    (samples[samples.len() / 2], samples[samples.len() - 1])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_heard_at_once_where_it_was_made_and_soon_elsewhere() {
    // Without the doorbell, so that what the local bell saves can be told from what the poll costs.
    let database = Database::fresh().await;
    let quiet = ["--doorbell", "false"];
    let servers =
        [crate::fleet::server(&database, &quiet).await, crate::fleet::server(&database, &quiet).await];
    let (mut writer, there) = (servers[0].operator().await, servers[1].operator().await);
    writer.create_workspace("acme").await;
    let here = writer.clone();
    let writer = &mut writer;
    let same = latency(writer, &here).await;
    let across = latency(writer, &there).await;
    println!("acknowledged → heard: p50 {:?} on the same server, {:?} on another", same.0, across.0);
    println!("                      max {:?} on the same server, {:?} on another", same.1, across.1);
    assert!(same.0 * 3 < across.0, "the bell is not heard");
    assert!(across.1 < Duration::from_secs(2), "the poll is late");
}
