//! Guarantee: each kind of registry URI reaches a real Consul agent in the way
//! that it says, with what the environment has for it: a Unix socket,
//! certificates, a token, a user; and the key-value store is as good a registry
//! as the agent's services.

use std::{fs, path::Path, process::Command, time::Duration};

use crate::common::{
    consul::{self, Consul},
    daemon::Daemon,
    dockerd::Dockerd,
    ports, tool,
    wait::until,
};
use reqwest::Method;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const SOON: Duration = Duration::from_secs(30);
const IP: &str = "192.0.2.10";
const ID: &str = "testhost:web:80";

/// A host with Docker.
struct Lab {
    docker: Dockerd,
}

impl Lab {
    async fn new() -> Self {
        let docker = Dockerd::start().await;
        docker.import_busybox("web:1", &["CMD [\"sleep\",\"100000\"]", "EXPOSE 80"]);
        Self { docker }
    }

    /// Start a container and return its published port.
    fn start(&self, name: &str, args: &[&str]) -> u16 {
        let [port] = ports::free::<1>();
        let publish = format!("{port}:80");
        let mut line = vec!["run", "-d", "--name", name, "-p", &publish];
        line.extend(args);
        line.push("web:1");
        self.docker.run(&line);
        port
    }

    fn daemon(&self, uri: &str, env: &[(&str, &str)]) -> Daemon {
        let host = self.docker.host();
        let env = [env, &[("DOCKER_HOST", host.as_str())]].concat();
        Daemon::start(&["-ip", IP, "-hostname", "testhost", "-resync", "1", uri], &env)
    }
}

async fn registered(consul: &Consul, id: &str) -> Value {
    until(SOON, format!("{id} in Consul"), async || {
        let services = consul.services().await;
        services.get(id).cloned().ok_or(format!("{services:?}"))
    })
    .await
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// An agent with more configuration.
async fn agent(config: &Value, options: consul::Options) -> Consul {
    let config = vec![("test.json".into(), config.to_string())];
    Consul::start(consul::Options { config, ..options }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_leads_to_the_agent() {
    let folder = tempfile::Builder::new().prefix("wf-").tempdir().expect("a folder");
    let socket = folder.path().join("consul.sock");
    let addresses = json!({"http": format!("127.0.0.1 unix://{}", socket.display())});
    let consul = agent(&json!({"addresses": addresses}), consul::Options::default()).await;
    let lab = Lab::new().await;
    let port = lab.start("web", &[]);
    {
        let mut daemon = lab.daemon(&format!("consul-unix://{}", socket.display()), &[]);
        assert_eq!(registered(&consul, ID).await["Port"], port);
        daemon.wait_for_log("Using consul-unix adapter", SOON).await;
        assert!(daemon.terminate().await.success());
    }
    // And to the agent's keys.
    let daemon = lab.daemon(&format!("consulkv-unix://{}:/a/b", socket.display()), &[]);
    let found = value(&consul, &format!("a/b/web/{ID}")).await;
    assert_eq!(found, format!("{IP}:{port}"));
    daemon.wait_for_log("Using consulkv-unix adapter", SOON).await;
}

/// The value of a key, as soon as there is one.
async fn value(consul: &Consul, key: &str) -> String {
    until(SOON, format!("the key {key}"), async || {
        let path = format!("/v1/kv/{}?raw", key.replace(' ', "%20"));
        match consul.send(Method::GET, &path, &Value::Null).await {
            Ok(Value::String(value)) => Ok(value),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// All keys with their flags.
async fn keys(consul: &Consul) -> Map<String, Value> {
    let pairs = consul.send(Method::GET, "/v1/kv/?recurse", &Value::Null).await;
    let pairs = pairs.unwrap_or_else(|_| json!([]));
    let pairs = pairs.as_array().expect("a list").iter();
    pairs
        .map(|pair| (pair["Key"].as_str().expect("a key").to_string(), pair["Flags"].clone()))
        .collect()
}

/// Wait until these keys are there and no other.
async fn exactly(consul: &Consul, expected: &[&str]) -> Map<String, Value> {
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    until(SOON, format!("exactly {expected:?} in Consul"), async || {
        let pairs = keys(consul).await;
        let mut names: Vec<_> = pairs.keys().map(String::as_str).collect();
        names.sort_unstable();
        if names == expected { Ok(pairs.clone()) } else { Err(format!("{names:?}")) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_written_kept_and_deleted() {
    let lab = Lab::new().await;
    let consul = Consul::start(consul::Options::default()).await;
    let uri = format!("consulkv://{}/services/prod", consul.addr());
    let theirs = [
        ("services/prod/web/manual", "192.0.2.1:80", ""),
        ("services/prod/web/testhost:byhand:80", "192.0.2.1:80", ""),
        ("services/prod/web/otherhost:web:80", "192.0.2.2:80", "?flags=7"),
        ("services/prod/settings", "not a service", ""),
        ("services/production/web/testhost:x:80", "192.0.2.1:80", ""),
    ];
    let client = reqwest::Client::builder().no_proxy().timeout(SOON).build().expect("a client");
    for (key, value, query) in theirs {
        let url = format!("http://{}/v1/kv/{key}{query}", consul.addr());
        let put = client.put(url).body(value).send().await;
        assert!(put.is_ok_and(|answer| answer.status().is_success()), "{key}");
    }
    let before = keys(&consul).await;
    let theirs: Vec<_> = theirs.iter().map(|(key, ..)| *key).collect();
    let with = |ours: &[&'static str]| [&theirs[..], ours].concat();

    let mut daemon = lab.daemon(&uri, &[]);
    daemon.wait_for_log("consulkv: current leader  ", SOON).await;
    daemon.wait_for_log(&format!("Using consulkv adapter: {uri}"), SOON).await;
    let stays = lab.start("stays", &["-e", "SERVICE_TAGS=a"]);
    lab.start("goes", &[]);
    lab.start("odd", &["-e", "SERVICE_ID=my id", "-e", "SERVICE_NAME=team/x y"]);
    let [web, goes, odd] = [
        "services/prod/web/testhost:stays:80",
        "services/prod/web/testhost:goes:80",
        "services/prod/team/x y/my id",
    ];
    let first = exactly(&consul, &with(&[web, goes, odd])).await;
    assert_eq!(value(&consul, web).await, format!("{IP}:{stays}"));
    assert!(first[web].as_u64().is_some_and(|flags| flags > 0 && flags < 1 << 53));
    assert_eq!(first[web], first[odd]);

    // A converged host is not written to.
    let index = index_of(&consul, web).await;
    let seen = daemon.lines();
    for _ in 0..2 {
        let seen = daemon.lines();
        daemon.wait_for_log_after(seen, "Syncing services on 3 containers", SOON).await;
    }
    let log = daemon.log().lines().skip(seen).collect::<Vec<_>>().join("\n");
    assert!(!log.contains("changed") && !log.contains("adopted"), "{log}");
    assert_eq!(index_of(&consul, web).await, index);
    // What somebody else deleted is put right.
    consul.send(Method::DELETE, &format!("/v1/kv/{web}"), &Value::Null).await.expect("deleted");
    exactly(&consul, &with(&[web, goes, odd])).await;

    // After a crash: what went meanwhile is deleted, what stays is adopted.
    daemon.kill9();
    drop(daemon);
    lab.docker.run(&["rm", "-f", "goes"]);
    let daemon = lab.daemon(&uri, &[]);
    exactly(&consul, &with(&[web, odd])).await;
    daemon.wait_for_log("dangling: testhost:goes:80", SOON).await;
    daemon.wait_for_log("adopted: ", SOON).await;
    lab.docker.run(&["rm", "-f", "odd", "stays"]);
    let after = exactly(&consul, &theirs).await;
    assert_eq!(after, before);
}

async fn index_of(consul: &Consul, key: &str) -> Value {
    consul.get(&format!("/v1/kv/{key}")).await[0]["ModifyIndex"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_uri_without_a_prefix_is_refused_at_start() {
    for (uri, words) in [
        ("consulkv://127.0.0.1:8500", "consulkv://127.0.0.1:8500 has no path"),
        ("consulkv-unix:///run/c.sock", "consulkv-unix:///run/c.sock has no path"),
    ] {
        let mut daemon = Daemon::start(&["-ip", IP, uri], &[]);
        assert_eq!(daemon.wait(SOON).await.code(), Some(78));
        assert!(daemon.log().contains(words), "{}", daemon.log());
    }
}

/// Run `consul tls …` in a folder.
fn certificates(folder: &Path, commands: &[&[&str]]) {
    for words in commands {
        let output = Command::new(tool("consul", "consul"))
            .arg("tls")
            .args(*words)
            .current_dir(folder)
            .output()
            .expect("consul can be run");
        assert!(output.status.success(), "{words:?}: {output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_asks_for_certificates_gets_them() {
    let folder = tempfile::tempdir().expect("a folder");
    certificates(
        folder.path(),
        &[&["ca", "create"], &["cert", "create", "-server"], &["cert", "create", "-client"]],
    );
    let file = |name: &str| folder.path().join(name);
    let (ca, cert) = (file("consul-agent-ca.pem"), file("dc1-client-consul-0.pem"));
    let key = file("dc1-client-consul-0-key.pem");
    let consul = agent(
        &json!({
            "verify_incoming_https": true,
            "ca_file": &ca,
            "cert_file": file("dc1-server-consul-0.pem"),
            "key_file": file("dc1-server-consul-0-key.pem"),
        }),
        consul::Options { https: true, ..Default::default() },
    )
    .await;
    let lab = Lab::new().await;
    let port = lab.start("web", &[]);
    let uri = format!("consul-tls://{}", consul.https_addr());
    let trust = [("CONSUL_CACERT", text(&ca))];
    let shown = [("CONSUL_CLIENT_CERT", text(&cert)), ("CONSUL_CLIENT_KEY", text(&key))];

    // Without the client's certificate, or without the authority's, no word is
    // spoken, and the log says why.
    for (env, why) in [(&trust[..], "certificate"), (&shown[..], "unknownissuer")] {
        let daemon = lab.daemon(&uri, env);
        // The agent may end the connection before its word of the reason is read.
        until(SOON, format!("the log speaks of {why}"), async || {
            let log = daemon.log();
            let mut lines =
                log.lines().filter(|line| line.contains("the registry is not there yet"));
            let says = lines.any(|line| line.to_lowercase().contains(why));
            if says { Ok(()) } else { Err(log) }
        })
        .await;
        assert!(!consul.services().await.contains_key(ID));
    }
    let all = [&trust[..], &shown].concat();
    let wrong = [&all[..], &[("CONSUL_TLS_SERVER_NAME", "elsewhere.test")]].concat();
    let daemon = lab.daemon(&uri, &wrong);
    let line = daemon.wait_for_log("the registry is not there yet", SOON).await;
    assert!(line.contains("not valid for name"), "{line}");
    drop(daemon);

    // A folder of authorities: with another one alone, and with the right one too.
    let (other, folders) = (file("other"), file("authorities"));
    for made in [&other, &folders] {
        fs::create_dir(made).expect("a new folder");
    }
    certificates(&other, &[&["ca", "create"]]);
    let strange = other.join("consul-agent-ca.pem");
    fs::copy(&strange, folders.join("strange.pem")).expect("a copy");
    let folder_of_trust = [("CONSUL_CAPATH", text(&folders))];
    let by_folder = [&folder_of_trust[..], &shown].concat();
    let daemon = lab.daemon(&uri, &by_folder);
    let line = daemon.wait_for_log("the registry is not there yet", SOON).await;
    assert!(line.to_lowercase().contains("unknownissuer"), "{line}");
    drop(daemon);
    fs::copy(&ca, folders.join("right.pem")).expect("a copy");

    let name = ("CONSUL_TLS_SERVER_NAME", "server.dc1.consul");
    for env in [all.clone(), [&all[..], &[name]].concat(), by_folder] {
        let mut daemon = lab.daemon(&uri, &env);
        assert_eq!(registered(&consul, ID).await["Port"], port);
        daemon.wait_for_log("Using consul-tls adapter", SOON).await;
        assert!(daemon.terminate().await.success());
        consul.deregister(ID).await;
    }
}

/// An agent with ACLs that denies what no token allows.
async fn guarded() -> Consul {
    let master = "5b7a3a2e-0000-4000-8000-000000000001";
    let acl = json!({"acl": {
        "enabled": true, "default_policy": "deny",
        "tokens": {"master": master, "agent": master},
    }});
    let consul =
        agent(&acl, consul::Options { token: Some(master.into()), ..Default::default() }).await;
    // The token is there a little later than the leader.
    until(SOON, "the token", async || {
        consul.send(Method::GET, "/v1/acl/policies", &Value::Null).await
    })
    .await;
    consul
}

/// A token with one policy.
async fn token(consul: &Consul, name: &str, rules: &str) -> String {
    consul.put("/v1/acl/policy", &json!({"Name": name, "Rules": rules})).await;
    let token = consul.put("/v1/acl/token", &json!({"Policies": [{"Name": name}]})).await;
    token["SecretID"].as_str().expect("a token").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_not_write_costs_its_service_only() {
    let consul = guarded().await;
    let read = r#"service_prefix "" { policy = "read" }"#;
    let other = format!(r#"{read} service "other" {{ policy = "write" }}"#);
    let poor = token(&consul, "poor", &other).await;
    let rich = token(&consul, "rich", r#"service_prefix "" { policy = "write" }"#).await;
    let lab = Lab::new().await;
    lab.start("web", &[]);
    lab.start("other", &["-e", "SERVICE_NAME=other"]);
    let uri = format!("consul://{}", consul.addr());

    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), format!("{poor}\n")).expect("the token's file");
    let env = [("CONSUL_HTTP_TOKEN_FILE", text(file.path()))];
    let mut daemon = lab.daemon(&uri, &env);
    registered(&consul, "testhost:other:80").await;
    let line = daemon.wait_for_log("cannot register service testhost:web:80", SOON).await;
    // In the text form of the log, quotes are escaped.
    let line = line.replace('\\', "");
    assert!(line.contains(r#"service "web" { policy = "write" }"#), "{line}");
    assert!(daemon.is_running());
    assert!(!consul.services().await.contains_key(ID));

    // The file is read again, so that no restart is needed.
    fs::write(file.path(), &rich).expect("the token's file");
    registered(&consul, ID).await;
    assert!(daemon.terminate().await.success());
    drop(daemon);

    // The token itself does as well.
    for id in [ID, "testhost:other:80"] {
        consul.deregister(id).await;
    }
    let _daemon = lab.daemon(&uri, &[("CONSUL_HTTP_TOKEN", &rich)]);
    registered(&consul, ID).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_keys_needs_the_prefix() {
    let consul = guarded().await;
    let right = r#"key_prefix "services/" { policy = "write" }"#;
    let rich = token(&consul, "rich", right).await;
    let poor = token(&consul, "poor", r#"key_prefix "services/" { policy = "read" }"#).await;
    let lab = Lab::new().await;
    lab.start("web", &[]);
    let uri = format!("consulkv://{}/services", consul.addr());
    let mut daemon = lab.daemon(&uri, &[("CONSUL_HTTP_TOKEN", &poor)]);
    let line = daemon.wait_for_log("cannot register service testhost:web:80", SOON).await;
    let line = line.replace('\\', "");
    assert!(line.contains(right), "{line}");
    assert!(daemon.is_running());
    drop(daemon);
    let _daemon = lab.daemon(&uri, &[("CONSUL_HTTP_TOKEN", &rich)]);
    value(&consul, &format!("services/web/{ID}")).await;
}

/// The head of the first request to a server that then ends.
async fn first_request(listener: tokio::net::TcpListener) -> String {
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a request"));
    }
    let answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(answer.as_bytes()).await.expect("the answer is sent");
    String::from_utf8_lossy(&head).to_ascii_lowercase()
}

#[tokio::test(flavor = "multi_thread")]
async fn user_and_password_are_sent() {
    // RFC 7617: base64 of `user:password`.
    for (auth, expected) in [("ann:secret", "yw5uonnly3jlda=="), ("ann", "yw5uog==")] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let uri = format!("consul://{address}");
        let args = ["-ip", IP, "-hostname", "testhost", &uri];
        let _daemon = Daemon::start(&args, &[("CONSUL_HTTP_AUTH", auth)]);
        let head = tokio::time::timeout(SOON, first_request(listener)).await.expect("a request");
        assert!(head.contains(&format!("authorization: basic {expected}\r\n")), "{head}");
    }
}
