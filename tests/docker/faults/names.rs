//! The daemon is called otherwise than before, or as another one is.

use std::{collections::BTreeSet, process::Command, time::Duration};

use super::lab::{HOST, IP, Lab, SOON, Watcher, daemon, ids, names};
use crate::common::{daemon::Daemon, dockerd::Dockerd, ports};

/// How soon two daemons of one name say so.
const NOTICE: Duration = Duration::from_secs(15);
const OTHER: &str = "for another container engine";

/// The daemon of this host's engine under another name.
fn called(lab: &Lab, name: &str) -> Daemon {
    let uri = lab.sink.uri();
    Daemon::start(&["-ip", IP, "-hostname", name, &uri], &[("DOCKER_HOST", &lab.docker.host())])
}

/// What `wharfinger plan` prints for a daemon of this name on this engine.
fn plan(lab: &Lab, docker: &str, name: &str) -> String {
    let mut command = Command::new(Daemon::binary());
    command.args(["plan", "--ip", IP, "--hostname", name, &lab.sink.uri()]);
    let output = command.env("DOCKER_HOST", docker).output().expect("the program runs");
    // Lines are wrapped, with the tree's branches before each.
    let text = String::from_utf8_lossy(&output.stdout).replace(['│', '├', '└', '─'], " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn errors(daemon: &Daemon, part: &str) -> usize {
    daemon.log().lines().filter(|line| line.contains("ERROR") && line.contains(part)).count()
}

/// As many as the bulk guard would hold.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_start_under_another_name_each_service_is_renamed_without_a_gap() {
    let lab = Lab::new().await;
    let containers = names("c", 8);
    lab.start(&containers, &[]);
    // An ID that does not change with the name.
    let fixed = names("fixed", 1);
    lab.start(&fixed, &["-e", "SERVICE_ID=mine"]);
    let old: BTreeSet<_> = ids(&containers);
    let new: BTreeSet<_> = containers.iter().map(|name| format!("renamed:{name}:80")).collect();
    let mine = BTreeSet::from(["mine".to_string()]);
    let mut first = lab.daemon(&[]).await;
    lab.sink.exactly(&old.union(&mine).cloned().collect(), SOON).await;
    assert!(first.terminate().await.success());
    let text = plan(&lab, &lab.docker.host(), "renamed");
    assert!(text.contains("this host was called testhost when it was registered"), "{text}");

    let written = lab.sink.proxy.count();
    let all = containers.clone();
    let watcher = Watcher::start(&lab.sink.consul, move |services| {
        let there = |name: &&String| {
            [HOST, "renamed"].iter().any(|host| services.contains(&format!("{host}:{name}:80")))
        };
        let missing: Vec<_> = all.iter().filter(|name| !there(name)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("missing are {missing:?}")) }
    });
    let mut second = called(&lab, "renamed");
    lab.sink.exactly(&new.union(&mine).cloned().collect(), SOON).await;
    watcher.held(3).await;
    lab.sink.assert_written_once(written, &new.union(&mine).cloned().collect(), &old);
    assert!(!second.log().contains("held:"), "{}", second.log());
    assert_eq!(errors(&second, ""), 0, "{}", second.log());
    assert!(second.terminate().await.success());

    // A start under the same name has nothing to do.
    let written = lab.sink.proxy.count();
    let third = called(&lab, "renamed");
    third.wait_for_log("Syncing services on", SOON).await;
    lab.sink.stays(&new.union(&mine).cloned().collect(), Duration::from_secs(2)).await;
    assert_eq!(lab.sink.proxy.count(), written);
    lab.sink.assert_foreign_untouched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_of_one_name_leave_each_others_services_alone_and_say_so() {
    let lab = Lab::new().await;
    let other = Dockerd::start().await;
    other.import_busybox("web:1", &["CMD [\"sleep\",\"1000000\"]", "EXPOSE 80"]);
    let [a, b] = [names("a", 3), names("b", 3)];
    let host = ["run", "-d", "--network=host", "--stop-signal=KILL", "--name"];
    lab.start(&a, &[]);
    for name in &b {
        other.run(&[&host[..], &[name, "web:1"]].concat());
    }
    // Both have a container of one name.
    let [first_port, second_port] = ports::free::<2>().map(|port| format!("{port}:80"));
    let publish = ["run", "-d", "--stop-signal=KILL", "--name", "same", "-p"];
    lab.docker.run(&[&publish[..], &[&first_port, "web:1"]].concat());
    other.run(&[&publish[..], &[&second_port, "web:1"]].concat());
    let same = ["same".to_string()];

    let mut first = lab.daemon(&[]).await;
    lab.sink.exactly(&ids(a.iter().chain(&same)), SOON).await;
    let written = lab.sink.proxy.count();
    let mut second = daemon(&other.host(), &[], &lab.sink.uri(), &[]);
    lab.sink.exactly(&ids(a.iter().chain(&same).chain(&b)), SOON).await;
    first.wait_for_log(OTHER, NOTICE).await;
    second.wait_for_log(OTHER, NOTICE).await;
    lab.sink.assert_written_once(written, &ids(&b), &Default::default());
    let text = plan(&lab, &other.host(), HOST);
    assert!(text.contains("for another container engine"), "{text}");
    assert!(text.contains("the ID is that of the daemon of another container engine"), "{text}");

    // Each goes on with its own.
    lab.remove(&a[..1]);
    other.run(&["rm", "-f", &b[0]]);
    let left = ids(a[1..].iter().chain(&same).chain(&b[1..]));
    lab.sink.exactly(&left, SOON).await;
    // Whoever starts again finds the other one's.
    assert!(first.terminate().await.success());
    assert!(second.terminate().await.success());
    let written = lab.sink.proxy.count();
    let mut first = lab.daemon(&["-resync", "1"]).await;
    let mut second = daemon(&other.host(), &["-resync", "1"], &lab.sink.uri(), &[]);
    for daemon in [&first, &second] {
        daemon.wait_for_log(OTHER, NOTICE).await;
    }
    lab.sink.stays(&left, Duration::from_secs(5)).await;
    assert_eq!(lab.sink.proxy.count(), written, "{:?}", lab.sink.written(written));
    for daemon in [&first, &second] {
        assert_eq!(errors(daemon, OTHER), 1, "{}", daemon.log());
    }
    assert!(first.is_running() && second.is_running());
    lab.sink.assert_foreign_untouched().await;
}
