//! Guarantee: with a collector, the way of a container from the event to the commit is a tree of spans that holds no
//! secret; and whatever the collector does costs no registration and no time.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;

use crate::common::{
    collector::{Collector, Manner, Span},
    daemon::Daemon,
    fake_host::{FakeHost, watched},
    looker::{self, event, serving, start},
    ports,
    wait::until,
};

const SOON: Duration = Duration::from_secs(60);

/// A daemon with a stage that vetoes what has no owner, and one that would veto.
async fn daemon(host: &FakeHost, telemetry: &str, flags: &[&str]) -> Daemon {
    let text = format!("{telemetry}\n[listen]\naddress = '127.0.0.1:0'\n{}", watched());
    let daemon = host.run(&["run"], &text, flags, &[]);
    daemon.wait_for_log("Syncing services on 0 containers", SOON).await;
    daemon
}

/// The trees of a container, of which one has this outcome, as soon as they are there.
async fn tree(collector: &Collector, name: &str, outcome: &str) -> (Span, Vec<Span>) {
    until(SOON, format!("a trace of {name}, {outcome}"), async || {
        let all = collector.spans();
        let is_root = |span: &&Span| {
            let own = &span.attributes;
            own["container.name"] == name && own["wharfinger.outcome"] == outcome
        };
        let root = all.iter().find(is_root).cloned().ok_or_else(|| format!("{all:#?}"))?;
        let is_child = |span: &Span| span.trace == root.trace && span.id != root.id;
        let children = all.into_iter().filter(is_child).collect();
        Ok((root, children))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_of_a_container_is_a_tree_of_spans() {
    let host = FakeHost::new();
    let collector = Collector::start(Manner::Takes).await;
    let telemetry = format!("[telemetry]\notlp = '{}'", collector.url());
    let mut daemon = daemon(&host, &telemetry, &[]).await;
    start(&host.docker, "web", 1, &[("owner", "ann")]);
    let (root, children) = tree(&collector, "web", "registered").await;
    let names: Vec<_> = children.iter().map(|span| span.name.as_str()).collect();
    let expected = ["inspect", "stage registrator", "stage owner", "stage watching", "register"];
    assert_eq!(names.iter().collect::<BTreeSet<_>>(), expected.iter().collect(), "{names:?}");
    assert_eq!(names.len(), expected.len(), "{names:?}");
    for child in &children {
        assert_eq!(child.parent.as_ref(), Some(&root.id), "{child:?}");
        assert!(root.begin <= child.begin && child.begin <= child.end, "{child:?} of {root:?}");
        assert!(child.end <= root.end, "{child:?} of {root:?}");
        assert!(!child.failed, "{child:?}");
    }
    // In the order in which they were done, whatever the order of the list.
    let began = |name: &str| children.iter().find(|span| span.name == name).expect(name).begin;
    let order: Vec<_> = expected.iter().map(|name| began(name)).collect();
    assert!(order.is_sorted(), "{children:#?}");
    assert_eq!((root.name.as_str(), &root.parent, root.failed), ("reconcile", &None, false));
    assert_eq!((root.trace.len(), root.id.len()), (32, 16));
    assert_eq!(root.resource["service.name"], "wharfinger");
    assert_eq!(root.resource["host.name"], "h");
    assert_eq!(root.resource["service.version"], env!("CARGO_PKG_VERSION"));
    let own = &root.attributes;
    assert_eq!(own["container.id"], format!("{:064x}", 1));
    assert_eq!(own["container.image.name"], "web:1");
    assert_eq!(own["wharfinger.trigger"], "event");
    assert_eq!(own["wharfinger.services"], "1");
    let of = |name: &str| &children.iter().find(|span| span.name == name).expect(name).attributes;
    assert_eq!(of("register")["wharfinger.service.id"], "h:web:80");
    assert_eq!(of("register")["wharfinger.write.answer"], "ok");
    assert_eq!(of("stage owner")["wharfinger.stage.mode"], "enforce");
    assert_eq!(of("stage watching")["wharfinger.stage.mode"], "monitor");
    assert_eq!(of("stage watching")["wharfinger.stage.vetoed"], "1");

    // What was vetoed is not written.
    start(&host.docker, "stray", 2, &[]);
    let (_, children) = tree(&collector, "stray", "vetoed").await;
    assert!(children.iter().all(|span| span.name != "register"), "{children:?}");
    let vetoed = children.iter().find(|span| span.name == "stage owner").expect("the stage");
    assert_eq!(vetoed.attributes["wharfinger.stage.vetoed"], "1");

    // What cannot be inspected has failed, and is said to have.
    let id = format!("{:064x}", 3);
    host.docker.fail(&id, 500, "no such luck");
    start(&host.docker, "broken", 3, &[("owner", "ann")]);
    until(SOON, "the inspection has failed", async || {
        let all = collector.spans();
        let failed = all.iter().find(|span| span.name == "inspect" && span.failed);
        let root =
            failed.and_then(|one| all.iter().find(|span| Some(&span.id) == one.parent.as_ref()));
        match root {
            Some(root) if root.failed && root.attributes["container.id"] == id => Ok(()),
            _ => Err(format!("{all:?}")),
        }
    })
    .await;

    host.docker.set("web", None);
    event(&host.docker, 1, "die");
    let (_, children) = tree(&collector, "web", "gone").await;
    assert!(children.iter().any(|span| span.name == "deregister"), "{children:?}");
    assert!(daemon.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_secret_or_a_containers_own_is_not_in_it() {
    let host = FakeHost::new();
    let collector = Collector::start(Manner::Takes).await;
    let _daemon = daemon(&host, "", &["--otlp", &collector.url()]).await;
    let labels = [
        ("owner", "ann"),
        ("SERVICE_DB_PASSWORD", "hunter2-of-a-label"),
        ("SERVICE_TAGS", "token=hunter2-of-a-tag"),
        ("SERVICE_NAME", "token=hunter2-of-a-name"),
        ("SERVICE_80_ID", "password=hunter2-of-an-id"),
    ];
    let mut inspected = serving("web", 1, &labels);
    inspected["Config"]["Env"] = json!(["API_TOKEN=hunter2-of-env", "X=plain-of-env"]);
    host.docker.set("web", Some(inspected));
    event(&host.docker, 1, "start");
    let (_, children) = tree(&collector, "web", "registered").await;
    assert!(children.iter().any(|span| span.name == "register"), "{children:?}");
    let text = collector.text();
    assert!(!text.contains("hunter2") && !text.contains("plain-of-env"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_hangs_or_refuses_costs_nothing() {
    let host = FakeHost::new();
    let [closed] = ports::free::<1>();
    let collector = Collector::start(Manner::Hangs).await;
    for (manner, url) in [
        (None, format!("http://127.0.0.1:{closed}")),
        (Some(Manner::Hangs), collector.url()),
        (Some(Manner::Refuses(400)), collector.url()),
        (Some(Manner::Refuses(503)), collector.url()),
    ] {
        manner.into_iter().for_each(|manner| collector.be(manner));
        let asked = collector.requests();
        let mut daemon = daemon(&host, "", &["--otlp", &url]).await;
        let at = looker::address(&daemon).await;
        // A loop that waited for one answer of these would be as late as the answer.
        for number in 1..=30 {
            start(&host.docker, &format!("c{number}"), number, &[("owner", "ann")]);
        }
        for number in 1..=30 {
            let added = format!("added: 000000000000 h:c{number}:80");
            daemon.wait_for_log(&added, SOON).await;
        }
        until(SOON, format!("{manner:?}: all is soon visible"), async || {
            let page = looker::get(at, "/metrics").await.body;
            let has = |line: &str| page.lines().any(|one| one == line);
            let all = has("wharfinger_commit_duration_seconds_count 30");
            let soon = has("wharfinger_commit_duration_seconds_bucket{le=\"5.0\"} 30");
            if all && soon { Ok(()) } else { Err(page) }
        })
        .await;
        match manner {
            Some(Manner::Hangs) => {
                until(SOON, "it was asked", async || match collector.requests() > asked {
                    true => Ok(()),
                    false => Err(String::new()),
                })
                .await;
            }
            _ => {
                daemon.wait_for_log("traces cannot be sent; all else goes on", SOON).await;
            }
        }
        assert!(daemon.terminate().await.success(), "{manner:?}");
        let said = daemon.log().matches("traces cannot be sent").count();
        assert!(said <= 1, "{}", daemon.log());
        (1..=30).for_each(|number| host.docker.set(&format!("c{number}"), None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_sent_comes_later_or_is_counted() {
    let host = FakeHost::new();
    let collector = Collector::start(Manner::Refuses(503)).await;
    let daemon = daemon(&host, "", &["--otlp", &collector.url()]).await;
    let at = looker::address(&daemon).await;
    start(&host.docker, "late", 1, &[("owner", "ann")]);
    daemon.wait_for_log("traces cannot be sent; all else goes on", SOON).await;
    collector.be(Manner::Takes);
    tree(&collector, "late", "registered").await;
    daemon.wait_for_log("Sending traces to http://127.0.0.1:", SOON).await;
    // One that will never take it is not asked again for the same.
    collector.be(Manner::Refuses(400));
    let asked = collector.requests();
    start(&host.docker, "refused", 2, &[("owner", "ann")]);
    until(SOON, "it is counted", async || {
        let page = looker::get(at, "/metrics").await.body;
        let line = page.lines().find(|line| line.starts_with("wharfinger_spans_dropped_total "));
        let count = line.and_then(|line| line.split(' ').nth(1)?.parse::<f64>().ok());
        if count.is_some_and(|count| count > 0.0) { Ok(()) } else { Err(page) }
    })
    .await;
    assert!(collector.requests() > asked);
    collector.be(Manner::Takes);
    start(&host.docker, "again", 3, &[("owner", "ann")]);
    tree(&collector, "again", "registered").await;
    daemon.wait_for_log("spans of traces are missing", SOON).await;
    assert!(!collector.text().contains("\"refused\""), "{}", collector.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_none_ends_the_start() {
    let mut daemon = Daemon::start(&["--otlp", "grpc://127.0.0.1:4317", "memory://"], &[]);
    assert_eq!(daemon.wait(SOON).await.code(), Some(78));
    let log = daemon.log();
    assert!(log.contains("--otlp: \"grpc://127.0.0.1:4317\" is neither http:// nor"), "{log}");
}
