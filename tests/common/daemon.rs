//! The program under test, as a child process.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use super::guard::Guard;
use super::{last_lines, wait};

pub struct Daemon {
    child: Child,
    lines: Lines,
    readers: Vec<JoinHandle<()>>,
    guard: Guard,
}

type Lines = Arc<Mutex<Vec<(Stream, String)>>>;

#[derive(Clone, Copy, PartialEq)]
enum Stream {
    Stdout,
    Stderr,
}

impl Daemon {
    /// The program under test: `WHARFINGER_BIN`, or else the one that Cargo built for the
    /// tests, which is compiled faster than what is shipped.
    pub fn binary() -> &'static Path {
        static BINARY: OnceLock<PathBuf> = OnceLock::new();
        BINARY.get_or_init(|| match std::env::var_os("WHARFINGER_BIN") {
            Some(file) => super::root().join(file),
            None => env!("CARGO_BIN_EXE_wharfinger").into(),
        })
    }

    /// Starts the program. Of the test's own environment it gets only what has no
    /// bearing on its work, so that the machine's settings do not count.
    pub fn start(args: &[&str], env: &[(&str, &str)]) -> Daemon {
        let guard = Guard::new();
        let control = guard.dir().join("control.sock").display().to_string();
        Self::run(guard, args, &[&[("WHARFINGER_CONTROL", &*control)], env].concat())
    }

    /// The same, whose control socket is wherever the program itself looks for a place.
    pub fn start_without_control(args: &[&str], env: &[(&str, &str)]) -> Daemon {
        Self::run(Guard::new(), args, env)
    }

    fn run(guard: Guard, args: &[&str], env: &[(&str, &str)]) -> Daemon {
        let mut command = Command::new(Daemon::binary());
        command.env_clear();
        for name in ["PATH", "RUST_BACKTRACE", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        guard
            .mark(&mut command)
            .process_group(0)
            .env("HOME", guard.dir())
            .envs(env.iter().copied())
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be run");

        let lines = Lines::default();
        let stdout = child.stdout.take().expect("its output");
        let stderr = child.stderr.take().expect("its error output");
        let readers =
            vec![read(stdout, Stream::Stdout, &lines), read(stderr, Stream::Stderr, &lines)];
        Daemon { child, lines, readers, guard }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A folder that lives as long as this value; also the program's HOME.
    pub fn dir(&self) -> PathBuf {
        self.guard.dir().to_owned()
    }

    /// All that was printed so far, on both streams.
    pub fn log(&self) -> String {
        self.text(|_| true)
    }

    /// What was printed on standard output so far.
    pub fn stdout(&self) -> String {
        self.text(|stream| stream == Stream::Stdout)
    }

    /// What was printed on standard error so far.
    pub fn stderr(&self) -> String {
        self.text(|stream| stream == Stream::Stderr)
    }

    /// Waits for a line that contains `part`, from the beginning of the log on,
    /// and returns it.
    #[track_caller]
    pub fn wait_for_log(&self, part: &str, timeout: Duration) -> impl Future<Output = String> {
        self.wait_for_log_after(0, part, timeout)
    }

    /// The number of lines so far, for [`Daemon::wait_for_log_after`].
    pub fn lines(&self) -> usize {
        self.lines.lock().expect("the log").len()
    }

    /// Waits for a line that contains `part`, after the first `skip` lines.
    #[track_caller]
    pub fn wait_for_log_after(
        &self,
        skip: usize,
        part: &str,
        timeout: Duration,
    ) -> impl Future<Output = String> {
        let what = format!("the program prints {part:?}");
        let part = part.to_owned();
        wait::until(timeout, what, async move || {
            let log = self.log();
            let line = log.lines().skip(skip).find(|line| line.contains(&part));
            line.map(str::to_owned).ok_or_else(|| format!("its output:\n{log}"))
        })
    }

    /// Sends a signal, given by name: TERM, INT, HUP.
    pub fn signal(&mut self, name: &str) {
        super::signal(&mut self.child, name);
    }

    /// A figure of its memory in KiB, such as `VmRSS` or `VmHWM`, its peak.
    pub fn memory_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the program runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let figure = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        figure.unwrap_or_else(|| panic!("{name} is not in {status}"))
    }

    /// True while the program runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends SIGTERM and waits for the end.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait(Duration::from_secs(30)).await
    }

    /// Waits for the end, and for all that was printed.
    pub async fn wait(&mut self, timeout: Duration) -> ExitStatus {
        let start = std::time::Instant::now();
        let status = loop {
            match self.child.try_wait().expect("the state of a child") {
                Some(status) => break status,
                None if start.elapsed() < timeout => tokio::time::sleep(wait::INTERVAL).await,
                None => {
                    panic!("the program still runs after {timeout:?}; its output:\n{}", self.log())
                }
            }
        };
        self.join();
        status
    }

    /// Kills the program, as a crash would.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.join();
    }

    fn join(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }

    fn text(&self, wanted: impl Fn(Stream) -> bool) -> String {
        let lines = self.lines.lock().expect("the log");
        let mut text = String::new();
        for (_, line) in lines.iter().filter(|(stream, _)| wanted(*stream)) {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = last_lines(&self.log(), 100);
            eprintln!("--- the program's output, its end:\n{log}\n---");
        }
    }
}

/// Reads a stream line by line, from a thread of its own so that the program
/// never waits for the test to read.
fn read(stream: impl Read + Send + 'static, kind: Stream, lines: &Lines) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut bytes = Vec::new();
        while stream.read_until(b'\n', &mut bytes).is_ok_and(|n| n > 0) {
            let line = String::from_utf8_lossy(&bytes);
            let line = line.trim_end_matches('\n').to_owned();
            lines.lock().expect("the log").push((kind, line));
            bytes.clear();
        }
    })
}
