//! What an operator asks of a running daemon: how it fares, what it has done and why, what
//! monitored stages would do, and what is held.

use std::{path::Path, process::Command, time::Duration};

use crate::{
    common::{daemon::Daemon, plugin, wait::until},
    lab::Lab,
};

const SOON: Duration = Duration::from_secs(30);
const PIPELINE: &str = "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n";

/// What a command says of the daemon with this folder, and its exit code.
fn typed(daemon: &Daemon, args: &[&str]) -> (String, i32) {
    let output = Command::new(Daemon::binary())
        .args(args)
        .env("WHARFINGER_CONTROL", daemon.dir().join("control.sock"))
        .env("COLUMNS", "160")
        .output()
        .expect("the program can be run");
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&text).into_owned(), output.status.code().unwrap_or(-1))
}

/// Wait until a command says all of this with that exit code.
async fn says(daemon: &Daemon, args: &[&str], code: i32, parts: &[&str]) {
    until(SOON, format!("{args:?} says {parts:?}"), async || {
        let (text, ended) = typed(daemon, args);
        let all = parts.iter().all(|part| text.contains(part)) && ended == code;
        if all { Ok(()) } else { Err(format!("{ended}: {text}")) }
    })
    .await;
}

fn ids(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("h:c{number}:80")).collect()
}

async fn lab(count: usize) -> Lab {
    let lab = Lab::new().await;
    for number in 0..count {
        lab.start(&format!("c{number}"), number, &[("owner", "ann")]);
    }
    lab
}

fn write(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).expect("it is written");
    std::fs::rename(&new, file).expect("it is renamed");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_how_all_of_it_fares_and_what_somebody_should_mend() {
    let mut lab = lab(3).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wharfinger.toml");
    write(&file, PIPELINE);
    let daemon = lab.daemon(&["--config", file.to_str().expect("a path")], None);
    lab.has(&ids(0..3), SOON).await;
    let whole = ["Docker: answers", "registry: answers", "services: 3; containers: 3 registered"];
    says(&daemon, &["status"], 0, &whole).await;
    let (text, _) = typed(&daemon, &["status"]);
    assert!(text.contains("running for") && text.contains("last full cycle: "), "{text}");
    assert!(!text.contains("last full cycle: none"), "{text}");

    // The next start would fail.
    write(&file, &format!("{PIPELINE}[[pipeline]]\nname = 'x'\nfile = 'none.wasm'\n"));
    says(&daemon, &["status"], 2, &["is not in force", "none.wasm", "since "]).await;
    write(&file, &format!("{PIPELINE}[lifecycle]\ndrain = '5s'\n"));
    let restart = "lifecycle: changed in the file, and needs a restart to take effect";
    says(&daemon, &["status"], 2, &[restart]).await;
    daemon.wait_for_log("is whole again", SOON).await;
    write(&file, PIPELINE);
    says(&daemon, &["status"], 0, &whole).await;

    lab.consul.stop().await;
    says(&daemon, &["status"], 2, &["registry: does not answer, for "]).await;
    let (json, _) = typed(&daemon, &["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (&json["registry"]["up"], &json["containers"]["registered"]),
        (&false.into(), &3.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_told_afterwards_also_of_what_is_gone() {
    let lab = lab(3).await;
    let daemon = lab.daemon(&[], Some(PIPELINE));
    lab.has(&ids(0..3), SOON).await;
    let mut dead = lab.docker.inspected("c1").expect("it is there");
    dead["State"] = serde_json::json!({
        "Status": "exited", "Running": false, "ExitCode": 3, "StartedAt": "2026-01-01T00:00:01Z",
    });
    lab.docker.set("c1", Some(dead));
    lab.event(1, "die");
    lab.docker.set("c2", None);
    lab.event(2, "destroy");
    let gone = "deregistered h:c2:80: its container is gone";
    says(&daemon, &["explain", "c2"], 0, &["registered h:c2:80: added", gone]).await;
    let ended = "deregistered h:c1:80: its container is exited, exit code 3";
    says(&daemon, &["explain", "--since", "1h"], 0, &[ended, gone, "h:c0:80"]).await;
    let log = daemon.log();
    assert!(
        log.contains("removed: 000000000000 h:c2:80 reason=\"its container is gone\""),
        "{log}"
    );
    let (text, code) = typed(&daemon, &["explain", "--since", "1h", "h:c0:80"]);
    assert!(text.contains("registered h:c0:80: added") && code == 0, "{code} {text}");
    assert!(!text.contains("c2"), "{text}");
    let (text, code) = typed(&daemon, &["explain", "nosuch"]);
    assert!(text.contains("\"nosuch\"") && code == 1, "{code} {text}");
    let (text, code) = typed(&daemon, &["explain", "--since", "1ns"]);
    assert_eq!((text.as_str(), code), ("Nothing has happened.\n", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_monitored_stages_would_do_is_shown_before_they_are_enforced() {
    let lab = lab(2).await;
    // The policy wants an owner.
    lab.start("c2", 2, &[]);
    let monitored = format!(
        "{PIPELINE}[[pipeline]]\nname = 'policy'\nmode = 'monitor'\nfile = {:?}\n\
         settings = {{ tag = 'team' }}\n",
        plugin("convention")
    );
    let daemon = lab.daemon(&[], Some(&monitored));
    lab.has(&ids(0..3), SOON).await;
    let parts = ["policy: change 2, veto 1 of 3 containers", "c2", "h:c2:80"];
    says(&daemon, &["status", "--monitor"], 0, &parts).await;

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wharfinger.toml");
    write(&file, &monitored);
    let uri = format!("consul://{}", lab.consul.addr());
    let output = Command::new(Daemon::binary())
        .args(["plan", "-ip", "192.0.2.10", "--hostname", "h", "--config"])
        .arg(&file)
        .arg(&uri)
        .env("DOCKER_HOST", lab.docker.host())
        .output()
        .expect("the program can be run");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("Nothing to do: 3 by monitored stages if they were enforced"), "{text}");
    assert!(text.contains("monitored stage policy would have it"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_shown_as_a_plan_is() {
    let lab = lab(6).await;
    let mut first = lab.daemon(&[], Some(PIPELINE));
    lab.has(&ids(0..6), SOON).await;
    assert!(first.terminate().await.success());
    let none = format!("[containers]\nselect = 'false'\n{PIPELINE}");
    let daemon = lab.daemon(&[], Some(&none));
    let parts = ["Held: 6 of 6 services", "c0", "h:c0:80", "is deregistered", "--confirm"];
    says(&daemon, &["apply"], 2, &parts).await;
}
