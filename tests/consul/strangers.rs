//! Servers are strangers: no redirect takes the token along, no body is without end, and
//! SIGTERM is obeyed whatever the registry does.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use reqwest::Url;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};
use wharfinger::{
    error::error_chain,
    registry::{Consul, ConsulConfig, Part, Registry},
};

use crate::common::{daemon::Daemon, fake_docker::FakeDocker, http, http::Activity};

/// What a server says to everything that it is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// A redirect to this port.
    Redirect(u16, u16),
    /// A list that never ends: of bytes, of one long text, of entries.
    Bytes,
    Text,
    Entries,
    /// An error with a text of 5 MB, with or without its length.
    Long {
        told: bool,
    },
    /// One byte every now and then.
    Drip,
    /// Half of what was announced.
    Half,
    /// A list of more brackets than anybody can count.
    Deep,
}

struct Server {
    port: u16,
    way: Arc<Mutex<Way>>,
    /// The heads of requests, to the byte.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(way: Way) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let (way, asked) = (Arc::new(Mutex::new(way)), Arc::new(Mutex::new(Vec::new())));
        let (mode, seen) = (way.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, mode.clone(), seen.clone()));
            }
        });
        Self { port, way, asked }
    }

    fn uri(&self) -> String {
        format!("consul://127.0.0.1:{}", self.port)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("a list").clone()
    }
}

async fn serve(mut stream: TcpStream, way: Arc<Mutex<Way>>, asked: Arc<Mutex<Vec<String>>>) {
    let Some(request) = http::read(&mut stream).await else { return };
    asked.lock().expect("a list").push(format!("{} {}", request.method, request.target));
    let way = *way.lock().expect("the way");
    // Whoever asks may leave.
    let _ = answer(&mut stream, way, &request.path).await;
}

async fn answer(stream: &mut TcpStream, way: Way, path: &str) -> std::io::Result<()> {
    // So that a daemon begins.
    if path == "/v1/status/leader" {
        let leader =
            "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n\"10.0.0.1:83\"";
        stream.write_all(leader.as_bytes()).await?;
        return stream.shutdown().await;
    }
    let ok = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
    let (head, begin, more) = match way {
        Way::Redirect(status, port) => {
            let head = format!(
                "HTTP/1.1 {status} Moved\r\nLocation: http://127.0.0.1:{port}{path}\r\n\
                 Content-Length: 0\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await?;
            return stream.shutdown().await;
        }
        Way::Bytes => (ok, "", "x".repeat(1 << 16)),
        Way::Text => (ok, "{\"a\": {\"ID\": \"", "x".repeat(1 << 16)),
        Way::Deep => (ok, "", "[".repeat(1 << 16)),
        // Tags without a text are the shortest that there are.
        Way::Entries => (ok, "{\"a\": {}", String::new()),
        Way::Long { told } => {
            let length = if told { "Content-Length: 5000000\r\n" } else { "" };
            let head = format!("HTTP/1.1 400 Bad\r\nConnection: close\r\n{length}\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream.write_all("no! ".repeat(1_250_000).as_bytes()).await?;
            return stream.shutdown().await;
        }
        Way::Half => {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\": {}, ";
            stream.write_all(head.as_bytes()).await?;
            return stream.shutdown().await;
        }
        Way::Drip => (ok, "{", " ".into()),
    };
    stream.write_all(format!("{head}\r\n{begin}").as_bytes()).await?;
    for number in 0_usize.. {
        if way == Way::Entries {
            let tags = "\"\",".repeat(1_000);
            let entry = format!(",\"{number}\": {{\"Tags\": [{tags}\"\"]}}");
            stream.write_all(entry.as_bytes()).await?;
        }
        stream.write_all(more.as_bytes()).await?;
        if way == Way::Drip {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}

fn agent(server: &Server) -> Consul {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let uri = Url::parse(&server.uri()).expect("a URI");
    let env = |name: &str| (name == "CONSUL_HTTP_TOKEN").then(|| "secret".to_string());
    Consul::new(ConsulConfig::new(&uri, env).expect("a configuration")).expect("a client")
}

#[tokio::test]
async fn no_redirect_is_followed_wherever_it_leads() {
    let other = Server::start(Way::Half).await;
    let first = Server::start(Way::Half).await;
    let consul = agent(&first);
    let mut calls = 0;
    for status in [301, 302, 303, 307, 308] {
        for port in [other.port, first.port] {
            *first.way.lock().expect("the way") = Way::Redirect(status, port);
            let read = consul.read().await.expect_err("a redirect");
            assert!(read.to_string().contains("redirect"), "{read}");
            assert!(consul.has("a").await.is_err());
            assert!(consul.deregister("a").await.is_err());
            assert!(consul.set_maintenance("a", Some("b")).await.is_err());
            assert!(consul.maintenance().await.is_err());
            assert_eq!(consul.version(Part::Services).await, None);
            calls += 6;
        }
    }
    assert_eq!(other.asked(), Vec::<String>::new());
    assert_eq!(first.asked().len(), calls);
}

#[tokio::test]
async fn a_body_without_end_is_an_error_and_a_long_text_is_cut() {
    for way in [Way::Bytes, Way::Text, Way::Entries, Way::Deep, Way::Half] {
        let server = Server::start(way).await;
        let consul = agent(&server);
        let start = Instant::now();
        for result in [
            consul.read().await.map(drop),
            consul.ids().await.map(drop),
            consul.maintenance().await.map(drop),
            consul.probe().await.map(drop),
        ]
        .into_iter()
        .take(3)
        {
            let error = error_chain(&result.expect_err("no whole answer"));
            assert!(error.len() < 1_000, "{way:?}: {error}");
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{way:?}: {:?}", start.elapsed());
    }
    for (told, length) in [(true, "(5000000 bytes)"), (false, "(more than")] {
        let consul = agent(&Server::start(Way::Long { told }).await);
        for result in [consul.deregister("a").await, consul.has("a").await.map(drop)] {
            let error = error_chain(&result.expect_err("an error"));
            assert!(error.len() < 4_000 && error.contains(length), "{error}");
        }
    }
}

/// The daemon's memory is that of one that has nothing to do, and SIGTERM is obeyed.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_before_a_hostile_registry_stays_small_and_obeys_sigterm() {
    let docker = FakeDocker::start(Activity::default());
    let env = [("DOCKER_HOST", docker.host())];
    let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
    let calm = Daemon::start(&["-ip", "192.0.2.1", "memory://"], &env);
    calm.wait_for_log("Syncing services", Duration::from_secs(30)).await;
    let base = calm.memory_kib("VmHWM");
    for way in [Way::Bytes, Way::Text, Way::Entries, Way::Long { told: false }, Way::Drip] {
        let server = Server::start(way).await;
        let uri = format!("consul://somebody:secret@127.0.0.1:{}/?token=secret", server.port);
        let mut daemon = Daemon::start(&["-ip", "192.0.2.1", &uri], &env);
        match way {
            // The time for a whole call is longer than this test waits.
            Way::Drip => {
                let asked = async || match server.asked().len() {
                    0 | 1 => Err("nothing".to_string()),
                    _ => Ok(()),
                };
                crate::common::wait::until(Duration::from_secs(30), "a read", asked).await;
            }
            _ => drop(daemon.wait_for_log("trying again", Duration::from_secs(60)).await),
        }
        let peak = daemon.memory_kib("VmHWM");
        println!("{way:?}: {peak} KiB, {base} KiB without");
        assert!(peak < base + 64 * 1024, "{way:?}: {peak} KiB, {base} KiB without");
        let start = Instant::now();
        assert!(daemon.terminate().await.success());
        assert!(start.elapsed() < Duration::from_secs(6), "{way:?}: {:?}", start.elapsed());
        let log = daemon.log();
        assert!(!log.contains("secret"), "{log}");
        assert!(log.contains("Using consul adapter: consul://***@127.0.0.1"), "{log}");
        assert!(log.lines().all(|line| line.len() < 6_000), "{way:?}");
    }
}
