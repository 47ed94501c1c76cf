//! A container that has died costs its clients no call more than the word of its death takes: its
//! service goes by the event alone, while the engine does not yet answer for the container. Whatever
//! may be about another run of it than the one that is known is asked for, as ever.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::{
    common::{fake_docker::Way, wait::until},
    lab::Lab,
};

const SOON: Duration = Duration::from_secs(30);

/// When the event says that it happened.
#[derive(Clone, Copy)]
enum At {
    Now,
    /// Before the container's last start.
    BeforeItsStart,
    /// So long ago that an engine would answer.
    LongAgo,
    /// Later than now.
    Future,
    Unsaid,
}

/// Sends an event about a container.
fn send(lab: &Lab, number: usize, action: &str, attributes: &Value, at: At) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    let at = match at {
        At::Now => Some(now),
        At::BeforeItsStart => Some(Duration::from_secs(1_600_000_000)),
        At::LongAgo => Some(now - Duration::from_secs(20)),
        At::Future => Some(now + Duration::from_secs(20)),
        At::Unsaid => None,
    };
    let mut event = json!({
        "Type": "container", "Action": action,
        "Actor": { "ID": format!("{number:064x}"), "Attributes": attributes },
    });
    if let Some(at) = at {
        event["timeNano"] = json!(u64::try_from(at.as_nanos()).expect("it is before 2554"));
    }
    lab.docker.send(&event);
}

/// From now on the engine does not answer for a container, or does again.
fn answers(lab: &Lab, number: usize, answers: bool) {
    let path = format!("{number:064x}/json");
    lab.docker.misbehave(&path, (!answers).then_some(Way::Hang));
}

async fn is_registered(lab: &Lab, number: usize, expected: bool) {
    let id = format!("h:c{number}:80");
    until(SOON, format!("{id} registered: {expected}"), async || {
        let there = lab.consul.services().await.contains_key(&id);
        if there == expected { Ok(()) } else { Err(format!("{there}")) }
    })
    .await;
}

/// Events about containers for which the engine does not answer, and whether the service goes.
/// The next death that counts shows that one that does not was heard.
async fn check(flags: &[&str], rows: &[(&str, Value, At, bool)]) {
    let lab = Lab::new().await;
    let numbers = 0..=rows.len();
    numbers.clone().for_each(|number| lab.start(&format!("c{number}"), number, &[]));
    let _daemon = lab.daemon(flags, None);
    let ids: Vec<_> = numbers.clone().map(|number| format!("h:c{number}:80")).collect();
    lab.has(&ids, SOON).await;
    until(SOON, "somebody listens", async || match lab.docker.listeners() {
        0 => Err("nobody".to_string()),
        _ => Ok(()),
    })
    .await;
    numbers.clone().for_each(|number| answers(&lab, number, false));
    for (number, (action, attributes, at, _)) in rows.iter().enumerate() {
        send(&lab, number, action, attributes, *at);
    }
    send(&lab, rows.len(), "die", &json!({ "exitCode": "0" }), At::Now);
    is_registered(&lab, rows.len(), false).await;
    for (number, (action, attributes, _, goes)) in rows.iter().enumerate() {
        if *goes {
            is_registered(&lab, number, false).await;
        }
        let there = lab.consul.services().await.contains_key(&format!("h:c{number}:80"));
        assert_eq!(there, !goes, "row {number}: {action} {attributes}");
    }
    // What the engine says when it answers is what counts: all of them run.
    for number in numbers.clone() {
        answers(&lab, number, true);
        lab.event(number, "rename");
    }
    for number in numbers {
        is_registered(&lab, number, true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_goes_by_the_word_of_its_containers_death() {
    let code = |code: &str| json!({ "exitCode": code });
    check(
        &[],
        &[
            ("die", code("0"), At::Now, true),
            ("die", code("1"), At::Now, true),
            ("died", json!({ "containerExitCode": "137" }), At::Now, true),
            ("die", code("0"), At::BeforeItsStart, false),
            ("die", code("0"), At::LongAgo, false),
            ("die", code("0"), At::Future, false),
            ("die", code("0"), At::Unsaid, false),
            ("die", json!({}), At::Now, false),
            ("stop", code("0"), At::Now, false),
            ("start", code("0"), At::Now, false),
            ("oom", code("137"), At::Now, false),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_container_ended_says_whether_its_service_stays() {
    let code = |code: &str| json!({ "exitCode": code });
    check(
        &["-deregister", "on-success"],
        &[
            ("die", code("0"), At::Now, true),
            ("die", code("1"), At::Now, false),
            ("died", json!({ "containerExitCode": "3" }), At::Now, false),
            // Ended by a signal.
            ("die", code("143"), At::Now, true),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_before_a_start_that_was_heard_of_is_another_runs() {
    let lab = Lab::new().await;
    (0..2).for_each(|number| lab.start(&format!("c{number}"), number, &[]));
    let _daemon = lab.daemon(&[], None);
    lab.has(&["h:c0:80".into(), "h:c1:80".into()], SOON).await;
    until(SOON, "somebody listens", async || match lab.docker.listeners() {
        0 => Err("nobody".to_string()),
        _ => Ok(()),
    })
    .await;
    (0..2).for_each(|number| answers(&lab, number, false));
    // Out of order: the start comes first, and the older death after it.
    let died = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    send(&lab, 0, "start", &json!({}), At::Now);
    lab.docker.send(&json!({
        "Type": "container", "Action": "die", "timeNano": u64::try_from(died.as_nanos()).expect("it is before 2554"),
        "Actor": { "ID": format!("{:064x}", 0), "Attributes": { "exitCode": "0" } },
    }));
    send(&lab, 1, "die", &json!({ "exitCode": "0" }), At::Now);
    is_registered(&lab, 1, false).await;
    assert!(lab.consul.services().await.contains_key("h:c0:80"));
}
