//! Guarantee: `wharfinger explain` says for each kind of absence why nothing is
//! registered: not published, ignored, vetoed, failed, selected by nothing, refused
//! by Consul's ACL, not running, held; and it says so of the running daemon.

use crate::common::{
    consul,
    daemon::Daemon,
    lab::{HOST, IP, Lab, SOON, after_registrator},
    plugin,
    wait::until,
};
use reqwest::Method;
use serde_json::{Value, json};

/// A host with a Consul that denies what no token allows, and a token that may
/// write every service but `forbidden`.
async fn guarded() -> (Lab, String) {
    let master = "5b7a3a2e-0000-4000-8000-000000000001";
    let acl = json!({"acl": {
        "enabled": true, "default_policy": "deny", "tokens": {"master": master, "agent": master},
    }});
    let lab = Lab::with(consul::Options {
        config: vec![("acl.json".into(), acl.to_string())],
        token: Some(master.into()),
        ..Default::default()
    })
    .await;
    let consul = &lab.consul;
    until(SOON, "the token", async || {
        consul.send(Method::GET, "/v1/acl/policies", &Value::Null).await
    })
    .await;
    let rules = r#"agent_prefix "" { policy = "read" }
        service_prefix "" { policy = "write" } service "forbidden" { policy = "read" }"#;
    consul.put("/v1/acl/policy", &json!({"Name": "daemon", "Rules": rules})).await;
    let token = consul.put("/v1/acl/token", &json!({"Policies": [{"Name": "daemon"}]})).await;
    let token = token["SecretID"].as_str().expect("a token").to_string();
    (lab, token)
}

/// What the daemon says of a container or service.
async fn ask(daemon: &Daemon, what: &str) -> Value {
    let control = daemon.dir().join("control.sock");
    let control = control.to_str().expect("a path");
    let mut child =
        Daemon::start(&["explain", what, "--output", "json", "--control", control], &[]);
    let status = child.wait(SOON).await;
    assert!(status.success(), "{what}: {}", child.log());
    serde_json::from_str(&child.stdout()).expect("JSON")
}

/// The kinds of absence, with the words.
fn absences(explained: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let all = explained[0]["absences"].as_array().into_iter().flatten();
    all.map(|one| (text(&one["kind"]), text(&one["words"]))).collect()
}

async fn says(daemon: &Daemon, what: &str, kind: &str, part: &str) {
    until(SOON, format!("{what} is {kind} ({part})"), async || {
        let explained = ask(daemon, what).await;
        let found = absences(&explained);
        let one = found.len() == 1 && found[0].0 == kind && found[0].1.contains(part);
        if one { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

fn config(owner: &str) -> String {
    let further = format!("settings = {{ owner-label = '{owner}' }}\n");
    let hostile = plugin("hostile");
    let first = "[containers]\nselect = '!(\"hidden\" in labels)'\n";
    format!(
        "{first}{}[[pipeline]]\nname = 'hostile'\nfile = {hostile:?}\n",
        after_registrator("convention", "convention", &further)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_absence_is_told() {
    let (lab, token) = guarded().await;
    for n in 0..6 {
        lab.start(&format!("ok{n}"), &["-P", "-l", "owner=ann"]);
    }
    lab.start("inner", &["-l", "owner=ann"]);
    lab.start("quiet", &["-P", "-l", "owner=ann", "-e", "SERVICE_IGNORE=yes"]);
    lab.start("nobodys", &["-P"]);
    lab.start("failing", &["-P", "-l", "owner=ann", "-l", "hostile=error"]);
    lab.start("hidden", &["-P", "-l", "owner=ann", "-l", "hidden=1"]);
    lab.start("secret", &["-P", "-l", "owner=ann", "-e", "SERVICE_NAME=forbidden"]);
    lab.start("ended", &["-P", "-l", "owner=ann"]);
    lab.docker.run(&["stop", "-t", "0", "ended"]);

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wharfinger.toml");
    std::fs::write(&file, config("owner")).expect("the file is written");
    let (uri, path) = (lab.uri(), file.to_str().expect("a path"));
    let env = [("DOCKER_HOST", lab.docker.host()), ("CONSUL_HTTP_TOKEN", token)];
    let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
    let args = ["run", "--config", path, "--ip", IP, "--hostname", HOST, uri.as_str()];
    let daemon = Daemon::start(&args, &env);
    daemon.wait_for_log("Syncing services", SOON).await;

    until(SOON, "ok0 is registered", async || {
        let explained = ask(&daemon, "ok0").await;
        let standing = &explained[0]["services"][0]["standing"];
        if standing == "registered" { Ok(()) } else { Err(explained.to_string()) }
    })
    .await;
    says(&daemon, "inner", "not-published", "port 80 not published").await;
    says(&daemon, "quiet", "ignored", "SERVICE_IGNORE").await;
    says(&daemon, "nobodys", "vetoed", "by stage convention: the container has no label").await;
    says(&daemon, "failing", "failed", "stage hostile (on-error = hold): could not decide").await;
    says(&daemon, "hidden", "not-selected", "containers.select").await;
    says(&daemon, "secret", "forbidden", "service \"forbidden\"").await;
    says(&daemon, "ended", "not-running", "the container is exited, exit code").await;
    // By a service's ID, also one that was never registered, and by its name.
    let id = format!("{HOST}:nobodys:80");
    assert_eq!(ask(&daemon, &id).await[0]["container"]["name"], "nobodys");
    assert_eq!(ask(&daemon, "forbidden").await[0]["container"]["name"], "secret");
    lab.consul.register_foreign(&json!({"ID": "db", "Name": "db", "Port": 5432})).await;
    assert_eq!(absences(&ask(&daemon, "db").await)[0].0, "foreign");
    // A whole ID is meant before the beginning of a container's identifier.
    let quiet = lab.docker.run(&["inspect", "--format", "{{.Id}}", "quiet"]);
    let beginning = &quiet.trim()[..4];
    assert_eq!(absences(&ask(&daemon, beginning).await)[0].0, "ignored");
    let foreign = json!({"ID": beginning, "Name": "another", "Port": 5433});
    lab.consul.register_foreign(&foreign).await;
    assert_eq!(absences(&ask(&daemon, beginning).await)[0].0, "foreign");
    let explained = ask(&daemon, "failing").await;
    let trace = explained[0]["outcome"]["trace"].as_array().expect("what was done so far");
    assert_eq!(trace.len(), 3, "{explained:#}");

    // Worked out afresh it is the same.
    let afresh = async |what: &str| -> Value {
        let line = ["explain", what, "--config", path, "--ip", IP, "--hostname", HOST];
        let mut child = Daemon::start(&[&line[..], &["--output", "json", &uri]].concat(), &env);
        assert!(child.wait(SOON).await.success(), "{}", child.log());
        serde_json::from_str(&child.stdout()).expect("JSON")
    };
    let said = absences(&ask(&daemon, "nobodys").await);
    assert_eq!(absences(&afresh("nobodys").await), said);
    let forbidden = absences(&afresh("secret").await);
    assert_eq!(forbidden.len(), 1, "{forbidden:?}");
    assert_eq!(forbidden[0].0, "forbidden");
    assert!(forbidden[0].1.contains("service \"forbidden\""), "{forbidden:?}");
    let line = ["plan", "--config", path, "--ip", IP, "--hostname", HOST, uri.as_str()];
    let mut child = Daemon::start(&line, &env);
    assert_eq!(child.wait(SOON).await.code(), Some(1), "a container cannot be judged");
    let stdout = child.stdout();
    let last = stdout.lines().last().unwrap_or_default();
    assert!(last.starts_with("Plan: 1 to register") && last.contains("1 forbidden"), "{stdout}");

    // A policy by which nobody owns anything would take out everything.
    std::fs::write(&file, config("nobody")).expect("the file is written");
    daemon.wait_for_log("held:", SOON).await;
    until(SOON, "ok0 is held", async || {
        let found = absences(&ask(&daemon, "ok0").await);
        let kinds: Vec<_> = found.iter().map(|(kind, _)| kind.as_str()).collect();
        if kinds == ["vetoed", "held"] { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    let control = daemon.dir().join("control.sock");
    let control = control.to_str().expect("a path");
    let mut child = Daemon::start(&["explain", "no-such-thing", "--control", control], &[]);
    assert_eq!(child.wait(SOON).await.code(), Some(1));
    assert!(child.stderr().contains("no-such-thing"), "{}", child.log());
}
