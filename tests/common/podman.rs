//! A private Podman, with the service that speaks Docker's API.
//!
//! It has a network, mounts and processes of its own (namespaces of the kernel),
//! so that neither the machine's packet filter nor its other containers are
//! touched. What is published there is published on no address of the machine.
//! Podman has no daemon: containers outlive its service, as they do on a host.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::dockerd::make_rootfs;
use super::guard::Guard;
use super::{tail, tool, wait};

const COMPONENT: &str = "podman";
const PATIENCE: Duration = Duration::from_secs(40);

pub struct Podman {
    /// Holds the namespaces; with it everything in them ends.
    machine: Child,
    service: Option<Child>,
    guard: Guard,
}

impl Podman {
    /// Panics with what is missing if Podman cannot run on this machine.
    pub async fn start() -> Podman {
        let owner = std::fs::metadata("/proc/self").expect("/proc").uid();
        assert_eq!(owner, 0, "a private Podman can be started by root only");
        for program in ["podman", "conmon", "runc", "iptables", "ip", "unshare", "nsenter"] {
            tool(program, COMPONENT);
        }
        let netavark = Path::new("/usr/lib/podman/netavark");
        assert!(netavark.exists(), "`netavark` is missing: run tests/env/install.sh {COMPONENT}");
        let guard = Guard::new();
        let machine = machine(&guard);
        let mut podman = Podman { machine, service: None, guard };
        podman.configure();
        podman.resume().await;
        podman
    }

    fn configure(&self) {
        let config = "[network]\nnetwork_backend = \"netavark\"\n[engine]\nruntime = \"runc\"\n\
                      events_logger = \"file\"\ncgroup_manager = \"cgroupfs\"\n";
        std::fs::write(self.config(), config).expect("containers.conf");
        let networks = self.guard.dir().join("networks");
        std::fs::create_dir(networks).expect("a folder for networks");
    }

    fn config(&self) -> PathBuf {
        self.guard.dir().join("containers.conf")
    }

    pub fn socket(&self) -> PathBuf {
        self.guard.dir().join("podman.sock")
    }

    /// The value of DOCKER_HOST for this service.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Stops the service; containers go on.
    pub async fn stop(&mut self) {
        let Some(mut child) = self.service.take() else { return };
        let pid = std::fs::read_to_string(self.pid_file()).expect("the service's pid");
        let status = self.inside("kill").arg(pid.trim()).status().expect("kill can be run");
        assert!(status.success(), "the service is not there");
        let start = Instant::now();
        while child.try_wait().expect("the state of a child").is_none() {
            assert!(start.elapsed() < PATIENCE, "the service ignored SIGTERM");
            tokio::time::sleep(wait::INTERVAL).await;
        }
    }

    /// Starts a service that was stopped.
    pub async fn resume(&mut self) {
        assert!(self.service.is_none(), "the service is running already");
        let _ = std::fs::remove_file(self.socket());
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("the service's log file");
        let mut command = self.inside("sh");
        command
            .args(["-c", "echo $$ > \"$0\"; exec \"$@\""])
            .arg(self.pid_file())
            .arg(tool("podman", COMPONENT))
            .args(self.globals())
            .args(["system", "service", "--time=0", &self.host()])
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log);
        self.service = Some(command.spawn().expect("nsenter can be run"));
        let start = Instant::now();
        while let Err(error) = self.try_run(&["version"]) {
            let ended = self.service.as_mut().map(Child::try_wait);
            let alive = matches!(ended, Some(Ok(None)));
            assert!(
                alive && start.elapsed() < PATIENCE,
                "Podman's service does not answer: {error}; its log:\n{}",
                self.log()
            );
            tokio::time::sleep(wait::INTERVAL).await;
        }
    }

    /// Runs `podman` as a client of the service and returns what it printed.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> String {
        match self.try_run(args) {
            Ok(output) => output,
            Err(error) => panic!("podman {}: {error}\n{}", args.join(" "), self.log()),
        }
    }

    /// Like [`Podman::run`], with the error output as the error.
    pub fn try_run(&self, args: &[&str]) -> Result<String, String> {
        output(self.client(args))
    }

    /// A client's command, to be run in the test's own way.
    pub fn client(&self, args: &[&str]) -> Command {
        let mut command = Command::new(tool("podman", COMPONENT));
        // The user's own connections are not to count.
        command
            .env("HOME", self.guard.dir())
            .env("CONTAINERS_CONF", self.config())
            .env_remove("CONTAINER_HOST")
            .args(["--remote", "--url", &self.host()])
            .args(args)
            .stdin(Stdio::null());
        command
    }

    /// Runs `podman` without the service, which need not run.
    #[track_caller]
    pub fn run_locally(&self, args: &[&str]) -> String {
        let mut command = self.inside("podman");
        command.args(self.globals()).args(args);
        output(command).unwrap_or_else(|error| panic!("podman {}: {error}", args.join(" ")))
    }

    /// `run -d --name NAME`, with further arguments up to the image.
    pub fn arguments<'a>(&self, name: &'a str, args: &[&'a str]) -> Vec<String> {
        let parent = format!("/{}", self.name());
        let mut line: Vec<String> =
            ["run", "-d", "--cgroup-parent", &parent, "--name", name].map(String::from).to_vec();
        line.extend(args.iter().map(ToString::to_string));
        line
    }

    /// `podman inspect` of one container.
    #[track_caller]
    pub fn inspect(&self, container: &str) -> Value {
        let output = self.run(&["container", "inspect", container]);
        let containers: Value = serde_json::from_str(&output).expect("podman prints JSON");
        containers[0].clone()
    }

    /// Makes an image of busybox, with `/www/index.html`; the changes are
    /// instructions as in a Dockerfile.
    #[track_caller]
    pub fn import_busybox(&self, tag: &str, changes: &[&str]) {
        let (rootfs, archive) =
            (self.guard.dir().join("busybox"), self.guard.dir().join("busybox.tar"));
        if !archive.exists() {
            make_rootfs(&rootfs).expect("the files of a busybox image");
            let mut tar = Command::new("tar");
            tar.args(["-c", "--owner=0", "--group=0", "-C"]).arg(&rootfs).arg("-f").arg(&archive);
            assert!(tar.arg(".").status().expect("tar can be run").success());
        }
        let archive = archive.display().to_string();
        let mut args = vec!["import"];
        for change in changes {
            args.extend(["--change", change]);
        }
        args.extend([archive.as_str(), tag]);
        self.run(&args);
    }

    /// The last lines that the service printed.
    pub fn log(&self) -> String {
        tail(&self.log_file(), 40)
    }

    fn log_file(&self) -> PathBuf {
        self.guard.dir().join("podman.log")
    }

    fn pid_file(&self) -> PathBuf {
        self.guard.dir().join("service.pid")
    }

    /// The name of the folder, which is no other test's.
    fn name(&self) -> String {
        self.guard.dir().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn globals(&self) -> Vec<String> {
        let place =
            |flag: &str, name: &str| format!("--{flag}={}", self.guard.dir().join(name).display());
        vec![
            place("root", "root"),
            place("runroot", "run"),
            place("tmpdir", "tmp"),
            place("volumepath", "volumes"),
            place("network-config-dir", "networks"),
            "--storage-driver=vfs".into(),
        ]
    }

    /// A program in the namespaces.
    fn inside(&self, program: &str) -> Command {
        let namespace =
            |flag: &str, name: &str| format!("--{flag}=/proc/{}/ns/{name}", self.machine.id());
        let mut command = Command::new(tool("nsenter", COMPONENT));
        self.guard
            .mark(&mut command)
            .process_group(0)
            .env("CONTAINERS_CONF", self.config())
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .arg(namespace("net", "net"))
            .arg(namespace("mount", "mnt"))
            .arg(namespace("pid", "pid_for_children"))
            .arg("--")
            .arg(program)
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- Podman's log, its end:\n{}\n---", self.log());
        }
        // In an orderly way, so that the control groups go, too.
        let mut clean = self.inside("podman");
        clean.args(self.globals()).args(["rm", "--all", "--force", "--time=0"]);
        let _ = output(clean);
        let _ = self.machine.kill();
        let _ = self.machine.wait();
        if let Some(child) = &mut self.service {
            let _ = child.wait();
        }
        self.guard.clean();
    }
}

/// A process that holds a network, mounts and processes of its own. Podman's
/// names of networks and its locks are in folders that all users of a machine
/// share.
fn machine(guard: &Guard) -> Child {
    let ready = guard.dir().join("machine");
    let mut command = Command::new(tool("unshare", COMPONENT));
    let script = "mount -t tmpfs none /run && mount -t tmpfs none /dev/shm && \
                  ip link set lo up && echo ready > \"$0\" && exec sleep infinity";
    let mut child = guard
        .mark(&mut command)
        .process_group(0)
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["sh", "-c", script])
        .arg(&ready)
        .stdin(Stdio::null())
        .spawn()
        .expect("unshare can be run");
    let start = Instant::now();
    while !ready.exists() {
        let ended = child.try_wait().expect("the state of a child");
        assert!(
            ended.is_none() && start.elapsed() < PATIENCE,
            "this machine gives no namespaces to Podman (unshare: {ended:?})"
        );
        std::thread::sleep(wait::INTERVAL);
    }
    child
}

fn output(mut command: Command) -> Result<String, String> {
    let output = command.output().expect("the command can be run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    }
}
