//! Docker fails: it is restarted, or falls silent.

use std::time::Duration;

use super::lab::{Lab, SOON, Watcher, daemon, ids, names};
use crate::common::{docker_proxy::DockerProxy, dockerd, ports, wait::until};

/// How soon the catalog is right after Docker is back.
const RETURN: Duration = Duration::from_secs(5);
/// How soon silence is noticed.
const NOTICE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_of_docker_what_runs_again_is_registered() {
    let mut lab = Lab::new().await;
    let [stays, ends, gone] = ["stays", "ends", "gone"].map(|prefix| names(prefix, 4));
    lab.start(&stays, &["--restart=always"]);
    lab.start(&ends, &[]);
    lab.start(&gone, &["--rm"]);
    let mut daemon = lab.daemon(&[]).await;
    lab.sink.exactly(&ids(stays.iter().chain(&ends).chain(&gone)), SOON).await;
    let seen = daemon.lines();
    lab.docker.stop().await;
    daemon.wait_for_log_after(seen, "Docker", SOON).await;
    lab.docker.resume().await;
    lab.sink.exactly(&ids(&stays), RETURN).await;
    lab.sink.stays(&ids(&stays), Duration::from_secs(2)).await;
    // Its events are heard again.
    lab.docker.run(&["start", "ends0"]);
    lab.sink.exactly(&ids(stays.iter().chain(&ends[..1])), RETURN).await;
    assert!(daemon.is_running());
    lab.sink.assert_foreign_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_live_restore_no_service_is_ever_missing() {
    let options = dockerd::Options { live_restore: true, ..Default::default() };
    let mut lab = Lab::with(options).await;
    let containers = names("c", 8);
    lab.start(&containers[..6], &[]);
    for name in &containers[6..] {
        let publish = format!("{}:80", ports::free::<1>()[0]);
        lab.docker.run(&["run", "-d", "--name", name, "-p", &publish, "web:1"]);
    }
    let mut daemon = lab.daemon(&[]).await;
    let all = ids(&containers);
    lab.sink.exactly(&all, SOON).await;
    let written = lab.sink.proxy.count();
    let expected = all.clone();
    let watcher = Watcher::start(&lab.sink.consul, move |services| {
        let missing: Vec<_> = expected.difference(services).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("missing are {missing:?}")) }
    });
    for kill in [false, true] {
        let seen = daemon.lines();
        if kill {
            lab.docker.kill9().await;
        } else {
            lab.docker.stop().await;
        }
        daemon.wait_for_log_after(seen, "Docker", SOON).await;
        lab.docker.resume().await;
        daemon.wait_for_log_after(seen, "Syncing services on 8 containers", RETURN).await;
        let new = format!("after-{kill}");
        lab.start(std::slice::from_ref(&new), &[]);
        until(SOON, "a new one is heard of", async || {
            let ours = lab.sink.ours().await;
            if ours.is_superset(&ids([&new])) { Ok(()) } else { Err(format!("{ours:?}")) }
        })
        .await;
        lab.remove(std::slice::from_ref(&new));
        lab.sink.exactly(&all, SOON).await;
    }
    watcher.held(50).await;
    let new = ids(&["after-false".to_string(), "after-true".to_string()]);
    lab.sink.assert_written_once(written, &new, &new);
    assert!(daemon.is_running());
    lab.sink.assert_foreign_untouched().await;
}

/// A host whose Docker is reached through a proxy that can fall silent.
async fn behind_proxy() -> (Lab, DockerProxy) {
    let lab = Lab::new().await;
    let proxy = DockerProxy::start(lab.docker.socket());
    (lab, proxy)
}

/// Events are missing from now on, but all else can be read.
async fn without_events(silence: impl FnOnce(&DockerProxy)) {
    let (lab, proxy) = behind_proxy().await;
    let [old, new] = [names("old", 3), names("new", 3)];
    lab.start(&old, &[]);
    let mut daemon = daemon(&proxy.host(), &[], &lab.sink.uri(), &[]);
    lab.sink.exactly(&ids(&old), SOON).await;
    // Events come through before, so that it is their end that is noticed.
    let first = names("first", 1);
    lab.start(&first, &[]);
    lab.sink.exactly(&ids(old.iter().chain(&first)), SOON).await;
    let written = lab.sink.proxy.count();
    silence(&proxy);
    lab.start(&new, &[]);
    lab.remove(&old[..2]);
    let right = ids(old[2..].iter().chain(&first).chain(&new));
    lab.sink.exactly(&right, NOTICE).await;
    assert!(daemon.is_running());
    lab.sink.assert_written_once(written, &ids(&new), &ids(&old[..2]));
    lab.sink.assert_foreign_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_events_that_hangs_is_noticed_within_30_s() {
    without_events(DockerProxy::silence_open_streams).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_never_come_again_are_done_without_within_30_s() {
    without_events(DockerProxy::silence_streams).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_docker_that_hangs_is_noticed_within_30_s_and_nothing_is_lost() {
    let (lab, proxy) = behind_proxy().await;
    let [old, new] = [names("old", 3), names("new", 3)];
    lab.start(&old, &[]);
    let mut daemon = daemon(&proxy.host(), &[], &lab.sink.uri(), &[]);
    lab.sink.exactly(&ids(&old), SOON).await;
    let (written, seen) = (lab.sink.proxy.count(), daemon.lines());
    proxy.silence_all();
    lab.start(&new, &[]);
    lab.remove(&old[..1]);
    let line = daemon.wait_for_log_after(seen, "WARN", NOTICE).await;
    assert!(line.contains("Docker") || line.contains("containers"), "{line}");
    // What cannot be read is not taken for gone.
    assert_eq!(lab.sink.proxy.count(), written);
    proxy.recover();
    let right = ids(old[1..].iter().chain(&new));
    lab.sink.exactly(&right, NOTICE).await;
    lab.sink.assert_written_once(written, &ids(&new), &ids(&old[..1]));
    assert!(daemon.is_running());
    lab.sink.assert_foreign_untouched().await;
}
