//! Guarantee: a proxy in the environment is asked for what is elsewhere, and never
//! for what is on this machine or named in `NO_PROXY`.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::common::{
    daemon::Daemon,
    http::{self, Activity, Answer},
    recording_consul::RecordingConsul,
    root,
};
use tokio::{net::TcpListener, task::JoinHandle};

const SOON: Duration = Duration::from_secs(60);

/// A proxy that notes what it is asked for, and refuses it.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = asked.clone();
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(request) = http::read(&mut stream).await else { continue };
                let note = format!("{} {}", request.method, request.path);
                notes.lock().expect("the notes").push(note);
                let refusal = Answer::Text(403, "this is a proxy".into());
                http::send(&mut stream, &refusal).await;
            }
        });
        Self { address, asked, server }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("the notes").clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Plan against an agent in this environment. It says the exit code, and the first
/// thing that the proxy was asked for.
async fn plan(uri: &str, env: &[(&str, &str)]) -> (Option<i32>, Option<String>) {
    let proxy = Proxy::start().await;
    let url = proxy.url();
    let env: Vec<_> =
        env.iter().map(|(name, value)| (*name, value.replace("PROXY", &url))).collect();
    let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let containers = root().join("tests/fixtures/fleet/containers.json");
    let containers = containers.to_str().expect("a path");
    let line = ["plan", "--ip", "192.0.2.10", "--containers", containers, uri];
    let mut child = Daemon::start(&line, &env);
    let code = child.wait(SOON).await.code();
    (code, proxy.asked().into_iter().next())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_on_this_machine_is_asked_directly() {
    let consul = RecordingConsul::start(Activity::default(), Vec::new()).await;
    let both = [("HTTP_PROXY", "PROXY"), ("HTTPS_PROXY", "PROXY")];
    let all = [("http_proxy", "PROXY"), ("ALL_PROXY", "PROXY"), ("all_proxy", "PROXY")];
    let port = consul.uri().rsplit_once(':').expect("a port").1.to_string();
    for uri in [consul.uri(), format!("consul://localhost:{port}")] {
        for env in [&both[..], &all[..]] {
            let reads = consul.reads();
            let (code, asked) = plan(&uri, env).await;
            // There is something to do, so the agent has answered.
            assert_eq!((code, asked), (Some(2), None), "{uri} {env:?}");
            assert!(consul.reads() > reads, "{uri} {env:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_elsewhere_is_asked_through_the_proxy() {
    let direct: Option<&str> = None;
    let there = Some("GET http://consul.invalid:8500/v1/");
    let tunnel = Some("CONNECT consul.invalid:8501");
    let (http, https) = (("HTTP_PROXY", "PROXY"), ("HTTPS_PROXY", "PROXY"));
    let (plain, tls) = ("consul://consul.invalid:8500", "consul-tls://consul.invalid:8501");
    for (uri, env, expected) in [
        (plain, vec![http], there),
        (plain, vec![("http_proxy", "PROXY")], there),
        (plain, vec![https], direct),
        (plain, vec![("ALL_PROXY", "PROXY")], direct),
        (tls, vec![https], tunnel),
        (tls, vec![http], direct),
        (plain, vec![http, ("NO_PROXY", "consul.invalid")], direct),
        (plain, vec![http, ("no_proxy", "x, .invalid")], direct),
        (plain, vec![http, ("NO_PROXY", "*")], direct),
        (plain, vec![http, ("NO_PROXY", "consul.invalid:8500")], direct),
        (plain, vec![http, ("NO_PROXY", "consul.invalid:8501,sul.invalid")], there),
        ("consulkv://consul.invalid:8500/p", vec![http], there),
    ] {
        let (code, asked) = plan(uri, &env).await;
        // Neither the proxy nor the name leads to an agent.
        assert_eq!(code, Some(1), "{uri} {env:?}");
        let right = match expected {
            Some(start) => asked.as_ref().is_some_and(|asked| asked.starts_with(start)),
            None => asked.is_none(),
        };
        assert!(right, "{uri} {env:?}: {asked:?} instead of {expected:?}");
    }
}

#[tokio::test]
async fn a_proxy_of_another_kind_is_refused_by_name() {
    let containers = root().join("tests/fixtures/fleet/containers.json");
    let containers = containers.to_str().expect("a path");
    let line = ["plan", "--containers", containers, "consul://consul.invalid:8500"];
    let mut child = Daemon::start(&line, &[("HTTP_PROXY", "socks5://ann:secret@127.0.0.1:1")]);
    assert!(!child.wait(SOON).await.success());
    let log = child.log();
    assert!(log.contains("HTTP_PROXY=socks5://127.0.0.1:1"), "{log}");
    assert!(!log.contains("secret"), "{log}");
}
