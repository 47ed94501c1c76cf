//! Guarantee: what is a secret by its name or by its form is shown, logged and recorded nowhere
//! unless that is asked for, and a recorded container is replayed as it was.

use std::{fs, path::Path, time::Duration};

use crate::common::{
    author::inspected, daemon::Daemon, fake_docker::FakeDocker, http::Activity, plugin,
    recording_consul::RecordingConsul, wait,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(120);
const SAME: &str = "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n";

/// Labels and variables with a secret each, which has `s3cr3t` in it.
const SECRETS: [(&str, &str); 16] = [
    ("SERVICE_DB_PASSWORD", "s3cr3t-pw"),
    ("SERVICE_80_API_KEY", "s3cr3t-key"),
    ("SERVICE_80_TCP_CLIENT_SECRET", "s3cr3t-client"),
    ("SERVICE_REDIS_AUTH", "s3cr3t-auth"),
    ("SERVICE_SENTRY_DSN", "s3cr3t-dsn"),
    ("SERVICE_DB", "postgres://app:s3cr3t-url@db/shop"),
    ("SERVICE_HOOK", "https://h/x?access_token=s3cr3t-query"),
    ("SERVICE_OPTIONS", "--user=x --password=s3cr3t-flag"),
    ("SERVICE_JWT_", "eyJhbGciOiJIUzI1NiJ9.eyJzM3IzdCI6MX0.s3cr3t-signature"),
    ("SERVICE_PEM", "-----BEGIN PRIVATE KEY-----\ns3cr3t-pem\n-----END PRIVATE KEY-----"),
    ("SERVICE_CHECK_HTTP", "/health?token=s3cr3t-check"),
    ("SERVICE_CHECK_HEADER", r#"{"Authorization":["Bearer s3cr3t-HEADER"],"Accept":["a"]}"#),
    ("SERVICE_CHECK_BODY", r#"{"password":"s3cr3t-body"}"#),
    ("SERVICE_TAGS", "blue,x.basicauth.users=a:s3cr3t-tag"),
    ("com.example.db.password", "s3cr3t-label"),
    ("OTHER_TOKEN", "s3cr3t-other"),
];

fn container(folder: &Path, variables: bool) -> Value {
    let labels: &[(&str, &str)] = if variables { &[] } else { &SECRETS };
    let mut all: Value = serde_json::from_str(&inspected(labels)).expect("JSON");
    all[0]["Config"]["Labels"]["SERVICE_NAME"] = json!("web");
    all[0]["State"]["Running"] = json!(true);
    if variables {
        let env = SECRETS.iter().map(|(key, value)| format!("{key}={value}"));
        all[0]["Config"]["Env"] = json!(env.collect::<Vec<_>>());
    }
    fs::write(folder.join("containers.json"), all.to_string()).expect("the file is written");
    all[0].clone()
}

async fn typed(line: &str, folder: &Path) -> (Option<i32>, String, String) {
    let line = line.replace('@', &folder.display().to_string());
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut child = Daemon::start(&words, &[("WHARFINGER_LOG", "debug")]);
    let status = child.wait(SOON).await;
    (status.code(), child.stdout(), child.stderr())
}

#[track_caller]
fn is_clean(text: &str, what: &str) {
    let line = text.lines().find(|line| line.contains("s3cr3t"));
    assert_eq!(line, None, "{what}");
}

#[tokio::test]
async fn no_command_shows_a_secret_and_a_record_is_replayed_as_it_was() {
    for compat in ["none", "registrator"] {
        for variables in [true, false] {
            let what = format!("--compat {compat}, variables: {variables}");
            let folder = tempfile::tempdir().expect("a folder");
            let host = format!("--hostname h -ip 192.0.2.1 --compat {compat}");
            let name = container(folder.path(), variables)["Name"].as_str().map(String::from);
            let name = name.expect("a name").trim_start_matches('/').to_string();
            fs::write(folder.path().join("same.toml"), SAME).expect("the file is written");
            let flags = format!("{host} --containers @/containers.json");
            for line in [
                format!("plan --all {flags}"),
                format!("plan --output json {flags}"),
                format!("plan --pipeline @/same.toml --all {flags}"),
                format!("explain {name} {flags}"),
                format!("explain {name} --output json {flags}"),
                format!("check {flags}"),
                format!("check --json {flags}"),
                format!("record --out @/fleet.jsonl {flags}"),
            ] {
                let (code, stdout, stderr) = typed(&line, folder.path()).await;
                assert!(matches!(code, Some(0..=2)), "{what}: {line}: {stderr}");
                is_clean(&stdout, &format!("{what}: {line}"));
                is_clean(&stderr, &format!("{what}: {line}"));
                assert!(!stderr.contains("depends on a secret"), "{what}: {stderr}");
            }
            let lines = fs::read_to_string(folder.path().join("fleet.jsonl")).expect("the file");
            is_clean(&lines, &what);
            let recorded: Value = serde_json::from_str(&lines).expect("a line");
            assert!(recorded["hidden"].as_u64().is_some_and(|count| count >= 10), "{lines}");
            let service = &recorded["result"]["services"][0];
            assert_eq!(service["name"], "web", "{lines}");
            let replay = "replay @/fleet.jsonl --pipeline @/same.toml";
            let (code, stdout, stderr) = typed(replay, folder.path()).await;
            assert_eq!(code, Some(0), "{what}: {stdout}{stderr}");
            assert_eq!(stdout, "1 container: no difference.\n", "{what}");

            let whole = format!("record --unredacted --out @/whole.jsonl {flags}");
            let (_, _, stderr) = typed(&whole, folder.path()).await;
            assert!(stderr.contains("warning: ") && stderr.contains("secrets"), "{stderr}");
            let lines = fs::read_to_string(folder.path().join("whole.jsonl")).expect("the file");
            assert!(lines.contains("s3cr3t-pw") && lines.contains("s3cr3t-other"), "{lines}");
        }
    }
}

#[tokio::test]
async fn metadata_has_none_unless_the_operator_says_otherwise() {
    let folder = tempfile::tempdir().expect("a folder");
    container(folder.path(), false);
    let flags = "--hostname h -ip 192.0.2.1 --containers @/containers.json";
    let line = format!("plan --output consul-json {flags}");
    let (_, stdout, stderr) = typed(&line, folder.path()).await;
    let bodies: Value = serde_json::from_str(&stdout).expect("JSON");
    let meta = bodies[0]["Meta"].to_string();
    is_clean(&meta, "metadata");
    // What is sent is what was said.
    let headers = bodies[0]["Checks"].to_string() + &bodies[0]["Check"].to_string();
    assert!(headers.contains("s3cr3t-HEADER"), "{stdout}{stderr}");
    let config = format!("{SAME}settings = {{ secret-words = ['client'] }}\n");
    fs::write(folder.path().join("w.toml"), config).expect("the file is written");
    let (_, stdout, _) = typed(&format!("{line} --config @/w.toml"), folder.path()).await;
    let bodies: Value = serde_json::from_str(&stdout).expect("JSON");
    let meta = &bodies[0]["Meta"];
    assert_eq!(
        (&meta["db_password"], &meta["tcp_client_secret"]),
        (&json!("s3cr3t-pw"), &Value::Null)
    );
    assert_eq!(meta["db"], Value::Null, "a password in a URL is one by its form: {meta}");
}

#[tokio::test]
async fn a_choice_by_a_secret_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    container(folder.path(), false);
    let select = "labels[?\"com.example.db.password\"].orValue(\"\") == \"s3cr3t-label\"";
    let config = format!("[containers]\nselect = '{select}'\n{SAME}");
    fs::write(folder.path().join("w.toml"), config).expect("the file is written");
    let line = "record --out @/fleet.jsonl --config @/w.toml --hostname h -ip 192.0.2.1 \
                --containers @/containers.json";
    let (code, _, stderr) = typed(line, folder.path()).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("depends on a secret"), "{stderr}");
    let lines = fs::read_to_string(folder.path().join("fleet.jsonl")).expect("the file");
    is_clean(&lines, "the record");
    let recorded: Value = serde_json::from_str(&lines).expect("a line");
    assert_eq!(recorded["inexact"], true, "{lines}");
    let replay = "replay @/fleet.jsonl --pipeline @/w.toml";
    let (code, stdout, _) = typed(replay, folder.path()).await;
    assert_eq!((code, &*stdout), (Some(0), "1 container: no difference.\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_none_in_either_form_whatever_a_stage_says() {
    for (form, compat) in [("text", "none"), ("json", "none"), ("text", "registrator")] {
        let folder = tempfile::tempdir().expect("a folder");
        let activity = Activity::default();
        let docker = FakeDocker::start(activity.clone());
        let consul = RecordingConsul::start(activity, Vec::new()).await;
        let mut one = container(folder.path(), false);
        // A value that a warning speaks of.
        one["Config"]["Labels"]["SERVICE_CHECK_INTERVAL"] = json!("token=s3cr3t-interval");
        docker.set("web", Some(one));
        let hostile = plugin("hostile");
        let config = format!("{SAME}[[pipeline]]\nname = 'h'\nfile = {hostile:?}\n");
        let file = folder.path().join("w.toml");
        fs::write(&file, config).expect("the file is written");
        let (host, uri, file) = (docker.host(), consul.uri(), file.display().to_string());
        let args = ["run", "--config", &file, "--hostname", "h", "-ip", "192.0.2.1"];
        let more = ["--log-format", form, "--compat", compat, &uri];
        let env = [("DOCKER_HOST", &*host), ("WHARFINGER_LOG", "debug")];
        let mut daemon = Daemon::start(&[&args[..], &more].concat(), &env);
        wait::until(SOON, "it is registered", async || match consul.ids() {
            ids if ids.is_empty() => Err(daemon.log()),
            _ => Ok(()),
        })
        .await;
        let control = daemon.dir().join("control.sock").display().to_string();
        for output in ["text", "json"] {
            let line = ["explain", "web", "--output", output, "--control", &control];
            let mut child = Daemon::start(&line, &[]);
            assert!(child.wait(SOON).await.success(), "{}", child.log());
            is_clean(&child.log(), &format!("explain, {form}, {compat}"));
        }
        daemon.terminate().await;
        is_clean(&daemon.log(), &format!("{form}, {compat}"));
    }
}
