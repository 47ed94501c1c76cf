//! A private Consul agent.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value};

use super::guard::Guard;
use super::{end, ports, tail, tool, wait};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub struct Options {
    /// Allows checks that run a command.
    pub script_checks: bool,
    /// Addresses to listen on, besides 127.0.0.1: Docker's bridge, for instance.
    pub addresses: Vec<String>,
    /// Also serves HTTPS, on a port of its own; certificates come with `config`.
    pub https: bool,
    /// More configuration: the name of a file, ending in .hcl or .json, and what
    /// is in it.
    pub config: Vec<(String, String)>,
    /// More arguments for `consul agent`.
    pub args: Vec<String>,
    /// The token for this helper's own requests.
    pub token: Option<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            script_checks: true,
            addresses: Vec::new(),
            https: false,
            config: Vec::new(),
            args: Vec::new(),
            token: None,
        }
    }
}

pub struct Consul {
    options: Options,
    ports: Ports,
    client: reqwest::Client,
    child: Option<Child>,
    guard: Guard,
}

#[derive(Clone, Copy)]
struct Ports {
    http: u16,
    https: u16,
    server: u16,
    serf: u16,
}

impl Ports {
    fn free() -> Ports {
        let [http, https, server, serf] = ports::free();
        Ports { http, https, server, serf }
    }
}

impl Consul {
    pub async fn start(options: Options) -> Consul {
        // The program under test chooses its own; this process has none yet.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            // Connections belong to the runtime of one test.
            .pool_max_idle_per_host(0)
            .build()
            .expect("an HTTP client");
        let guard = Guard::new();
        let config = guard.dir().join("config");
        std::fs::create_dir(&config).expect("a folder for Consul's configuration");
        for (name, content) in &options.config {
            std::fs::write(config.join(name), content).expect("Consul's configuration");
        }
        let mut consul = Consul { options, ports: Ports::free(), client, child: None, guard };
        for _ in 0..5 {
            match consul.spawn().await {
                Ok(()) => return consul,
                Err(log) if port_is_taken(&log) => consul.ports = Ports::free(),
                Err(log) => panic!("Consul did not start; its log:\n{log}"),
            }
        }
        panic!("Consul found none of five sets of ports free");
    }

    /// Host and port of the HTTP interface.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.ports.http)
    }

    /// The port of the HTTP interface, the same on all addresses.
    pub fn port(&self) -> u16 {
        self.ports.http
    }

    /// Host and port of the HTTPS interface.
    pub fn https_addr(&self) -> String {
        assert!(self.options.https, "Consul was started without HTTPS");
        format!("127.0.0.1:{}", self.ports.https)
    }

    /// The last lines that Consul printed.
    pub fn log(&self) -> String {
        tail(&self.guard.dir().join("consul.log"), 40)
    }

    /// Changes the token for this helper's own requests.
    pub fn set_token(&mut self, token: &str) {
        self.options.token = Some(token.to_owned());
    }

    /// The agent's services, by id.
    pub async fn services(&self) -> Map<String, Value> {
        as_map(self.get("/v1/agent/services").await)
    }

    /// The agent's checks, by id.
    pub async fn checks(&self) -> Map<String, Value> {
        as_map(self.get("/v1/agent/checks").await)
    }

    /// The instances of a service in the catalog.
    pub async fn catalog_service(&self, name: &str) -> Vec<Value> {
        as_list(self.get(&format!("/v1/catalog/service/{name}")).await)
    }

    /// The instances of a service with their node and checks.
    pub async fn health(&self, name: &str) -> Vec<Value> {
        as_list(self.get(&format!("/v1/health/service/{name}")).await)
    }

    /// Registers a service that is not the work of the program under test.
    pub async fn register_foreign(&self, service: &Value) {
        self.put("/v1/agent/service/register", service).await;
    }

    /// Takes a service out, behind the back of the program under test.
    pub async fn deregister(&self, id: &str) {
        let path = format!("/v1/agent/service/deregister/{id}");
        self.put(&path, &Value::Null).await;
    }

    /// A GET that has to succeed; an answer that is not JSON is given as a string.
    pub async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path, &Value::Null)
            .await
            .unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// A PUT that has to succeed; null stands for no body.
    pub async fn put(&self, path: &str, body: &Value) -> Value {
        self.send(Method::PUT, path, body)
            .await
            .unwrap_or_else(|error| panic!("PUT {path}: {error}"))
    }

    /// Any request; the error says what went wrong.
    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Value, String> {
        let url = format!("http://{}{path}", self.addr());
        let mut request = self.client.request(method, url);
        if let Some(token) = &self.options.token {
            request = request.header("X-Consul-Token", token);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
        if !status.is_success() {
            return Err(format!("{status}: {text}"));
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Stops the agent, without its leaving the cluster.
    pub async fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            end(&mut child, Duration::from_secs(10)).await;
        }
    }

    /// Suspends the agent: it accepts connections and does not answer them.
    pub fn suspend(&mut self) {
        self.signal("STOP");
    }

    /// Lets a suspended agent go on.
    pub fn unsuspend(&mut self) {
        self.signal("CONT");
    }

    /// Starts the agent again on the same ports, stopping it before if it runs.
    /// It knows of nothing: an agent in development mode stores nothing.
    pub async fn restart_empty(&mut self) {
        self.stop().await;
        let start = std::time::Instant::now();
        while let Err(log) = self.spawn().await {
            assert!(
                port_is_taken(&log) && start.elapsed() < PATIENCE,
                "Consul did not start again; its log:\n{log}"
            );
        }
    }

    fn signal(&mut self, name: &str) {
        let child = self.child.as_mut().expect("Consul is running");
        super::signal(child, name);
    }

    /// Starts the agent and waits until it is its own leader. The error is the
    /// log of an agent that ended.
    async fn spawn(&mut self) -> Result<(), String> {
        let dir = self.guard.dir();
        let log = File::create(dir.join("consul.log")).expect("Consul's log file");
        let mut addresses = vec!["127.0.0.1"];
        addresses.extend(self.options.addresses.iter().map(String::as_str));

        let mut command = Command::new(tool("consul", "consul"));
        self.guard
            .mark(&mut command)
            .process_group(0)
            .args(["agent", "-dev", "-bind=127.0.0.1", "-dns-port=-1"])
            .args(["-grpc-port=-1", "-serf-wan-port=-1"])
            .arg(format!("-client={}", addresses.join(" ")))
            .arg(format!("-http-port={}", self.ports.http))
            .arg(format!("-server-port={}", self.ports.server))
            .arg(format!("-serf-lan-port={}", self.ports.serf))
            .arg(format!("-node=test-{}", self.ports.http))
            .arg(format!("-config-dir={}", dir.join("config").display()))
            .arg("-hcl=disable_update_check = true")
            .arg(format!("-enable-script-checks={}", self.options.script_checks))
            .args(&self.options.args)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log);
        if self.options.https {
            command.arg(format!("-https-port={}", self.ports.https));
        }
        // The user's address, token and so on are not to count.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CONSUL_") {
                command.env_remove(name);
            }
        }
        self.child = Some(command.spawn().expect("consul can be run"));

        let start = std::time::Instant::now();
        loop {
            let leader = self.send(Method::GET, "/v1/status/leader", &Value::Null).await;
            // Asked after the leader: the answer may be that of another agent,
            // on whose port this one has just failed.
            let child = self.child.as_mut().expect("just started");
            if let Ok(Some(_)) = child.try_wait() {
                self.child = None;
                return Err(self.log());
            }
            match leader {
                Ok(Value::String(leader)) if !leader.is_empty() => return Ok(()),
                _ if start.elapsed() < PATIENCE => tokio::time::sleep(wait::INTERVAL).await,
                state => panic!("Consul has no leader: {state:?}; its log:\n{}", self.log()),
            }
        }
    }
}

impl Drop for Consul {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- Consul's log, its end:\n{}\n---", self.log());
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn port_is_taken(log: &str) -> bool {
    log.contains("address already in use")
}

fn as_map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("Consul answered with something else than an object: {other}"),
    }
}

fn as_list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        other => panic!("Consul answered with something else than a list: {other}"),
    }
}
