//! Consul fails, or says something else than before.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::lab::{Lab, SOON, Sink, daemon, ids, names, none};
use crate::common::{
    consul::{self, Consul},
    daemon::Daemon,
    dockerd::Dockerd,
    proxy::{Mode, Proxy},
    wait::until,
};

/// How long Consul is down. The pauses between attempts have grown to their
/// longest by then.
const OUTAGE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn what_starts_while_consul_is_down_is_registered_within_5_s_of_its_return() {
    let mut lab = Lab::new().await;
    let mut daemon = lab.daemon(&[]).await;
    lab.sink.proxy.set(Mode::Refuse);
    lab.sink.consul.stop().await;
    let down = Instant::now();
    let containers = names("c", 20);
    lab.start(&containers, &[]);
    // The outage itself is what is waited for.
    sleep(OUTAGE.saturating_sub(down.elapsed())).await;
    assert_eq!(lab.sink.proxy.count(), 0);

    lab.sink.consul.restart_empty().await;
    lab.sink.register_foreign().await;
    lab.sink.proxy.set(Mode::Pass);
    lab.sink.exactly(&ids(&containers), Duration::from_secs(5)).await;
    lab.sink.stays(&ids(&containers), Duration::from_secs(3)).await;
    lab.sink.assert_written_once(0, &ids(&containers), &none());
    assert!(daemon.is_running());
    lab.sink.assert_foreign_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_comes_back_empty_has_everything_again_within_10_s() {
    let mut lab = Lab::new().await;
    let containers = names("c", 50);
    lab.start(&containers, &[]);
    let daemon = lab.daemon(&[]).await;
    lab.sink.exactly(&ids(&containers), SOON).await;
    let written = lab.sink.proxy.count();

    lab.sink.consul.restart_empty().await;
    let back = Instant::now();
    lab.sink.register_foreign().await;
    let left = Duration::from_secs(10).saturating_sub(back.elapsed());
    lab.sink.exactly(&ids(&containers), left).await;
    lab.sink.stays(&ids(&containers), Duration::from_secs(3)).await;
    lab.sink.assert_written_once(written, &ids(&containers), &none());
    drop(daemon);
    lab.sink.assert_foreign_untouched().await;
}

/// Bound: a write is repeated only if it failed. As every second request fails,
/// N services take at most 2N writes, and one more for each read that took a
/// turn at succeeding.
async fn every_second_request_fails(status: u16) {
    let lab = Lab::new().await;
    let [old, new] = [names("old", 10), names("new", 10)];
    lab.start(&old, &[]);
    lab.sink.proxy.set(Mode::Answer { status, every: 2 });
    let daemon = lab.daemon(&[]).await;
    lab.sink.exactly(&ids(&old), SOON).await;
    lab.start(&new, &[]);
    let all = ids(old.iter().chain(&new));
    lab.sink.exactly(&all, SOON).await;
    lab.remove(&old);
    lab.sink.exactly(&ids(&new), SOON).await;

    // Whatever was not answered for is settled: nothing is written any more.
    let log = |part: &str| daemon.log().lines().filter(|line| line.contains(part)).count();
    until(SOON, "the daemon knows of its success", async || {
        let (added, removed) = (log("added: ") + log("registered again: "), log("removed: "));
        if (added, removed) == (20, 10) { Ok(()) } else { Err(format!("{added} {removed}")) }
    })
    .await;
    lab.sink.stays(&ids(&new), Duration::from_secs(3)).await;
    let writes = lab.sink.proxy.writes(0);
    let failed = writes.iter().filter(|write| write.status == Some(status)).count();
    let reads = lab.sink.proxy.reads();
    assert_eq!(writes.len() - failed, 30, "{writes:?}");
    assert!(failed > 0 && writes.len() <= 2 * 30 + reads, "{reads} reads, {writes:?}");
    lab.sink.assert_foreign_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_are_registered_although_every_second_answer_is_429() {
    every_second_request_fails(429).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_are_registered_although_every_second_answer_is_500() {
    every_second_request_fails(500).await;
}

/// Half an answer and a slow one; and an agent that does not answer at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_breaks_off_or_hangs_takes_nothing_out() {
    let lab = Lab::new().await;
    let containers = names("c", 5);
    lab.start(&containers, &[]);
    let daemon = lab.daemon(&["-resync", "1"]).await;
    let all = ids(&containers);
    lab.sink.exactly(&all, SOON).await;
    let written = lab.sink.proxy.count();
    for mode in [Mode::HalfBody, Mode::Slow(Duration::from_millis(1500))] {
        let (seen, reads) = (daemon.lines(), lab.sink.proxy.reads());
        lab.sink.proxy.set(mode);
        if mode == Mode::HalfBody {
            daemon.wait_for_log_after(seen, "cannot synchronise", SOON).await;
        }
        until(SOON, "more reads", async || {
            let more = lab.sink.proxy.reads() - reads;
            if more >= 3 { Ok(()) } else { Err(format!("{more}")) }
        })
        .await;
        lab.sink.proxy.set(Mode::Pass);
        let seen = daemon.lines();
        daemon.wait_for_log_after(seen, "Syncing services on 5 containers", SOON).await;
    }
    lab.sink.proxy.set(Mode::Hang);
    let more = names("new", 5);
    let reads = lab.sink.proxy.reads();
    lab.start(&more, &[]);
    until(SOON, "a write hangs", async || {
        let (writes, reads) = (lab.sink.proxy.count() - written, lab.sink.proxy.reads() - reads);
        if writes > 0 && reads > 0 { Ok(()) } else { Err(format!("{writes} {reads}")) }
    })
    .await;
    lab.sink.proxy.set(Mode::Pass);
    let all = ids(containers.iter().chain(&more));
    lab.sink.exactly(&all, SOON).await;
    let (registered, deregistered) = lab.sink.written(written);
    assert!(deregistered.is_empty(), "{deregistered:?}");
    // Each may hang once and is written once more.
    assert!(registered.len() <= 10, "{registered:?}");
    assert!(registered.iter().all(|id| ids(&more).contains(id)), "{registered:?}");
    lab.sink.assert_foreign_untouched().await;
}

/// An agent that denies what no token allows, and a token that may all of a
/// service.
async fn guarded() -> (Consul, String) {
    let master = "5b7a3a2e-0000-4000-8000-000000000001";
    let acl = json!({"acl": {
        "enabled": true, "default_policy": "deny", "tokens": {"master": master, "agent": master},
    }});
    let consul = Consul::start(consul::Options {
        config: vec![("acl.json".into(), acl.to_string())],
        token: Some(master.into()),
        ..Default::default()
    })
    .await;
    // The master token is there a little later than the leader.
    until(SOON, "the token", async || {
        let path = "/v1/acl/policies";
        consul.send(reqwest::Method::GET, path, &Value::Null).await
    })
    .await;
    let rules = r#"service_prefix "" { policy = "write" }"#;
    consul.put("/v1/acl/policy", &json!({"Name": "daemon", "Rules": rules})).await;
    let token = consul.put("/v1/acl/token", &json!({"Policies": [{"Name": "daemon"}]})).await;
    let token = token["SecretID"].as_str().expect("a token").to_string();
    (consul, token)
}

/// Consul answers such a read with 200 and an empty list.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_loses_its_permission_costs_nothing_but_a_report() {
    let (consul, token) = guarded().await;
    let docker = Dockerd::start().await;
    docker.import_busybox("web:1", &["CMD [\"sleep\",\"1000000\"]", "EXPOSE 80"]);
    let lab = Lab { docker, sink: Sink::with(consul).await };
    let containers = names("c", 10);
    lab.start(&containers, &[]);
    let env = [("CONSUL_HTTP_TOKEN", token.as_str())];
    let daemon = daemon(&lab.docker.host(), &["-resync", "1"], &lab.sink.uri(), &env);
    lab.sink.exactly(&ids(&containers), SOON).await;
    daemon.wait_for_log("Syncing services on 10 containers", SOON).await;
    let written = lab.sink.proxy.count();

    let policy = lab.sink.consul.get("/v1/acl/policy/name/daemon").await;
    let path = format!("/v1/acl/policy/{}", policy["ID"].as_str().expect("an ID"));
    let with = |rules: &str| json!({"ID": policy["ID"], "Name": "daemon", "Rules": rules});
    lab.sink.consul.put(&path, &with("")).await;
    let seen = daemon.lines();
    let read = lab.sink.proxy.reads();
    report(&daemon, seen).await;
    until(SOON, "ten more reads", async || {
        let more = lab.sink.proxy.reads() - read;
        if more >= 10 { Ok(()) } else { Err(format!("{more}")) }
    })
    .await;
    lab.sink.stays(&ids(&containers), Duration::from_secs(2)).await;
    let (registered, deregistered) = lab.sink.written(written);
    assert!(deregistered.is_empty(), "{deregistered:?}");
    // Bound: one attempt for each service, however often it is read again.
    assert!(registered.len() <= containers.len(), "{} attempts", registered.len());

    // With the permission it goes on.
    lab.sink.consul.put(&path, &with(r#"service_prefix "" { policy = "write" }"#)).await;
    let more = names("new", 1);
    lab.start(&more, &[]);
    lab.sink.exactly(&ids(containers.iter().chain(&more)), SOON).await;
    lab.sink.assert_foreign_untouched().await;
}

/// Wait until the log says that the token lacks something.
async fn report(daemon: &Daemon, after: usize) {
    until(SOON, "a report on the token", async || {
        let log = daemon.log();
        let mut lines = log.lines().skip(after);
        let told = |line: &str| {
            let serious = line.contains("WARN") || line.contains("ERROR");
            serious && line.contains("token") && line.contains("read")
        };
        if lines.any(told) { Ok(()) } else { Err(log) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deregistered_or_altered_by_hand_is_repaired_and_said() {
    let lab = Lab::new().await;
    let containers = names("c", 3);
    lab.start(&containers, &["-e", "SERVICE_TAGS=a,b"]);
    let daemon = lab.daemon(&["-resync", "1"]).await;
    let all = ids(&containers);
    lab.sink.exactly(&all, SOON).await;
    daemon.wait_for_log("Syncing services on 3 containers", SOON).await;
    until(SOON, "the daemon knows", async || {
        let count = daemon.log().lines().filter(|line| line.contains("added: ")).count();
        if count == 3 { Ok(()) } else { Err(count.to_string()) }
    })
    .await;
    let (written, seen) = (lab.sink.proxy.count(), daemon.lines());

    lab.sink.consul.deregister("testhost:c0:80").await;
    let right = lab.sink.consul.services().await["testhost:c1:80"].clone();
    let altered = json!({
        "ID": right["ID"], "Name": right["Service"], "Address": right["Address"],
        "Meta": right["Meta"], "Port": 4711, "Tags": ["a", "somebody else's"],
    });
    lab.sink.consul.register_foreign(&altered).await;

    until(SOON, "both are repaired", async || {
        let services = lab.sink.consul.services().await;
        let repaired = services.get("testhost:c1:80") == Some(&right);
        if services.contains_key("testhost:c0:80") && repaired {
            Ok(())
        } else {
            Err(format!("{services:?}"))
        }
    })
    .await;
    let added = daemon.wait_for_log_after(seen, "added: ", SOON).await;
    assert!(added.contains("testhost:c0:80"), "{added}");
    let changed = daemon.wait_for_log_after(seen, "changed (port, tags): ", SOON).await;
    assert!(changed.contains("testhost:c1:80"), "{changed}");
    lab.sink.stays(&all, Duration::from_secs(2)).await;
    let repaired = names("c", 2);
    lab.sink.assert_written_once(written, &ids(&repaired), &none());
    lab.sink.assert_foreign_untouched().await;
}

#[tokio::test]
async fn the_proxy_refuses_and_comes_back() {
    let consul = Consul::start(consul::Options::default()).await;
    let proxy = Proxy::start(&consul.addr()).await;
    let url = format!("http://{}/v1/agent/services", proxy.addr());
    proxy.set(Mode::Refuse);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    until(SOON, "nobody listens", async || match client.get(&url).send().await {
        Err(error) if error.is_connect() => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    proxy.set(Mode::Pass);
    until(SOON, "it is back", async || {
        client.get(&url).send().await.map(drop).map_err(|error| format!("{error:?}"))
    })
    .await;
    assert_eq!(proxy.count(), 0);
}
