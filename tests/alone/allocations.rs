//! Guarantee: a container's way from its event to its registration takes no more allocations than are
//! known: they are a good part of what it costs, and are the same on every machine, whatever else runs. Nor
//! is more kept of it than is known.
//!
//! What is counted is the daemon as the program runs it, in a process of this program of tests that does
//! nothing else; Docker and Consul are in this one.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tracing::Level;
use wharfinger::{cli, config::LogFormat, telemetry};

use crate::common::{
    corpus,
    counting::{Counting, Meter},
    daemon::Daemon,
    fake_docker::FakeDocker,
    guard::Guard,
    http::Activity,
    plugin,
    recording_consul::RecordingConsul,
    wait::until,
};

const SOON: Duration = Duration::from_secs(120);
/// How many containers there are at first, and how many come then.
const FIRST: usize = 10;
const MORE: usize = 200;
/// The daemon's arguments, in the process that is one.
const ARGUMENTS: &str = "WHARFINGER_COUNTED";
/// What a container's way takes, without a stage and with five, with the optimisation that tests have:
/// allocations, and bytes that are kept.
const NONE: (u64, u64) = (512, 3_340);
const FIVE: (u64, u64) = (1_058, 3_700);

static COUNT: AtomicU64 = AtomicU64::new(0);
/// The bytes that are in use.
static BYTES: AtomicI64 = AtomicI64::new(0);

#[global_allocator]
static COUNTING: Counting<Process> = Counting(Process);

/// Counts for the whole process: each allocation, and the bytes.
struct Process;

impl Meter for Process {
    fn note(&self, new: usize, old: usize) {
        COUNT.fetch_add(u64::from(new > 0), Ordering::Relaxed);
        // No allocation has more than half of the address space.
        BYTES.fetch_add(new as i64 - old as i64, Ordering::Relaxed);
    }
}

/// Be the daemon, and say on each line of the standard input how much was allocated so far.
fn be_counted(args: &str) {
    let args: Vec<String> = serde_json::from_str(args).expect("a list of arguments");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let invocation = cli::parse(args.into_iter().map(Into::into))
        .unwrap_or_else(|error| panic!("{}", error.message));
    telemetry::start(LogFormat::Text, Level::INFO);
    thread::spawn(|| {
        for _ in std::io::stdin().lines().map_while(Result::ok) {
            let (count, bytes) = (COUNT.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
            println!("allocations {count} {bytes}");
        }
        // Who has started it is gone, and waits for nothing.
        #[allow(clippy::disallowed_methods)]
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.expect("threads").block_on(cli::run(invocation));
    panic!("the daemon has ended: {ended:?}");
}

/// The process that counts; it ends with the value.
struct Counted {
    child: Child,
    said: BufReader<ChildStdout>,
    _guard: Guard,
}

impl Counted {
    fn start(test: &str, args: &[&str], docker: &str) -> Self {
        let guard = Guard::new();
        let args = [&["wharfinger"], args].concat();
        let mut command = Command::new(env::current_exe().expect("this program"));
        command.env_clear();
        guard
            .mark(&mut command)
            .env(ARGUMENTS, json!(args).to_string())
            .env("DOCKER_HOST", docker)
            .env("HOME", guard.dir())
            .env("WHARFINGER_CONTROL", guard.dir().join("control.sock"))
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("this program can be run");
        let said = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, said, _guard: guard }
    }

    /// How often it has allocated so far, and how many bytes it has.
    fn count(&mut self) -> (u64, i64) {
        let input = self.child.stdin.as_mut().expect("its input");
        writeln!(input).expect("it listens");
        for line in std::io::Read::by_ref(&mut self.said).lines() {
            let line = line.expect("its output is text");
            // The program of tests says something before, on the same line perhaps.
            if let Some((_, count)) = line.split_once("allocations ") {
                let (count, bytes) = count.trim().split_once(' ').expect("two numbers");
                return (count.parse().expect("a number"), bytes.parse().expect("a number"));
            }
        }
        panic!("it has ended");
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Lab {
    docker: FakeDocker,
    consul: RecordingConsul,
    base: Value,
    folder: tempfile::TempDir,
}

impl Lab {
    async fn new() -> Self {
        let activity = Activity::default();
        let docker = FakeDocker::start(activity.clone());
        let consul = RecordingConsul::start(activity, Vec::new()).await;
        consul.count_changes();
        let case = corpus::cases().into_iter().find(|case| case.name == "net-bridge");
        let base = case.expect("the case is part of the corpus").inspected().remove(0);
        let folder = tempfile::tempdir().expect("a folder");
        Self { docker, consul, base, folder }
    }

    fn set(&self, n: usize) {
        let mut one = self.base.clone();
        one["Id"] = json!(id(n));
        one["Name"] = json!(format!("/c{n}"));
        one["Config"]["Labels"] = json!({ "owner": "ann", "team": "shop" });
        self.docker.set(&format!("c{n}"), Some(one));
    }

    fn configuration(&self, stages: usize) -> String {
        let cache = self.folder.path().join("cache");
        let mut config = format!("[cache]\ndir = {cache:?}\n[[pipeline]]\nname = 'registrator'\n");
        config += "builtin = 'registrator'\n";
        let component = plugin("convention");
        for n in 0..stages {
            config += &format!(
                "[[pipeline]]\nname = 's{n}'\nfile = {component:?}\n\
                 settings = {{ owner-label = 'owner', team-label = 'team', tag = 't{n}' }}\n"
            );
        }
        config
    }

    async fn until_registered(&self, count: usize) {
        until(SOON, format!("{count} services"), async || {
            let found = self.consul.ids().len();
            (found == count).then_some(()).ok_or(format!("{found}"))
        })
        .await;
    }

    /// The allocations of a container's way with so many stages, and the bytes that are kept of it.
    async fn each(&self, test: &str, stages: usize) -> (u64, u64) {
        (0..FIRST).for_each(|n| self.set(n));
        let file = self.folder.path().join("config.toml");
        std::fs::write(&file, self.configuration(stages)).expect("the file is written");
        let (file, uri) = (file.display().to_string(), self.consul.uri());
        let args = ["-ip", "10.0.0.1", "--hostname", "h", "--config", &file, &uri];
        self.compile(&args).await;
        let mut counted = Counted::start(test, &args, &self.docker.host());
        self.until_registered(FIRST).await;
        // What follows the start has been done when it listens to events.
        until(SOON, "it listens", async || {
            (self.docker.listeners() > 0).then_some(()).ok_or("nobody listens".into())
        })
        .await;
        let before = counted.count();
        for n in FIRST..FIRST + MORE {
            self.set(n);
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let now = u64::try_from(now.expect("a time").as_nanos()).expect("a time");
            self.docker.send(&json!({
                "Type": "container", "Action": "start", "time": now / 1_000_000_000, "timeNano": now,
                "Actor": { "ID": id(n), "Attributes": { "name": format!("c{n}") } },
            }));
        }
        self.until_registered(FIRST + MORE).await;
        let after = counted.count();
        let kept = u64::try_from(after.1 - before.1).expect("something is kept");
        ((after.0 - before.0) / MORE as u64, kept / MORE as u64)
    }

    /// Only the program itself can compile: what it has compiled is found in its cache.
    async fn compile(&self, args: &[&str]) {
        let daemon = Daemon::start(args, &[("DOCKER_HOST", &self.docker.host())]);
        self.until_registered(FIRST).await;
        drop(daemon);
        self.consul.ids().iter().for_each(|id| self.consul.remove(id));
    }
}

fn id(n: usize) -> String {
    format!("{:012x}{:052x}", n + 1, n + 1)
}

#[test]
fn what_is_allocated_is_counted() {
    let before = COUNT.load(Ordering::Relaxed);
    let text = std::hint::black_box(String::from("allocated"));
    assert!(COUNT.load(Ordering::Relaxed) > before, "{text}");
}

#[tokio::test]
async fn a_containers_way_allocates_as_much_as_is_known() {
    let test = "allocations::a_containers_way_allocates_as_much_as_is_known";
    if let Some(args) = env::var_os(ARGUMENTS) {
        let counted = move || be_counted(&args.to_string_lossy());
        return thread::spawn(counted).join().expect("it is ended from outside");
    }
    for (stages, known) in [(0, NONE), (5, FIVE)] {
        let lab = Lab::new().await;
        let (each, kept) = lab.each(test, stages).await;
        println!(
            "{stages} stages: {each} allocations for a container, of which {kept} bytes are kept"
        );
        let tenth = known.0 / 10;
        assert!(each <= known.0 + tenth, "{each} allocations for a container, and not {}", known.0);
        assert!(each + tenth >= known.0, "{each} are less than {}: note it here", known.0);
        // Some buffers grow by doubling, wherever that is on the way.
        assert!(kept <= known.1 + known.1 / 2, "{kept} bytes are kept, and not {}", known.1);
    }
}
