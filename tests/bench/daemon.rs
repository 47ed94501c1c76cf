//! The program that is measured, as a child, and what the kernel says of it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Stages of the library with settings with which each of them does its work.
pub(crate) const STAGES: [(&str, &str, &str); 5] = [
    ("naming", r#"{ names = ["{label:com.docker.compose.project}-{image.name}"] }"#, NAMING),
    ("dns-safe", r#"{ action = "fix" }"#, r#"{"action":"fix"}"#),
    (
        "tags",
        r#"{ add = ["team:{label:SERVICE_REGION}"] }"#,
        r#"{"add":["team:{label:SERVICE_REGION}"]}"#,
    ),
    ("allow", r#"{ registries = { allow = ["registry.local:5000"] } }"#, ALLOW),
    ("environment", r#"{ from = ["{label:SERVICE_REGION}"], name = "suffix" }"#, ENVIRONMENT),
];
const NAMING: &str = r#"{"names":["{label:com.docker.compose.project}-{image.name}"]}"#;
const ALLOW: &str = r#"{"registries":{"allow":["registry.local:5000"]}}"#;
const ENVIRONMENT: &str = r#"{"from":["{label:SERVICE_REGION}"],"name":"suffix"}"#;

/// The program with a configuration, which is started again and again.
pub(crate) struct Program {
    pub(crate) file: PathBuf,
    pub(crate) docker: String,
    pub(crate) consul: String,
    pub(crate) folder: PathBuf,
}

/// A process of it; it ends with the value.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) began: Instant,
}

/// What the kernel says of a process, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) peak: u64,
}

/// The program: `WHARFINGER_BIN`, or else the one that Cargo built with the harness.
pub(crate) fn binary() -> PathBuf {
    let given = std::env::var_os("WHARFINGER_BIN");
    given.map_or_else(|| env!("CARGO_BIN_EXE_wharfinger").into(), PathBuf::from)
}

/// The file of a component of the library, which `plugins/build.sh` has built.
pub(crate) fn component(name: &str) -> PathBuf {
    built().join(format!("wharfinger_{}.wasm", name.replace('-', "_")))
}

/// The examples that `plugins/examples/build.sh` has built: each language, and the component's file.
pub(crate) fn examples() -> Vec<(String, PathBuf)> {
    let files = fs::read_dir(built()).into_iter().flatten().flatten().map(|entry| entry.path());
    let example = |file: PathBuf| {
        let language =
            file.file_name()?.to_str()?.strip_prefix("example_")?.strip_suffix(".wasm")?;
        Some((language.to_string(), file))
    };
    let mut examples: Vec<_> = files.filter_map(example).collect();
    examples.sort();
    examples
}

fn built() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/dist")
}

impl Program {
    /// Start it with so many stages made of components, and more arguments.
    pub(crate) fn start(&self, stages: usize, more: &[&str]) -> Daemon {
        let mut config = format!("[cache]\ndir = {:?}\n", self.folder.join("cache"));
        config += "[[pipeline]]\nname = \"registrator\"\nbuiltin = \"registrator\"\n";
        for (n, (name, settings, _)) in STAGES.iter().cycle().take(stages).enumerate() {
            config += &format!(
                "[[pipeline]]\nname = \"{name}-{n}\"\nfile = {:?}\nsettings = {settings}\n",
                component(name)
            );
        }
        let file = self.folder.join("config.toml");
        fs::write(&file, config).expect("the folder is our own");
        let log = fs::File::create(self.folder.join("log")).expect("the folder is our own");
        let mut command = Command::new(&self.file);
        command
            .env_clear()
            .env("DOCKER_HOST", &self.docker)
            .env("HOME", &self.folder)
            .env("WHARFINGER_CONTROL", self.folder.join("control.sock"))
            .args(["-ip", "10.0.0.1", "--config"])
            .arg(&file)
            .args(more)
            .arg(&self.consul)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("one more handle"))
            .stderr(log);
        let began = Instant::now();
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.file.display()));
        Daemon { child, began }
    }
}

/// The processor time that this process itself took so far.
pub(crate) fn own_processor() -> Duration {
    processor("self")
}

/// What the calling thread has taken of the processors.
pub(crate) fn thread_processor() -> Duration {
    scheduled(Path::new("/proc/thread-self")).expect("the kernel counts it")
}

fn processor(process: &str) -> Duration {
    // Of the threads that are there.
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten();
    threads.flatten().filter_map(|thread| scheduled(&thread.path())).sum()
}

/// What a thread has taken, in nanoseconds; /proc/PID/stat counts in ticks of 10 ms.
fn scheduled(thread: &Path) -> Option<Duration> {
    let text = fs::read_to_string(thread.join("schedstat")).ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

impl Daemon {
    /// The processor time that it took so far.
    pub(crate) fn processor(&self) -> Duration {
        processor(&self.child.id().to_string())
    }

    /// The memory that it has, and the most that it had.
    pub(crate) fn memory(&self) -> Memory {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the daemon runs");
        let kib = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let number = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
            number.unwrap_or_default() * 1024
        };
        Memory { resident: kib("VmRSS:"), peak: kib("VmHWM:") }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
