//! Guarantee: for a container's sake the agent runs no program and asks nobody that the operator
//! does not let it: neither its own API nor any address of the inner network.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::lab::Lab;
use crate::common::{daemon::Daemon, wait::until};

const SOON: Duration = Duration::from_secs(30);
const ID: &str = "h:attacker:80";

/// A container that has the agent deregister somebody else's service, by a request to the agent's
/// own API, and run a program that leaves a file.
async fn attack(settings: &str, target: &str, ran: &Path) -> Lab {
    let lab = Lab::new().await;
    lab.register(&json!({ "ID": "postgres", "Name": "postgres", "Port": 5432 })).await;
    let url = target.replace("AGENT", &lab.consul.addr());
    let call = json!([{ "HTTP": url, "Method": "PUT", "Interval": "1s", "Timeout": "1s" }]);
    let script = format!("touch {}", ran.display());
    let labels = [
        ("SERVICE_CHECKS", call.to_string()),
        ("SERVICE_CHECK_SCRIPT", script),
        ("SERVICE_CHECK_INTERVAL", "1s".to_string()),
    ];
    let labels: Vec<_> = labels.iter().map(|(key, value)| (*key, value.as_str())).collect();
    lab.start("attacker", 1, &labels);
    let stage = "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n";
    let daemon = lab.daemon(&[], Some(&format!("{stage}settings = {{ {settings} }}\n")));
    lab.has(&[ID.to_string()], SOON).await;
    // It is registered whatever its checks are, and the daemon need not run for these.
    drop(daemon);
    lab
}

/// For as long as the agent would take to make each check several times.
async fn for_several_checks(lab: &Lab, holds: impl Fn(bool) -> Result<(), String>) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        let there = lab.consul.services().await.contains_key("postgres");
        if let Err(fault) = holds(there) {
            panic!("{fault}: {:?}", lab.consul.checks().await);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_is_asked_for_nothing_and_runs_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = folder.path().join("ran");
    let deregister = "/v1/agent/service/deregister/postgres";
    for target in [
        format!("http://AGENT{deregister}"),
        format!("http://AGENT/.{deregister}"),
        format!("http://192.0.2.10:80@AGENT{deregister}"),
        format!("http://localhost.:80#@AGENT{deregister}"),
        format!("HTTP://AGENT{deregister}?x=192.0.2.10:80"),
    ] {
        let lab = attack("scripts = 'drop'", &target, &ran).await;
        for_several_checks(&lab, |there| match (there, ran.exists()) {
            (true, false) => Ok(()),
            (there, ran) => Err(format!("{target}: postgres {there}, the program ran: {ran}")),
        })
        .await;
    }
}

/// The same where the operator lets it, so that the attack above is known to be one.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_operator_lets_it_the_agent_does_both() {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = folder.path().join("ran");
    let target = "http://AGENT/v1/agent/service/deregister/postgres";
    let lab = attack("scripts = 'keep', check-targets = 'any'", target, &ran).await;
    until(SOON, "the agent does as it is told", async || {
        let there = lab.consul.services().await.contains_key("postgres");
        if !there && ran.exists() { Ok(()) } else { Err(format!("{there}, {}", ran.exists())) }
    })
    .await;
}

/// A server that leads whoever asks it to another place.
async fn redirecting(to: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}

/// A container whose server leads the agent's check of it to the agent's own key-value store.
async fn redirect(settings: &str) -> (Lab, Daemon) {
    let lab = Lab::new().await;
    let key = "/v1/kv/inner";
    lab.consul.send(Method::PUT, key, &json!("xyzzy")).await.expect("a key");
    let port = redirecting(format!("http://{}{key}?raw", lab.consul.addr())).await;
    let labels = [("SERVICE_CHECK_HTTP", "/"), ("SERVICE_CHECK_INTERVAL", "1s")];
    lab.start_on(port, "attacker", 1, &labels);
    let stage = "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n";
    let config = format!("{stage}settings = {{ {settings} }}\n");
    let daemon = lab.daemon_at("127.0.0.1", &[], Some(&config));
    lab.has(&[format!("h:attacker:{port}")], SOON).await;
    (lab, daemon)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_reads_nothing_by_a_redirect_where_none_is_to_be_followed() {
    let (lab, daemon) = redirect("check-redirects = 'none'").await;
    // This agent is older than the field.
    daemon.wait_for_log("the fields that the agent may not know", SOON).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        let checks = format!("{:?}", lab.consul.checks().await);
        assert!(!checks.contains("xyzzy"), "{checks}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The same where the operator lets it, so that the attack above is known to be one.
#[tokio::test(flavor = "multi_thread")]
async fn where_redirects_are_followed_the_agent_reads() {
    let (lab, _daemon) = redirect("check-redirects = 'follow'").await;
    until(SOON, "the agent reads", async || {
        let checks = format!("{:?}", lab.consul.checks().await);
        if checks.contains("xyzzy") { Ok(()) } else { Err(checks) }
    })
    .await;
}
