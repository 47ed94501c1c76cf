//! Guarantee: a recorded fleet is run through another pipeline line by line, in the
//! order of the file; a line that is none is an error with its number; and what
//! containers are told stays with them.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::common::{daemon::Daemon, plugin, root};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(300);
const CONTAINERS: usize = 3000;

struct Fleet {
    folder: tempfile::TempDir,
}

impl Fleet {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).expect("the file is written");
        self.path(name)
    }

    /// The containers of the fixture as `record` writes them with these flags.
    async fn record(&self, name: &str, flags: &[&str]) -> (String, String) {
        let containers = root().join("tests/fixtures/fleet/containers.json");
        let (out, containers) = (self.path(name), text(&containers));
        let mut args = vec!["record", "--containers", &containers, "--hostname", "web1"];
        let out = text(&out);
        args.extend(["--ip", "192.0.2.10", "--out", &out]);
        args.extend(flags);
        let mut child = Daemon::start(&args, &[]);
        assert!(child.wait(PATIENCE).await.success(), "{}", child.log());
        (fs::read_to_string(&out).expect("the file"), child.stderr())
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path").to_string()
}

async fn replay(file: &Path, pipeline: &Path, flags: &[&str]) -> (Option<i32>, String, String) {
    let (file, pipeline) = (text(file), text(pipeline));
    let mut args = vec!["replay", &file, "--pipeline", &pipeline];
    args.extend(flags);
    let mut child = Daemon::start(&args, &[]);
    let status = child.wait(PATIENCE).await;
    (status.code(), child.stdout(), child.stderr())
}

const SAME: &str = "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n";

fn policy() -> String {
    let file = plugin("convention");
    let settings = "settings = { owner-label = 'owner', team-label = 'team', tag = 'managed' }";
    format!("{SAME}[[pipeline]]\nname = 'convention'\nfile = {file:?}\n{settings}\n")
}

/// A fleet of containers made of one line: every third has no owner.
fn many(line: &str, count: usize) -> String {
    let line: Value = serde_json::from_str(line).expect("a line");
    let mut text = String::new();
    for n in 0..count {
        let mut one = line.clone();
        one["container"]["id"] = json!(format!("{n:064x}"));
        one["container"]["name"] = json!(format!("c{n:06}"));
        let id = format!("web1:c{n:06}:80");
        one["result"]["services"][0]["id"] = json!(id);
        let owner = if n % 3 == 0 { "nobody" } else { "owner" };
        one["container"]["labels"] = json!({ owner: "ann", "team": "shop" });
        let _ = writeln!(text, "{one}");
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_is_replayed_in_order_and_what_differs_is_counted() {
    let fleet = Fleet::new();
    let (lines, _) = fleet.record("one.jsonl", &[]).await;
    let web = lines.lines().find(|line| line.contains("\"name\":\"web\"")).expect("web");
    let file = fleet.write("fleet.jsonl", &many(web, CONTAINERS));
    let (same, policy) = (fleet.write("same.toml", SAME), fleet.write("policy.toml", &policy()));

    let (code, stdout, stderr) = replay(&file, &same, &[]).await;
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert_eq!(stdout, format!("{CONTAINERS} containers: no difference.\n"));

    let (code, stdout, stderr) = replay(&file, &policy, &["--output", "json"]).await;
    assert_eq!(code, Some(2), "{stderr}");
    let lines: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let (summary, differences) = lines.split_last().expect("a summary");
    let names: Vec<_> =
        differences.iter().map(|one| one["name"].as_str().expect("a name")).collect();
    let expected: Vec<_> = (0..CONTAINERS).map(|n| format!("c{n:06}")).collect();
    assert_eq!(names, expected, "in the order of the file");
    assert_eq!(differences[0]["changes"][0]["what"], "removed");
    assert_eq!(differences[0]["changes"][0]["veto"]["stage"], "convention");
    assert_eq!(differences[1]["changes"][0]["fields"][0]["to"], "shop-web");
    let third = CONTAINERS / 3;
    let expected = json!({
        "containers": CONTAINERS, "differ": CONTAINERS, "fails": 0, "added": 0, "removed": third,
        "vetoed": { "convention": third }, "changed": 2 * third,
        "fields": { "name": 2 * third, "tags": 2 * third },
    });
    assert_eq!(summary["summary"], expected);

    let (code, stdout, _) = replay(&file, &policy, &["--summary"]).await;
    assert_eq!(code, Some(2));
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    assert!(
        stdout.starts_with(&format!("{CONTAINERS} containers, {CONTAINERS} differ")),
        "{stdout}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_monitored_stages_would_do_is_listed_and_counted() {
    let fleet = Fleet::new();
    let (lines, _) = fleet.record("one.jsonl", &[]).await;
    let web = lines.lines().find(|line| line.contains("\"name\":\"web\"")).expect("web");
    let file = fleet.write("fleet.jsonl", &many(web, 6));
    let monitored = policy().replace("name = 'convention'", "name = 'p'\nmode = 'monitor'");
    let monitored = fleet.write("monitored.toml", &monitored);

    let (code, stdout, stderr) = replay(&file, &monitored, &[]).await;
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let counts = "Monitored stages would: p: rename 4, veto 2 of 6 containers.\n";
    assert!(stdout.ends_with(&format!("6 containers: no difference.\n{counts}")), "{stdout}");
    let text =
        stdout.split_whitespace().filter(|word| !word.contains(['│', '─'])).collect::<Vec<_>>();
    let text = text.join(" ");
    for part in [
        "≈ web1:c000000:80 would be vetoed: ",
        "≈ web1:c000001:80 would change: ",
        "by p (monitored)",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let (_, stdout, _) = replay(&file, &monitored, &["--summary"]).await;
    assert_eq!(stdout, format!("6 containers: no difference.\n{counts}"));

    let (code, stdout, _) = replay(&file, &monitored, &["--output", "json"]).await;
    let lines: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((code, lines.len()), (Some(0), 7), "{stdout}");
    let would_be = &lines[0]["would_be"][0];
    assert_eq!(
        (&would_be["stage"], &would_be["service"]),
        (&json!("p"), &json!("web1:c000000:80"))
    );
    assert!(would_be["change"]["vetoed"].is_string(), "{would_be}");
    let counts = json!({ "p": { "containers": 6, "rename": 4, "change": 0, "veto": 2, "add": 0 } });
    assert_eq!(lines[6]["summary"]["monitored"], counts);
}

#[tokio::test]
async fn a_line_that_is_none_is_named() {
    let fleet = Fleet::new();
    let (lines, _) = fleet.record("one.jsonl", &[]).await;
    let first = lines.lines().next().expect("a line");
    let same = fleet.write("same.toml", SAME);
    let half = &first[..first.len() / 2];
    for (name, bad, fault) in [
        ("cut", half.to_string(), "it is no recorded container: EOF"),
        ("text", "hello".into(), "it is no recorded container: expected value"),
        ("new", first.replacen("\"version\":1", "\"version\":7", 1), "it is of version 7"),
    ] {
        let file = fleet.write(name, &format!("{first}\n{first}\n{bad}\n{first}\n"));
        let (code, _, stderr) = replay(&file, &same, &[]).await;
        assert_eq!(code, Some(1), "{name}: {stderr}");
        let place = format!("{}, line 3: {fault}", file.display());
        assert!(stderr.contains(&place), "{place:?} is not in {stderr}");
    }
    let (code, _, stderr) = replay(&fleet.path("none"), &same, &[]).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("cannot read") && stderr.contains("none"), "{stderr}");
}

#[tokio::test]
async fn what_containers_are_told_is_recorded_only_as_far_as_it_is_granted() {
    let fleet = Fleet::new();
    let (lines, stderr) = fleet.record("redacted.jsonl", &[]).await;
    assert!(!lines.contains("hunter2") && !lines.contains("DB_PASSWORD"), "{lines}");
    assert!(lines.contains("SERVICE_CHECK_HTTP") && !stderr.contains("warning"), "{stderr}");
    // The one that has ended is not recorded.
    assert_eq!(lines.lines().count(), 7, "{lines}");
    assert!(lines.lines().all(|line| !line.contains("\"name\":\"done\"")));
    let mode = std::os::unix::fs::MetadataExt::mode(
        &fs::metadata(fleet.path("redacted.jsonl")).expect("the file"),
    );
    assert_eq!(mode & 0o777, 0o600);

    let (lines, stderr) = fleet.record("whole.jsonl", &["--unredacted"]).await;
    assert!(lines.contains("hunter2"), "{lines}");
    assert!(stderr.contains("warning: ") && stderr.contains("secrets"), "{stderr}");

    let granted = format!("{SAME}grant.env = ['DB_*']\n");
    let config = text(&fleet.write("granted.toml", &granted));
    let (lines, stderr) = fleet.record("granted.jsonl", &["--config", &config]).await;
    assert!(stderr.contains("are granted by name (grant.env): DB_PASSWORD"), "{stderr}");
    assert!(lines.contains("hunter2") && !lines.contains("PATH"), "{lines}");
}
