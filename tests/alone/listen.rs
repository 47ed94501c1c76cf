//! Guarantee: the daemon can be looked at over HTTP by those who may and by nobody else, what is seen
//! is what the commands print, and nobody who looks keeps a container from being registered.

use std::{fs, net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::common::{
    daemon::Daemon,
    fake_docker::Way,
    fake_host::{FakeHost, REGISTRATOR, watched},
    looker::{address, ask, get, get_with, start},
    root,
    wait::until,
};

const SOON: Duration = Duration::from_secs(60);
const TOKEN: &str = "correct-horse-battery-staple";

/// A daemon that listens, and where.
async fn listening(host: &FakeHost, listen: &str) -> (Daemon, SocketAddr) {
    let text = format!("[listen]\naddress = '127.0.0.1:0'\n{listen}\n{REGISTRATOR}");
    let daemon = host.daemon(&text);
    let at = address(&daemon).await;
    (daemon, at)
}

async fn ready(at: SocketAddr) {
    until(SOON, "it is ready", async || {
        let seen = get(at, "/readyz").await;
        if seen.status == 200 { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_questions_for_its_own_names_and_nothing_else() {
    let host = FakeHost::new();
    let (_daemon, at) = listening(&host, "hosts = ['wharfinger.example']").await;
    ready(at).await;
    for (request, status) in [
        ("GET /metrics HTTP/1.1\r\nHost: localhost", 200),
        ("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:1", 200),
        ("GET /metrics HTTP/1.1\r\nHost: wharfinger.example:8700", 200),
        ("HEAD /metrics HTTP/1.1\r\nHost: localhost", 200),
        ("GET http://localhost/metrics HTTP/1.1\r\nHost: localhost", 200),
        ("GET /metrics HTTP/1.1\r\nHost: evil.example", 421),
        ("GET /livez HTTP/1.1\r\nHost: evil.example", 421),
        ("GET / HTTP/1.1\r\nHost: localhost.evil.example", 421),
        ("GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost", 421),
        ("GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example", 421),
        ("GET /metrics HTTP/1.0", 421),
        ("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0", 405),
        ("PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0", 405),
        ("DELETE /api/v1/apply HTTP/1.1\r\nHost: localhost", 405),
        ("OPTIONS /api/v1/status HTTP/1.1\r\nHost: localhost", 405),
        ("POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0", 405),
        ("GET /nothing HTTP/1.1\r\nHost: localhost", 404),
        ("GET /assets/../../etc/passwd HTTP/1.1\r\nHost: localhost", 404),
        ("GET /api/v1/explain/nobody HTTP/1.1\r\nHost: localhost", 404),
        ("GET /api/v1/history?since=soon HTTP/1.1\r\nHost: localhost", 400),
        ("GET /api/v1/history?until=8h HTTP/1.1\r\nHost: localhost", 400),
        ("nonsense", 400),
    ] {
        let seen = ask(at, &format!("{request}\r\n\r\n")).await;
        assert_eq!(seen.status, status, "{request}: {seen:?}");
        if status == 405 {
            assert_eq!(seen.field("allow"), Some("GET, HEAD"), "{seen:?}");
        }
        if request.starts_with("HEAD") {
            assert!(seen.body.is_empty(), "{seen:?}");
        }
    }
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(60_000));
    let seen = ask(at, &long).await;
    assert!(matches!(seen.status, 0 | 431), "{seen:?}");
    assert_eq!(get(at, "/livez").await.body, "alive\n");

    let page = get(at, "/").await;
    assert_eq!((page.status, page.field("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.field("content-security-policy").expect("a policy of contents");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.field("x-content-type-options"), Some("nosniff"));
    let files = page.body.split("\"/assets/").skip(1).filter_map(|rest| rest.split('"').next());
    for file in files.chain(["explain.js"]) {
        assert_eq!(get(at, &format!("/assets/{file}")).await.status, 200, "{file}");
    }
    let metrics = get(at, "/metrics").await.body;
    for reason in ["host", "method"] {
        let line = format!("wharfinger_listener_refused_total{{reason=\"{reason}\"}} ");
        let count = metrics.lines().find_map(|found| found.strip_prefix(&line));
        assert!(count.is_some_and(|count| count != "0"), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_nothing_is_seen_without_it() {
    let host = FakeHost::new();
    fs::write(host.folder().join("token"), format!("{TOKEN}\n")).expect("it is written");
    let (_daemon, at) = listening(&host, "token-file = 'token'").await;
    ready(at).await;
    let paths = [
        "/metrics",
        "/api/v1/status",
        "/api/v1/containers",
        "/api/v1/explain/web",
        "/api/v1/plan",
        "/api/v1/apply",
        "/api/v1/history",
        "/api/v1/decisions",
        "/api/v1/policy/forecast",
        "/api/v1/events",
        "/api/v1/openapi.json",
        "/assets/page.js",
        "/nothing",
    ];
    for path in paths {
        for field in ["X: y", "Authorization: Bearer wrong", "Cookie: wharfinger=9999999999.00"] {
            let seen = get_with(at, path, field).await;
            assert_eq!(seen.status, 401, "{path} {field}: {seen:?}");
            assert!(!seen.body.contains(TOKEN), "{seen:?}");
        }
    }
    // A page for people asks for it.
    let login = get(at, "/").await;
    assert!(login.status == 401 && login.body.contains("type=\"password\""), "{login:?}");
    for file in ["login.js", "page.css", "icon.svg"] {
        assert_eq!(get(at, &format!("/assets/{file}")).await.status, 200, "{file}");
    }
    assert_eq!(get(at, "/livez").await.status, 200);
    assert_eq!(get_with(at, "/login", "Authorization: Bearer no").await.status, 401);
    assert_eq!(get(at, "/login").await.status, 401);

    let bearer = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(get_with(at, "/metrics", &bearer).await.status, 200);
    let seen = get_with(at, "/login", &bearer).await;
    let cookie = seen.field("set-cookie").expect("a cookie");
    assert!(seen.status == 204 && cookie.contains("HttpOnly; SameSite=Strict"), "{seen:?}");
    assert!(!cookie.contains(TOKEN), "{cookie}");
    let cookie = format!("Cookie: {}", cookie.split(';').next().expect("a value"));
    for path in ["/", "/api/v1/status", "/metrics", "/assets/page.js"] {
        assert_eq!(get_with(at, path, &cookie).await.status, 200, "{path}");
    }
    // Another start's is none.
    let (_other, elsewhere) = listening(&host, "token-file = 'token'").await;
    assert_eq!(get_with(elsewhere, "/api/v1/status", &cookie).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_when_all_was_looked_at_and_says_why_it_is_not() {
    let host = FakeHost::new();
    host.docker.misbehave("/containers/json", Some(Way::Hang));
    let (daemon, at) = listening(&host, "").await;
    let socket = daemon.dir().join("control.sock").display().to_string();
    let seen = get(at, "/readyz").await;
    assert_eq!(seen.status, 503, "{seen:?}");
    assert!(seen.body.starts_with("not ready: ") && seen.body.len() > 20, "{seen:?}");
    let health = |args: &[&str]| {
        let output = std::process::Command::new(Daemon::binary())
            .arg("health")
            .args(args)
            .env_remove("WHARFINGER_LISTEN")
            .output()
            .expect("the program can be run");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let at_text = at.to_string();
    let by_socket = ["--control", &socket];
    let by_http = ["--control", "none", "--listen", &at_text];
    for way in [&by_socket[..], &by_http] {
        let (code, words) = health(way);
        assert!(code == Some(1) && words.starts_with("not ready: "), "{way:?}: {code:?} {words}");
        assert_eq!(health(&[way, &["--live"]].concat()).0, Some(0), "{way:?}");
    }
    host.docker.misbehave("/containers/json", None);
    ready(at).await;
    for way in [&by_socket[..], &by_http] {
        assert_eq!(health(way), (Some(0), "ready\n".into()), "{way:?}");
    }
    // What is lost later keeps it ready: it does what can be done.
    host.docker.misbehave("/containers/json", Some(Way::Hang));
    assert_eq!(get(at, "/readyz").await.status, 200);
    drop(daemon);
    assert_eq!(health(&by_socket).0, Some(1));
    assert_eq!(health(&by_http).0, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_starts_is_seen_within_two_seconds() {
    let host = FakeHost::new();
    let (_daemon, at) = listening(&host, "").await;
    ready(at).await;
    let mut stream = TcpStream::connect(at).await.expect("it answers");
    let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: {at}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it is sent");
    let mut text = String::new();
    let mut next = async |text: &mut String, part: &str, limit: Duration| {
        let read = async {
            let mut bytes = [0; 4096];
            while !text.contains(part) {
                let count = stream.read(&mut bytes).await.expect("it goes on");
                assert!(count > 0, "it ended: {text}");
                text.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        };
        let done = tokio::time::timeout(limit, read).await;
        assert!(done.is_ok(), "{part} is not in {text}");
        text.clear();
    };
    next(&mut text, "\"services\":0", SOON).await;
    start(&host.docker, "web", 1, &[]);
    next(&mut text, "\"services\":1", Duration::from_secs(2)).await;
    let rows = get(at, "/api/v1/containers").await.json();
    assert_eq!(rows["containers"][0]["name"], "web");
    assert_eq!(rows["containers"][0]["became"], "registered");
    assert_eq!(rows["containers"][0]["services"][0], "h:web:80");
    // Many streams are refused one by one, and the rest goes on.
    let mut streams = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(at).await.expect("it answers");
        stream.write_all(request.as_bytes()).await.expect("it is sent");
        streams.push(stream);
    }
    until(SOON, "the streams beyond the bound are refused", async || {
        let metrics = get(at, "/metrics").await.body;
        let line = "wharfinger_listener_refused_total{reason=\"busy\"} 9";
        if metrics.contains(line) { Ok(()) } else { Err(metrics) }
    })
    .await;
}

/// Clients that send nothing, half a head, or read nothing of what they ask for.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_slow_holds_up_nobody() {
    let host = FakeHost::new();
    for number in 1..=300 {
        host.docker.set(
            &format!("c{number}"),
            Some(crate::common::looker::serving(&format!("c{number}"), number, &[])),
        );
    }
    let (mut daemon, at) = listening(&host, "").await;
    ready(at).await;
    let mut all = Vec::new();
    let plan = format!("GET /api/v1/plan HTTP/1.1\r\nHost: {at}\r\n\r\n");
    for (count, request) in [(60, ""), (60, "GET / HTT"), (30, plan.as_str())] {
        for _ in 0..count {
            let mut stream = TcpStream::connect(at).await.expect("it answers");
            // Beyond the bound it may be closed already.
            let _ = stream.write_all(request.as_bytes()).await;
            all.push(stream);
        }
    }
    // The loop goes on.
    let socket = daemon.dir().join("control.sock").display().to_string();
    start(&host.docker, "late", 1000, &[]);
    until(Duration::from_secs(10), "the container is registered", async || {
        let output = std::process::Command::new(Daemon::binary())
            .args(["status", "--json", "--control", &socket])
            .output()
            .expect("the program can be run");
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if status["services"] == 301 { Ok(()) } else { Err(format!("{status:#}")) }
    })
    .await;
    // And soon others are heard again.
    until(Duration::from_secs(25), "a scrape is answered", async || {
        let seen = get(at, "/metrics").await;
        if seen.status == 200 { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    let end = tokio::time::timeout(Duration::from_secs(8), daemon.terminate()).await;
    assert!(end.expect("they do not keep it from ending").success());
    drop(all);
}

#[tokio::test]
async fn an_address_that_is_taken_keeps_no_container_from_being_registered() {
    let host = FakeHost::new();
    start(&host.docker, "web", 1, &[]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = taken.local_addr().expect("an address");
    let daemon = host.daemon(&format!("[listen]\naddress = '{at}'\n{REGISTRATOR}"));
    daemon.wait_for_log("the address cannot be had; it is tried again", SOON).await;
    daemon.wait_for_log("added: ", SOON).await;
    drop(taken);
    assert_eq!(address(&daemon).await, at);
}

#[tokio::test]
async fn what_makes_no_sense_is_named_with_its_file_and_key() {
    let host = FakeHost::new();
    fs::write(host.folder().join("short"), "abc").expect("it is written");
    for (text, part) in [
        ("[listen]\naddress = '0.0.0.0:0'", "listen.address: 0.0.0.0:0 can be reached"),
        ("[listen]\naddress = 'nowhere'", "listen.address: \"nowhere\""),
        ("[listen]\nadress = '127.0.0.1:0'", "adress"),
        ("[listen]\naddress = '0.0.0.0:0'\ntoken-file = 'none'", "listen.token-file: "),
        ("[listen]\naddress = '0.0.0.0:0'\ntoken-file = 'short'", "listen.token-file: "),
        ("[listen]\nhosts = ['a b']", "listen.hosts: \"a b\""),
        ("[decisions]\nfile = 'a'\nstdout = true", "decisions.stdout"),
    ] {
        let file = host.file(&format!("{text}\n{REGISTRATOR}"));
        for command in [&["check", "--config", &file][..], &["run", "--config", &file, "memory://"]]
        {
            let mut child = Daemon::start(command, &[("DOCKER_HOST", &host.docker.host())]);
            let status = child.wait(SOON).await;
            assert_eq!(status.code(), Some(78), "{text}: {}", child.log());
            assert!(child.log().contains(part), "{text}: {part} is not in {}", child.log());
            assert!(child.log().contains("wharfinger.toml"), "{text}: {}", child.log());
        }
    }
    let mut child = Daemon::start(&["--listen", "0.0.0.0:0", "memory://"], &[]);
    assert_eq!(child.wait(SOON).await.code(), Some(78));
    assert!(child.log().contains("--listen: 0.0.0.0:0 can be reached"), "{}", child.log());
}

#[tokio::test]
async fn another_address_in_the_file_waits_for_a_restart() {
    let host = FakeHost::new();
    let (daemon, at) = listening(&host, "").await;
    host.file(&format!(
        "[listen]\naddress = '127.0.0.1:1'\n[decisions]\nstdout = true\n{REGISTRATOR}"
    ));
    let line = daemon.wait_for_log("needs a restart to take effect", SOON).await;
    assert!(line.contains("listen, decisions"), "{line}");
    until(SOON, "it is counted", async || {
        let metrics = get(at, "/metrics").await.body;
        let lines = [
            "wharfinger_trouble{kind=\"restart\"} 1",
            "wharfinger_reloads_total{result=\"unchanged\"} 1",
        ];
        let all = lines.iter().all(|line| metrics.contains(line));
        if all { Ok(()) } else { Err(metrics) }
    })
    .await;
}

/// What a schema says is wrong with a value.
fn faults(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let pointer = name.strip_prefix('#').expect("a reference within the document");
        let schema = document.pointer(pointer).unwrap_or_else(|| panic!("{name} is not there"));
        return faults(document, schema, value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let each = choices.iter().map(|choice| faults(document, choice, value, at));
        let fitting = each.clone().filter(Vec::is_empty).count();
        let last = each.flatten().collect::<Vec<_>>();
        return if fitting == 1 { Vec::new() } else { last };
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = match &schema["type"] {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().any(|one| one == kind),
        one => one == kind,
    };
    let mut all = Vec::new();
    if !fits {
        all.push(format!("{at} is {kind}, and not {}", schema["type"]));
    }
    if let (Some(words), Value::String(_)) = (schema["enum"].as_array(), value)
        && !words.contains(value)
    {
        all.push(format!("{at} is {value}, and none of {words:?}"));
    }
    match value {
        Value::Array(items) => {
            let fixed = schema["prefixItems"].as_array();
            for (n, item) in items.iter().enumerate() {
                let of = fixed.and_then(|fixed| fixed.get(n)).unwrap_or(&schema["items"]);
                if of == &Value::Bool(false) {
                    all.push(format!("{at} has too many items"));
                } else if !of.is_null() {
                    all.extend(faults(document, of, item, &format!("{at}[]")));
                }
            }
        }
        Value::Object(fields) => {
            for name in schema["required"].as_array().into_iter().flatten() {
                let name = name.as_str().expect("a name");
                if !fields.contains_key(name) {
                    all.push(format!("{at} has no {name}"));
                }
            }
            for (name, field) in fields {
                let known = &schema["properties"][name];
                let of = if known.is_null() { &schema["additionalProperties"] } else { known };
                match of {
                    Value::Bool(false) => {
                        all.push(format!("{at} has {name}, which is not described"))
                    }
                    Value::Object(_) => {
                        all.extend(faults(document, of, field, &format!("{at}.{name}")));
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answers_are_as_the_document_says_and_as_commands_print() {
    let host = FakeHost::new();
    start(&host.docker, "web", 1, &[("owner", "ann"), ("SERVICE_TAGS", "a,b")]);
    start(&host.docker, "checked", 2, &[("owner", "ann"), ("SERVICE_CHECK_TTL", "30s")]);
    start(&host.docker, "vetoed", 3, &[]);
    start(&host.docker, "ignored", 4, &[("SERVICE_IGNORE", "true")]);
    let log = "[decisions]\nfile = 'decisions.jsonl'\n";
    let daemon = host.daemon(&format!("[listen]\naddress = '127.0.0.1:0'\n{log}{}", watched()));
    let at = address(&daemon).await;
    ready(at).await;
    let decided = get(at, "/api/v1/decisions").await.json();
    let mut outcomes: Vec<_> = decided["decisions"]
        .as_array()
        .expect("decisions")
        .iter()
        .map(|one| (&one["container"]["name"], &one["outcome"]))
        .collect();
    outcomes.sort_by_key(|one| one.0.to_string());
    outcomes.dedup();
    assert!(outcomes.len() >= 4 && decided["complete"] == true, "{decided}");
    let document: Value = serde_json::from_str(
        &fs::read_to_string(root().join("docs/openapi.json")).expect("a file"),
    )
    .expect("JSON");
    assert_eq!(get(at, "/api/v1/openapi.json").await.json(), document);
    let paths = document["paths"].as_object().expect("paths");
    let mut walked = Vec::new();
    let known = format!("/api/v1/policy/forecast?bundle=sha256:{}", "0".repeat(64));
    for (path, described) in paths {
        let answers = &described["get"]["responses"];
        let of = |status: u16| {
            answers[status.to_string()]["content"]["application/json"]["schema"].clone()
        };
        let asked = match path.as_str() {
            "/api/v1/explain/{what}" => vec![
                "/api/v1/explain/web",
                "/api/v1/explain/checked",
                "/api/v1/explain/vetoed",
                "/api/v1/explain/ignored",
                "/api/v1/explain/h:web:80",
                "/api/v1/explain/nobody",
            ],
            "/api/v1/history" => {
                vec!["/api/v1/history", "/api/v1/history?what=web&since=8h", "/api/v1/history?x=y"]
            }
            "/api/v1/decisions" => vec![
                "/api/v1/decisions",
                "/api/v1/decisions?since=8h",
                "/api/v1/decisions?since=x",
                "/api/v1/decisions?x=y",
            ],
            "/api/v1/policy/forecast" => vec![
                "/api/v1/policy/forecast",
                "/api/v1/policy/forecast?bundle=oci://127.0.0.1:1/a",
                &known,
            ],
            "/api/v1/events" => continue,
            path => vec![path],
        };
        for one in asked {
            let seen = get(at, one).await;
            assert!(
                !answers[seen.status.to_string()].is_null(),
                "{one}: {} is not described",
                seen.status
            );
            let schema = of(seen.status);
            if schema.is_null() {
                continue;
            }
            let found = faults(&document, &schema, &seen.json(), one);
            assert_eq!(found, [""; 0], "{}", seen.body);
            walked.push(one.to_string());
        }
    }
    assert!(walked.len() >= 12, "{walked:?}");
    // Every path is one that is answered, and every answer of the API is described.
    for path in [
        "status",
        "containers",
        "explain/{what}",
        "plan",
        "policy/forecast",
        "apply",
        "history",
        "decisions",
        "events",
    ] {
        assert!(paths.contains_key(&format!("/api/v1/{path}")), "{path}");
    }

    let socket = daemon.dir().join("control.sock").display().to_string();
    let printed = |args: &[&str]| -> Value {
        let output = std::process::Command::new(Daemon::binary())
            .args(args)
            .args(["--control", &socket])
            .output()
            .expect("the program can be run");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{args:?}: {error}: {}", String::from_utf8_lossy(&output.stderr))
        })
    };
    for (path, command) in [
        ("/api/v1/status", &["status", "--json"][..]),
        ("/api/v1/explain/web", &["explain", "web", "--output", "json"]),
        ("/api/v1/plan", &["plan", "--output", "json"]),
        ("/api/v1/history", &["explain", "--since", "8h", "--output", "json"]),
    ] {
        let keys = |value: &Value| -> Vec<String> {
            let one = value.as_array().and_then(|all| all.first()).unwrap_or(value);
            one.as_object().expect("an object").keys().cloned().collect()
        };
        let (seen, printed) = (get(at, path).await.json(), printed(command));
        assert_eq!(keys(&seen), keys(&printed), "{path}");
        if !path.ends_with("status") && !path.ends_with("plan") {
            assert_eq!(seen, printed, "{path}");
        }
    }
}

#[test]
fn the_walk_finds_what_is_not_described() {
    let document: Value = serde_json::json!({ "components": { "schemas": { "A": {
        "type": "object", "required": ["a"], "additionalProperties": false,
        "properties": { "a": { "type": ["string", "null"] }, "b": { "type": "array", "items": { "$ref": "#/components/schemas/A" } } },
    } } } });
    let schema = serde_json::json!({ "$ref": "#/components/schemas/A" });
    let check = |value: Value, count: usize| {
        let found = faults(&document, &schema, &value, "x");
        assert_eq!(found.len(), count, "{value}: {found:?}");
    };
    check(serde_json::json!({ "a": null, "b": [{ "a": "x" }] }), 0);
    check(serde_json::json!({ "b": [{ "a": 1 }, {}] }), 3);
    check(serde_json::json!({ "a": "x", "c": 1 }), 1);
    check(serde_json::json!([]), 1);
}
