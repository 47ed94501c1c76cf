//! A private Docker daemon.
//!
//! It leaves the machine's packet filter and forwarding alone, so that several
//! can run at once and beside one that is installed: its containers' published
//! ports are served by Docker's userland proxy, on every address of the machine,
//! and its containers reach the machine at [`Dockerd::bridge_ip`], but nothing
//! beyond it.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::guard::Guard;
use super::{end, last_lines, tool, wait};

const COMPONENT: &str = "docker";
const PATIENCE: Duration = Duration::from_secs(40);

#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Containers keep running while the daemon is stopped.
    pub live_restore: bool,
    /// The daemon has a machine's network to itself, and takes Docker's own
    /// bridge and address pools.
    pub own_network: bool,
    /// More arguments for dockerd.
    pub args: Vec<String>,
}

pub struct Dockerd {
    options: Options,
    subnet: Option<Subnet>,
    child: Option<Child>,
    guard: Guard,
}

impl Dockerd {
    pub async fn start() -> Dockerd {
        Dockerd::start_with(Options::default()).await
    }

    pub async fn start_with(options: Options) -> Dockerd {
        let owner = std::fs::metadata("/proc/self").expect("/proc").uid();
        assert_eq!(owner, 0, "a private dockerd can be started by root only");
        let guard = Guard::new();
        let subnet = (!options.own_network).then(|| Subnet::claim(guard.dir()));
        // Neither the machine's settings nor the user's are to count.
        std::fs::write(guard.dir().join("daemon.json"), "{}").expect("daemon.json");
        let mut dockerd = Dockerd { options, subnet, child: None, guard };
        dockerd.resume().await;
        dockerd
    }

    pub fn socket(&self) -> PathBuf {
        self.guard.dir().join("docker.sock")
    }

    /// The value of DOCKER_HOST for this daemon.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The machine's address on the default bridge, its containers' gateway.
    pub fn bridge_ip(&self) -> Ipv4Addr {
        self.subnet.as_ref().map_or(Ipv4Addr::new(172, 17, 0, 1), Subnet::gateway)
    }

    /// The last lines that the daemon printed, without the many of each start.
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        let noise = ["module=grpc", "loading plugin", "msg=serving..."];
        let told: Vec<&str> =
            log.lines().filter(|line| !noise.iter().any(|part| line.contains(part))).collect();
        last_lines(&told.join("\n"), 40)
    }

    /// Stops the daemon with SIGTERM; with it, unless they are live-restored,
    /// all containers. One whose main process ignores SIGTERM takes ten seconds:
    /// run it with `--stop-signal=KILL`.
    pub async fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let ended = end(&mut child, PATIENCE).await;
            assert!(ended, "dockerd ignored SIGTERM; its log:\n{}", self.log());
        }
    }

    /// Kills the daemon, as a crash would.
    pub async fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // Its containerd dies with it, but a little later, and may stay a zombie
        // for longer; the next dockerd would take either for one that works.
        let pidfile = self.guard.dir().join("exec/containerd/containerd.pid");
        let pid = std::fs::read_to_string(&pidfile).unwrap_or_default();
        wait::until(PATIENCE, "containerd is gone", async || {
            let status = format!("/proc/{}/status", pid.trim());
            match std::fs::read_to_string(status) {
                Ok(status) if !status.contains("\nState:\tZ") => Err(status),
                _ => Ok(()),
            }
        })
        .await;
        let _ = std::fs::remove_file(pidfile);
    }

    /// Starts a daemon that was stopped, with what it had stored.
    pub async fn resume(&mut self) {
        assert!(self.child.is_none(), "dockerd is running already");
        let dir = self.guard.dir();
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("dockerd's log file");
        // A daemon that was killed could not remove it.
        let _ = std::fs::remove_file(self.socket());

        let mut command = Command::new(tool("dockerd", COMPONENT));
        self.guard
            .mark(&mut command)
            .process_group(0)
            .env("PATH", path_with_sbin())
            .arg("--config-file")
            .arg(dir.join("daemon.json"))
            .arg("--data-root")
            .arg(dir.join("data"))
            .arg("--exec-root")
            .arg(dir.join("exec"))
            .arg("--pidfile")
            .arg(dir.join("dockerd.pid"))
            .args(["--host", &self.host()])
            .args(self.subnet.iter().flat_map(|subnet| ["--bridge".into(), subnet.bridge()]))
            .args(self.subnet.iter().flat_map(|it| ["--default-address-pool".into(), it.pool()]))
            .args(["--iptables=false", "--ip-forward=false", "--ip-masq=false"])
            .args(["--userland-proxy=true"])
            .arg(format!("--live-restore={}", self.options.live_restore))
            .args(&self.options.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log);
        self.child = Some(command.spawn().expect("dockerd can be run"));

        let start = std::time::Instant::now();
        while let Err(error) = self.try_run(&["version"]) {
            let ended = match self.child.as_mut().map(Child::try_wait) {
                Some(Ok(Some(status))) => format!("dockerd ended with {status}"),
                _ if start.elapsed() > PATIENCE => format!("no answer in {PATIENCE:?}: {error}"),
                _ => {
                    tokio::time::sleep(wait::INTERVAL).await;
                    continue;
                }
            };
            panic!("dockerd did not start: {ended}; its log:\n{}", self.log());
        }
    }

    /// Stops the daemon and starts it again, with what it had stored.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.resume().await;
    }

    /// Runs `docker` with these arguments and returns what it printed, without
    /// the last line's end. Panics with its error output if it fails.
    ///
    /// It blocks: a server that runs in the test itself does not answer
    /// meanwhile, unless the test's runtime has several threads.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> String {
        match self.try_run(args) {
            Ok(output) => output,
            Err(error) => panic!("docker {}: {error}", args.join(" ")),
        }
    }

    /// Like [`Dockerd::run`], with the error output of `docker` as the error.
    pub fn try_run(&self, args: &[&str]) -> Result<String, String> {
        let output = self.docker(args).output().expect("docker can be run");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        }
    }

    /// A `docker` command for this daemon, to be run in the test's own way.
    pub fn docker(&self, args: &[&str]) -> Command {
        let mut command = Command::new(tool("docker", COMPONENT));
        // The user's own contexts, plugins and credentials are not to count.
        command
            .env("DOCKER_CONFIG", self.guard.dir().join("client"))
            .env("DOCKER_BUILDKIT", "0")
            .env_remove("DOCKER_CONTEXT")
            .env_remove("DOCKER_TLS_VERIFY")
            .env_remove("DOCKER_API_VERSION")
            .args(["--host", &self.host()])
            .args(args)
            .stdin(Stdio::null());
        command
    }

    /// `docker inspect` of one object.
    #[track_caller]
    pub fn inspect(&self, id: &str) -> Value {
        let output = self.run(&["inspect", id]);
        let objects: Value = serde_json::from_str(&output).expect("docker inspect prints JSON");
        objects[0].clone()
    }

    /// The port of the machine at which a container's port, such as `80/tcp`, is
    /// published.
    #[track_caller]
    pub fn host_port(&self, container: &str, port: &str) -> u16 {
        let output = self.run(&["port", container, port]);
        output
            .lines()
            .next()
            .and_then(|line| line.rsplit(':').next())
            .and_then(|port| port.parse().ok())
            .unwrap_or_else(|| panic!("{container} does not publish {port}: {output}"))
    }

    /// Makes an image of busybox and its applets, with `/www/index.html`.
    ///
    /// The changes are instructions as in a Dockerfile: CMD, EXPOSE, ENV, LABEL
    /// and so on. Returns the image's id.
    #[track_caller]
    pub fn import_busybox(&self, tag: &str, changes: &[&str]) -> String {
        let rootfs = self.guard.dir().join("busybox");
        if !rootfs.exists() {
            make_rootfs(&rootfs).expect("the files of a busybox image");
        }
        let mut archive = Command::new("tar")
            .args(["-c", "--owner=0", "--group=0", "-C"])
            .arg(&rootfs)
            .arg(".")
            .stdout(Stdio::piped())
            .spawn()
            .expect("tar can be run");
        let mut args = vec!["import"];
        for change in changes {
            args.extend(["--change", change]);
        }
        args.extend(["-", tag]);
        let output = self
            .docker(&args)
            .stdin(archive.stdout.take().expect("tar's output"))
            .output()
            .expect("docker can be run");
        let archived = archive.wait().expect("tar ends");
        assert!(
            output.status.success() && archived.success(),
            "docker import of {tag}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn log_file(&self) -> PathBuf {
        self.guard.dir().join("dockerd.log")
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- dockerd's log, its end:\n{}\n---", self.log());
        }
        // The guard ends the daemon in an orderly way, so that it takes its
        // containers along; only then there is a child to wait for.
        self.guard.clean();
        if let Some(child) = &mut self.child {
            let _ = child.wait();
        }
    }
}

fn path_with_sbin() -> String {
    // dockerd looks for its helpers there.
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/sbin:/sbin")
}

/// The files of a busybox image.
pub(super) fn make_rootfs(rootfs: &Path) -> std::io::Result<()> {
    let busybox = tool("busybox", COMPONENT);
    let list = Command::new(&busybox).arg("--list").output()?.stdout;
    // Complete or not at all, for the next call looks whether it is there.
    let draft = rootfs.with_extension("draft");
    for dir in ["bin", "dev", "etc", "proc", "sys", "tmp", "www"] {
        std::fs::create_dir_all(draft.join(dir))?;
    }
    std::fs::write(draft.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n")?;
    std::fs::write(draft.join("etc/group"), "root:x:0:\n")?;
    std::fs::write(draft.join("www/index.html"), "busybox\n")?;
    std::fs::copy(&busybox, draft.join("bin/busybox"))?;
    for applet in String::from_utf8_lossy(&list).lines() {
        if applet != "busybox" {
            symlink("busybox", draft.join("bin").join(applet))?;
        }
    }
    std::fs::rename(draft, rootfs)
}

/// A private network, 10.x.y.0/24: its lower half for the default bridge, the
/// upper one for the networks that tests create.
struct Subnet(u8, u8);

impl Subnet {
    /// Takes a network that is not in use. The kernel has no two bridges of one
    /// name, and the name tells the network, so that no two tests take the same.
    fn claim(dir: &Path) -> Subnet {
        let ip = tool("ip", COMPONENT);
        let ip = |args: &[&str]| {
            let output = Command::new(&ip).args(args).output().expect("ip can be run");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            output.status.success().then_some(text).ok_or_else(|| {
                let error = String::from_utf8_lossy(&output.stderr);
                format!("ip {}: {}", args.join(" "), error.trim())
            })
        };
        let start = std::process::id();
        let mut last = String::new();
        for n in 0..4096_u32 {
            let n = start.wrapping_mul(31).wrapping_add(n) % 4096;
            let subnet = Subnet(200 + (n / 256) as u8, (n % 256) as u8);
            let (bridge, network) = (subnet.bridge(), subnet.network());
            let routes = |which| ip(&["-4", "route", "show", which, &network]);
            let taken = |routes: Result<String, String>| {
                routes.is_ok_and(|lines| lines.lines().any(|line| !line.starts_with("default")))
            };
            if taken(routes("match")) || taken(routes("root")) {
                continue;
            }
            // With an address of its own: else it takes that of one of its ports,
            // and when that goes, containers send to nowhere for half a minute.
            let mac = format!("02:42:0a:{:02x}:{:02x}:01", subnet.0, subnet.1);
            let add = ["link", "add", &bridge, "address", &mac, "type", "bridge"];
            if let Err(error) = ip(&add) {
                last = error;
                continue;
            }
            // For the guard; only now that the bridge is this test's own.
            std::fs::write(dir.join("subnet"), &network).expect("a file for the guard");
            let address = format!("{}/25", subnet.gateway());
            ip(&["address", "add", &address, "dev", &bridge]).expect("an address for the bridge");
            ip(&["link", "set", &bridge, "up"]).expect("the bridge is up");
            return subnet;
        }
        panic!("no network for Docker's bridge; the last attempt: {last}");
    }

    fn bridge(&self) -> String {
        format!("wf10-{}-{}", self.0, self.1)
    }

    fn network(&self) -> String {
        format!("10.{}.{}.0/24", self.0, self.1)
    }

    fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.0, self.1, 1)
    }

    fn pool(&self) -> String {
        format!("base=10.{}.{}.128/25,size=28", self.0, self.1)
    }
}
