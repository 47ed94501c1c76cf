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
    let (text, _) = typed(&daemon, &["status", "--monitor"]);
    assert!(!text.contains("\\u{1b}") && !text.contains('\u{1b}'), "no styles in a pipe: {text}");

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
    assert!(text.contains("Nothing to do: 3 would be otherwise by monitored stages"), "{text}");
    assert!(text.contains("would be vetoed: ") && text.contains("by policy (monitored)"), "{text}");
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
    let (text, _) = typed(&daemon, &["apply"]);
    assert!(!text.contains("\\u{1b}") && !text.contains('\u{1b}'), "no styles in a pipe: {text}");
    says(&daemon, &["explain", "--since", "1h", "c0"], 0, &["held", "apply --confirm"]).await;
    says(&daemon, &["status"], 2, &["6 held"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_the_running_daemons_unless_it_is_to_be_worked_out_afresh() {
    let lab = lab(2).await;
    // What registrator left, and what another host's daemon has at the place of `c3`.
    let left = serde_json::json!({ "ID": "h:left:80", "Name": "left", "Address": "192.0.2.10", "Port": 80 });
    lab.register(&left).await;
    let marks =
        serde_json::json!({ "wharfinger-host": "former", "wharfinger-container": "f".repeat(64) });
    let other = serde_json::json!({
        "ID": "former:c3:80", "Name": "c3", "Address": "192.0.2.10", "Port": 80, "Meta": marks,
    });
    lab.register(&other).await;
    let policy = format!(
        "{PIPELINE}[[pipeline]]\nname = 'policy'\nfile = {:?}\nsettings = {{ tag = 'team' }}\n",
        plugin("convention")
    );
    let daemon = lab.daemon(&[], Some(&policy));
    lab.has(&ids(0..2), SOON).await;
    let running = ["registrator → policy", "by the daemon that runs", "Nothing to do"];
    says(&daemon, &["plan"], 0, &running).await;
    // The daemon is reached by way of a proxy, which is its registry.
    let uri = format!("consul://{}", lab.proxy.addr());
    says(&daemon, &["plan", &uri], 0, &running).await;
    let left = "registrator left these on this host, and no container offers them: h:left:80";
    says(&daemon, &["plan"], 0, &[left, "-cleanup"]).await;
    let (json, code) = typed(&daemon, &["plan", "--output", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((json["host"].as_str(), code), (Some("h"), 0), "{json:#}");

    let afresh = |args: &[&str]| {
        let output = Command::new(Daemon::binary())
            .arg("plan")
            .args(args)
            .env("DOCKER_HOST", lab.docker.host())
            .env("WHARFINGER_CONTROL", daemon.dir().join("control.sock"))
            .env("COLUMNS", "200")
            .output()
            .expect("the program can be run");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    // Without the daemon's own flags it is another daemon's plan.
    let text = afresh(&["--fresh", &uri]);
    assert!(!text.contains("by the daemon that runs") && text.contains("Plan: "), "{text}");
    let elsewhere = format!("consul://{}", lab.consul.addr());
    let text = afresh(&[&elsewhere]);
    assert!(text.contains("warning: the daemon that runs here has the registry"), "{text}");
    lab.start("c3", 3, &[]);
    let text = afresh(&["-ip", "192.0.2.10", "--hostname", "new", &uri]);
    assert!(
        text.contains("former:c3:80; if this is that host, start with --hostname former"),
        "{text}"
    );
    assert!(!text.contains("services of host h "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_keeps_while_a_stage_fails_on_it_is_not_said_to_be_unwanted() {
    let lab = lab(1).await;
    lab.start("c1", 1, &[("hostile", "error")]);
    let mut first = lab.daemon(&[], Some(PIPELINE));
    lab.has(&ids(0..2), SOON).await;
    assert!(first.terminate().await.success());
    let failing = format!("{PIPELINE}[[pipeline]]\nname = 'x'\nfile = {:?}\n", plugin("hostile"));
    let daemon = lab.daemon(&[], Some(&failing));
    let kept =
        ["stage x (on-error = hold)", "it keeps the service that it has", "in Consul, and kept"];
    says(&daemon, &["explain", "c1"], 0, &kept).await;
    let (text, _) = typed(&daemon, &["explain", "c1"]);
    assert!(!text.contains("not wanted"), "{text}");
    says(&daemon, &["status"], 0, &["1 registered, 1 failed"]).await;
    says(
        &daemon,
        &["explain", "--since", "1h", "c1"],
        0,
        &["failed", "this container is beyond me"],
    )
    .await;
}
