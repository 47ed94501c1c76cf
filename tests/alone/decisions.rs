//! Guarantee: the decision log says of each container what was decided, by whom, why, and what was
//! written; it holds no secret; and nothing that befalls it keeps a container from being registered.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use serde_json::Value;

use crate::common::{
    author::wharfinger_reading,
    daemon::Daemon,
    fake_host::{FakeHost, watched},
    looker::{event, serving, start},
    root,
    wait::until,
};

const SOON: Duration = Duration::from_secs(60);

fn log(host: &FakeHost) -> PathBuf {
    host.folder().join("decisions.jsonl")
}

/// A daemon with a stage that vetoes what has no owner, and one that would veto.
fn daemon(host: &FakeHost, decisions: &str) -> Daemon {
    host.daemon(&format!("[decisions]\n{decisions}\n{}", watched()))
}

/// The lines so far, as soon as one has this in it.
async fn lines(host: &FakeHost, part: &str) -> Vec<Value> {
    let log = log(host);
    until(SOON, format!("{part} is in the log"), async move || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        match text.ends_with('\n') && text.contains(part) {
            true => Ok(text),
            false => Err(text),
        }
    })
    .await
    .lines()
    .map(|line| serde_json::from_str(line).expect("a line is JSON"))
    .collect()
}

/// The lines without what differs from run to run.
fn settled(lines: &[Value]) -> String {
    let mut text = String::new();
    for line in lines {
        let mut line = line.clone();
        for field in ["at", "pipeline"] {
            assert!(line[field].as_str().is_some_and(|value| !value.is_empty()), "{line}");
            line[field] = Value::Null;
        }
        text.push_str(&line.to_string());
        text.push('\n');
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_story_says_who_kept_what_out_and_why() {
    let host = FakeHost::new();
    let daemon = daemon(&host, "file = 'decisions.jsonl'");
    daemon.wait_for_log("Writing decisions to ", SOON).await;
    daemon.wait_for_log("Syncing services on 0 containers", SOON).await;
    start(&host.docker, "web", 1, &[("owner", "ann"), ("SERVICE_TAGS", "blue")]);
    lines(&host, "\"name\":\"web\"").await;
    start(&host.docker, "stray", 2, &[]);
    lines(&host, "\"name\":\"stray\"").await;
    start(&host.docker, "quiet", 3, &[("SERVICE_IGNORE", "true")]);
    lines(&host, "\"name\":\"quiet\"").await;
    // The same again is no news.
    event(&host.docker, 1, "start");
    event(&host.docker, 2, "start");
    // Another label of the same container is.
    let labels = [("owner", "ann"), ("SERVICE_TAGS", "green")];
    host.docker.set("web", Some(serving("web", 1, &labels)));
    event(&host.docker, 1, "start");
    lines(&host, "green").await;
    host.docker.set("web", None);
    event(&host.docker, 1, "die");
    let lines = lines(&host, "\"outcome\":\"gone\"").await;
    let found = settled(&lines);
    let expected = root().join("tests/fixtures/decisions/story.jsonl");
    if std::env::var_os("WHARFINGER_WRITE_REFERENCE").is_some() {
        fs::write(&expected, &found).expect("it is written");
    }
    let expected = fs::read_to_string(expected).expect("the file is committed");
    assert!(found == expected, "the log is\n{found}\nand not\n{expected}");

    // And for people.
    let log = log(&host).display().to_string();
    let folder = host.folder();
    let said = |args: &[&str]| {
        let said = wharfinger_reading(folder, args, "");
        assert_eq!(said.code, Some(0), "{args:?}: {said:?}");
        said.stdout
    };
    let all = said(&["decisions", &log]);
    assert_eq!(all.lines().filter(|line| line.starts_with("20")).count(), lines.len(), "{all}");
    let vetoed = said(&["decisions", "--vetoed", "--stage", "owner", "--since", "8h", &log]);
    assert!(vetoed.contains("stray") && vetoed.contains("stage owner"), "{vetoed}");
    assert!(vetoed.contains("the container has no label owner"), "{vetoed}");
    assert!(!vetoed.contains("web ") && !vetoed.contains("quiet"), "{vetoed}");
    assert!(said(&["decisions", "--vetoed", "--stage", "watching", &log]).is_empty());
    let watching = said(&["decisions", "--stage", "watching", "--container", "web", &log]);
    assert!(watching.contains("would be vetoed") && !watching.contains("stray"), "{watching}");
    let raw = said(&["decisions", "--container", "web", "--json", &log]);
    assert_eq!(raw.lines().count(), 3, "{raw}");
    let text = format!("nonsense\n{}", fs::read_to_string(&log).expect("the log"));
    let piped = wharfinger_reading(folder, &["decisions", "-"], &text);
    assert_eq!((piped.code, &piped.stdout), (Some(0), &all), "{piped:?}");
    assert!(piped.stderr.contains("1"), "{piped:?}");
    let none = wharfinger_reading(folder, &["decisions", "nowhere.jsonl"], "");
    assert!(none.code == Some(1) && none.stderr.contains("nowhere.jsonl"), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_secret_is_not_in_it() {
    let host = FakeHost::new();
    let _daemon = daemon(&host, "file = 'decisions.jsonl'");
    let mut inspected = serving(
        "web",
        1,
        &[
            ("owner", "ann"),
            ("SERVICE_DB_PASSWORD", "hunter2-of-a-label"),
            ("SERVICE_TAGS", "token=hunter2-of-a-tag"),
            ("com.example.api-key", "hunter2-of-another"),
        ],
    );
    inspected["Config"]["Env"] =
        serde_json::json!(["HOME=/root", "API_TOKEN=hunter2-of-env", "X=plain-of-env"]);
    host.docker.set("web", Some(inspected));
    event(&host.docker, 1, "start");
    lines(&host, "\"name\":\"web\"").await;
    let text = fs::read_to_string(log(&host)).expect("the log");
    assert!(!text.contains("hunter2") && !text.contains("plain-of-env"), "{text}");
    let mode = {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(log(&host)).expect("the log").permissions().mode() & 0o777
    };
    assert_eq!(mode & !0o640, 0, "{mode:o}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_moved_away_is_made_anew() {
    let host = FakeHost::new();
    let mut daemon = daemon(&host, "file = 'decisions.jsonl'");
    start(&host.docker, "a", 1, &[("owner", "ann")]);
    lines(&host, "\"name\":\"a\"").await;
    let old = host.folder().join("decisions.1");
    fs::rename(log(&host), &old).expect("it is moved");
    start(&host.docker, "b", 2, &[("owner", "ann")]);
    assert_eq!(lines(&host, "\"name\":\"b\"").await.len(), 1);
    fs::rename(log(&host), host.folder().join("decisions.2")).expect("it is moved");
    daemon.signal("HUP");
    start(&host.docker, "c", 3, &[("owner", "ann")]);
    assert_eq!(lines(&host, "\"name\":\"c\"").await.len(), 1);
    assert!(!fs::read_to_string(old).expect("it is there").contains("\"name\":\"b\""));
    assert!(daemon.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_no_registration_and_is_said() {
    let host = FakeHost::new();
    let mut daemon = daemon(&host, "file = 'decisions.jsonl'");
    start(&host.docker, "a", 1, &[("owner", "ann")]);
    lines(&host, "\"name\":\"a\"").await;
    let size = fs::metadata(log(&host)).expect("the log").len();
    // Half a line more, which is what a disk has left at its end.
    let limit = |bytes: &str| {
        let pid = daemon.pid().to_string();
        let done =
            Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:")]).status();
        assert!(done.expect("prlimit is part of util-linux").success());
    };
    limit(&(size + 100).to_string());
    for number in 2..20 {
        start(&host.docker, &format!("c{number}"), number, &[("owner", "ann")]);
        let added = format!("h:c{number}:80");
        daemon.wait_for_log(&format!("added: 000000000000 {added}"), SOON).await;
    }
    daemon.wait_for_log("decisions cannot be written; all else goes on", SOON).await;
    limit("unlimited");
    start(&host.docker, "z", 100, &[("owner", "ann")]);
    let lines = lines(&host, "\"name\":\"z\"").await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    let said = daemon.wait_for_log("decisions are missing in the decision log", SOON).await;
    assert!(said.contains("decision log: 18"), "{said}");
    assert!(daemon.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_cannot_be_written_to_costs_no_registration() {
    let host = FakeHost::new();
    let daemon = daemon(&host, "file = 'not/there/decisions.jsonl'");
    daemon
        .wait_for_log("decisions.file: decisions cannot be written; it is tried again", SOON)
        .await;
    start(&host.docker, "a", 1, &[("owner", "ann")]);
    daemon.wait_for_log("added: 000000000000 h:a:80", SOON).await;
    fs::create_dir_all(host.folder().join("not/there")).expect("a folder");
    start(&host.docker, "b", 2, &[("owner", "ann")]);
    daemon.wait_for_log("decisions are written again", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_can_go_to_the_standard_output() {
    let host = FakeHost::new();
    let mut daemon = daemon(&host, "stdout = true");
    start(&host.docker, "a", 1, &[("owner", "ann")]);
    daemon.wait_for_log("\"name\":\"a\"", SOON).await;
    assert!(daemon.terminate().await.success());
    let out = daemon.stdout();
    let lines: Vec<Value> =
        out.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    assert!(lines.iter().any(|line| line["outcome"] == "registered"), "{out}");
}
