//! A private registry of images: Debian's `docker-registry`.

use std::fs::File;
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::guard::Guard;
use super::{ports, tail, tool, wait};

const PATIENCE: Duration = Duration::from_secs(60);
/// The line of htpasswd for the login.
const LOGIN: &str = "ann:$2y$05$pyRenJ/0HNYUewve6Xxtm.rmGyStb/cm1lWARlgPvBqU84bld3brS\n";
/// The user.
pub const USER: &str = "ann";
/// The user's password.
pub const PASSWORD: &str = "wharf side";

/// The registry; it ends with the value.
pub struct ImageRegistry {
    guard: Guard,
    port: u16,
}

impl ImageRegistry {
    /// One that anybody may write to, over HTTP.
    pub fn open() -> Self {
        Self::start("", false)
    }

    /// One that anybody may write to, over TLS.
    pub fn secure() -> Self {
        Self::start("", true)
    }

    /// One that wants a login, over TLS.
    pub fn closed() -> Self {
        Self::start("auth: { htpasswd: { realm: wharf, path: DIR/htpasswd } }\n", true)
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The authority of its certificate, in PEM.
    pub fn authority(&self) -> PathBuf {
        self.guard.dir().join("ca.pem")
    }

    /// What it was asked and has answered, by its log: `METHOD URI STATUS`.
    pub fn asked(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.guard.dir().join("registry.log"));
        let log = log.unwrap_or_default();
        let all = log.lines().filter(|line| line.contains("http.response.status="));
        all.map(|line| {
            let field = |name: &str| {
                let rest = line.split_once(&format!(" http.{name}="));
                let word = rest.and_then(|(_, rest)| rest.split(' ').next());
                word.unwrap_or_default().trim_matches('"').to_string()
            };
            ["request.method", "request.uri", "response.status"].map(field).join(" ")
        })
        .collect()
    }

    fn start(auth: &str, tls: bool) -> Self {
        let program = tool("docker-registry", "policy");
        for _ in 0..5 {
            let guard = Guard::new();
            let [port] = ports::free();
            let dir = guard.dir().display().to_string();
            let tls = if tls {
                certificates(guard.dir());
                "  tls: { certificate: DIR/server.pem, key: DIR/server.key }\n"
            } else {
                ""
            };
            let config = format!(
                "version: 0.1\nlog: {{ level: info }}\n\
                 storage: {{ filesystem: {{ rootdirectory: DIR/data }} }}\n{auth}\
                 http:\n  addr: 127.0.0.1:{port}\n{tls}"
            );
            let file = guard.dir().join("registry.yml");
            std::fs::write(&file, config.replace("DIR", &dir)).expect("written");
            std::fs::write(guard.dir().join("htpasswd"), LOGIN).expect("written");
            let log = guard.dir().join("registry.log");
            let output = File::create(&log).expect("a log");
            let mut command = Command::new(&program);
            let mut child = guard
                .mark(&mut command)
                .process_group(0)
                .arg("serve")
                .arg(&file)
                // It would send what it does to a collector that somebody has configured.
                .env("OTEL_TRACES_EXPORTER", "none")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(output)
                .spawn()
                .expect("docker-registry can be started");
            let end = Instant::now() + PATIENCE;
            loop {
                if let Ok(Some(_)) = child.try_wait() {
                    let log = tail(&log, 20);
                    assert!(log.contains("address already in use"), "no registry:\n{log}");
                    break;
                }
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Self { guard, port };
                }
                assert!(Instant::now() < end, "no registry:\n{}", tail(&log, 20));
                std::thread::sleep(wait::INTERVAL);
            }
        }
        panic!("the registry found none of five ports free");
    }
}

/// An authority, and a certificate of this machine that it vouches for.
fn certificates(dir: &Path) {
    std::fs::write(dir.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        .expect("written");
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    for line in [
        format!("req -x509 {new} -keyout ca.key -out ca.pem -subj /CN=ca -days 2"),
        format!("req {new} -keyout server.key -out server.csr -subj /CN=registry"),
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
         -extfile names -out server.pem"
            .into(),
    ] {
        let made = Command::new(tool("openssl", "policy"))
            .args(line.split_whitespace())
            .current_dir(dir)
            .output()
            .expect("openssl runs");
        assert!(made.status.success(), "{line}: {}", String::from_utf8_lossy(&made.stderr));
    }
}
