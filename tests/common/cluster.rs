//! A cluster of Consul: servers that elect a leader, and the agents of hosts, each on a loopback
//! address of its own.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::guard::Guard;
use super::{end, ports, tail, tool, wait};

const SERVERS: usize = 3;
/// The time for an election, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// The cluster; it ends with the value.
pub struct Cluster {
    agents: Vec<Agent>,
    client: reqwest::Client,
    guard: Guard,
}

/// An agent of Consul, a server or not.
pub struct Agent {
    name: String,
    address: String,
    http: u16,
    arguments: Vec<String>,
    folder: PathBuf,
    child: Option<Child>,
}

impl Cluster {
    /// Three servers, and so many agents.
    pub async fn start(agents: usize) -> Self {
        // The program under test chooses its own; a client in this process needs one, too.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let guard = Guard::new();
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(20))
            .pool_max_idle_per_host(0)
            .build()
            .expect("an HTTP client");
        // The same ports on addresses that no other test has.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let net = std::process::id().wrapping_mul(31) + NUMBER.fetch_add(1, Ordering::Relaxed);
        let net = format!("127.{}.{}", 16 + net / 256 % 200, net % 256);
        let [http, server, serf, wan] = ports::free();
        let mut cluster = Self { agents: Vec::new(), client, guard };
        let join: Vec<_> = (1..=SERVERS).map(|n| format!("-retry-join={net}.{n}:{serf}")).collect();
        for n in 1..=SERVERS + agents {
            let is_server = n <= SERVERS;
            let name = if is_server { format!("server-{n}") } else { format!("agent-{n}") };
            let folder = cluster.guard.dir().join(&name);
            std::fs::create_dir(&folder).expect("a folder");
            // A busy machine has slow heartbeats; that is no failure.
            let config = json!({
                "disable_update_check": true, "leave_on_terminate": false,
                // They would write to Raft all the time.
                "disable_coordinates": true,
                "performance": { "raft_multiplier": 5 },
                "ports": {
                    "http": http, "server": server, "serf_lan": serf, "dns": -1, "grpc": -1,
                    "serf_wan": if is_server { i32::from(wan) } else { -1 },
                },
                "gossip_lan": { "probe_interval": "1s", "probe_timeout": "900ms", "suspicion_mult": 3 },
                "limits": { "http_max_conns_per_client": 2000 },
            });
            std::fs::write(folder.join("agent.json"), config.to_string()).expect("written");
            let address = format!("{net}.{n}");
            let mut arguments = vec![
                "agent".into(),
                format!("-bind={address}"),
                format!("-client={address}"),
                format!("-node={name}"),
                format!("-data-dir={}", folder.join("data").display()),
                format!("-config-file={}", folder.join("agent.json").display()),
                "-retry-interval=1s".into(),
            ];
            arguments.extend(join.iter().cloned());
            if is_server {
                arguments.extend(["-server".into(), format!("-bootstrap-expect={SERVERS}")]);
            }
            cluster.agents.push(Agent { name, address, http, arguments, folder, child: None });
        }
        for n in 0..cluster.agents.len() {
            cluster.agents[n].spawn(&cluster.guard);
        }
        cluster.led().await;
        let all = SERVERS + agents;
        wait::until(PATIENCE, format!("{all} nodes"), async || {
            let nodes = cluster.get(0, "/v1/catalog/nodes").await?;
            let count = nodes.as_array().map(Vec::len).unwrap_or_default();
            if count == all { Ok(()) } else { Err(format!("{count}: {}", cluster.log(0))) }
        })
        .await;
        cluster
    }

    /// Host and port of an agent that is no server, counted from 0.
    pub fn agent(&self, number: usize) -> String {
        let own = self.agents.len() - SERVERS;
        self.agents[SERVERS + number % own].at()
    }

    /// How many agents there are that are no servers.
    pub fn agents(&self) -> usize {
        self.agents.len() - SERVERS
    }

    /// Host and port of a server, counted from 0.
    pub fn server(&self, number: usize) -> String {
        self.agents[number].at()
    }

    /// What an agent of the cluster answers; the servers are the first ones.
    pub async fn get(&self, number: usize, path: &str) -> Result<Value, String> {
        self.send(number, Method::GET, path, None).await
    }

    /// Any request of an agent of the cluster.
    pub async fn send(
        &self,
        number: usize,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Value, String> {
        let url = format!("http://{}{path}", self.agents[number].at());
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
        if !status.is_success() {
            return Err(format!("{status}: {text}"));
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// What a server that runs answers; one after the other is asked.
    pub async fn ask(&self, path: &str) -> Result<Value, String> {
        let mut last = String::new();
        for n in (0..SERVERS).filter(|n| self.agents[*n].child.is_some()) {
            match self.get(n, path).await {
                Ok(value) => return Ok(value),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Waits until a server is the leader, and tells which, counted from 0.
    pub async fn led(&self) -> usize {
        wait::until(PATIENCE, "a leader", async || {
            let leader = self.ask("/v1/status/leader").await?;
            let leader = leader.as_str().unwrap_or_default().to_string();
            let of = |agent: &Agent| {
                leader.split(':').next() == Some(&agent.address) && agent.child.is_some()
            };
            self.agents.iter().position(of).ok_or(leader)
        })
        .await
    }

    /// Kills an agent, as a crash would; the servers are the first ones.
    pub fn kill(&mut self, number: usize) {
        if let Some(mut child) = self.agents[number].child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends a server or an agent, and waits for that.
    pub async fn stop(&mut self, number: usize) {
        if let Some(mut child) = self.agents[number].child.take() {
            end(&mut child, Duration::from_secs(20)).await;
        }
    }

    /// Starts an agent again with all that it knew.
    pub fn start_again(&mut self, number: usize) {
        self.agents[number].spawn(&self.guard);
    }

    /// Sends a signal to an agent that is no server: STOP cuts it off from all others, CONT brings it
    /// back.
    pub fn signal_agent(&mut self, number: usize, name: &str) {
        let child = self.agents[SERVERS + number].child.as_mut().expect("it runs");
        super::signal(child, name);
    }

    /// The end of an agent's log.
    pub fn log(&self, number: usize) -> String {
        tail(&self.agents[number].folder.join("log"), 15)
    }
}

impl Agent {
    fn at(&self) -> String {
        format!("{}:{}", self.address, self.http)
    }

    fn spawn(&mut self, guard: &Guard) {
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.folder.join("log"))
            .expect("Consul's log file");
        let mut command = Command::new(tool("consul", "consul"));
        guard
            .mark(&mut command)
            .process_group(0)
            .args(&self.arguments)
            // One thread for each would be many on a small machine.
            .env("GOMAXPROCS", "2")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CONSUL_") {
                command.env_remove(name);
            }
        }
        self.child = Some(command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.name)));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the end of a server's log:\n{}\n---", self.log(0));
        }
        for agent in &mut self.agents {
            if let Some(mut child) = agent.child.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}
