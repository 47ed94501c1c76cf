//! Compiling components, in a process of its own: the compiler needs many times
//! the memory of what it compiles, and some of it would stay with the daemon
//! for good. The child is this program again, ends when it is done, has limits
//! of its own, and gets nothing of the daemon's environment.

use std::{
    io::{Read, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit,
};
use tracing::warn;

use crate::stages::plugin::{artifact::Artifact, engine, share};
use crate::telemetry::event;

/// The name of the command by which this program compiles.
pub const COMMAND: &str = "compile-component";

/// The time for one component: an interpreter of 40 MB takes half a minute.
const TIMEOUT: Duration = Duration::from_secs(180);
/// The child's processor time in seconds, over all its threads.
const CPU_SECONDS: u64 = 600;
/// The child's address space, of which it does not use all that it reserves.
const ADDRESS_SPACE: u64 = 4 << 30;
/// Compiled code is a few times as large as a component.
const MAX_CODE: u64 = 1 << 30;
/// The bytes that are read of a child's standard error.
const MAX_WORDS: u64 = 16 * 1024;
/// The signal by which the kernel ends a process that takes too much memory.
const SIGKILL: i32 = 9;
/// The runtime's words where there is not enough memory for a value, or a thread's stack.
const OUT_OF_MEMORY: [&str; 3] =
    ["memory allocation of", "Cannot allocate memory", "Resource temporarily unavailable"];
/// Threads of a child; each takes memory.
const MAX_THREADS: usize = 4;

/// Where components are compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Compiler {
    /// In this process.
    #[default]
    Here,
    /// In a child process of this program, which must be Wharfinger.
    Child(PathBuf),
}

impl Compiler {
    /// A child of the program that runs. Should its file have been replaced
    /// meanwhile, it is still the same program.
    pub fn child() -> Self {
        Self::Child("/proc/self/exe".into())
    }

    /// Compile a component.
    ///
    /// # Errors
    ///
    /// It cannot be compiled; the words say why.
    pub(super) fn compile(
        &self,
        engine: &wasmtime::Engine,
        bytes: &[u8],
    ) -> Result<Artifact, String> {
        if let Self::Child(program) = self {
            match start(program) {
                Ok(child) => return converse(child, bytes).map(Artifact::compiled),
                Err(error) => warn!(
                    event = event::COMPILER_FAILED,
                    file = %program.display(),
                    reason = %error,
                    "cannot start a process that compiles; it is done in this one"
                ),
            }
        }
        let code = engine.precompile_component(bytes).map_err(|error| format!("{error:#}"))?;
        Ok(Artifact::compiled(code))
    }
}

fn start(program: &Path) -> std::io::Result<Child> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    Command::new(program)
        .arg(COMMAND)
        .env_clear()
        .env("RAYON_NUM_THREADS", threads.to_string())
        // Each arena reserves address space, and gives little back.
        .env("MALLOC_ARENA_MAX", "2")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// Hand a component to a child, and take the code or what it says instead.
fn converse(mut child: Child, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        scope.spawn(move || {
            // A child that ends early says why, on its error output.
            let _ = stdin.map(|mut stdin| stdin.write_all(bytes));
        });
        let words = scope.spawn(move || read(stderr, MAX_WORDS));
        let (sender, receiver) = mpsc::channel();
        scope.spawn(move || sender.send(read(stdout, MAX_CODE)));
        let code = receiver.recv_timeout(TIMEOUT);
        if code.is_err() {
            let _ = child.kill();
        }
        let status = child.wait().map_err(|error| error.to_string())?;
        let words = words.join().unwrap_or_default();
        match code {
            Err(_) => Err(format!("it took longer than {}", humantime::format_duration(TIMEOUT))),
            Ok(code) if status.success() && !code.is_empty() => Ok(code),
            Ok(_) => Err(reason(status, &String::from_utf8_lossy(&words))),
        }
    })
}

fn read(stream: Option<impl Read>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // What was cut off is no code that could be used, and is found to be so.
        let _ = stream.take(most).read_to_end(&mut bytes);
    }
    bytes
}

fn reason(status: ExitStatus, words: &str) -> String {
    let words = words.trim();
    // An allocation that fails aborts, as other faults do, and only the words tell which
    // it was. The kernel kills what takes too much.
    if status.signal() == Some(SIGKILL) || OUT_OF_MEMORY.iter().any(|it| words.contains(it)) {
        return format!(
            "compiling it takes more than {}, a part of this machine's memory (or of the control \
             group's): compile it on a larger one, and take the folder for compiled components \
             along",
            share::of_machine()
        );
    }
    if status.code() == Some(1) && !words.is_empty() {
        return words.to_string();
    }
    let last = words.lines().last().unwrap_or("it said nothing");
    format!("the process that compiles ended with {status}: {last}")
}

/// Compile the component on the standard input to the standard output: what the
/// child does. It runs nothing of it.
///
/// # Errors
///
/// The component cannot be compiled, or the limits cannot be set.
pub fn compile_child() -> Result<(), String> {
    confine()?;
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let engine = wasmtime::Engine::new(&engine::config()).map_err(|error| format!("{error:#}"))?;
    let code = engine.precompile_component(&bytes).map_err(|error| format!("{error:#}"))?;
    std::io::stdout().write_all(&code).map_err(|error| error.to_string())
}

/// Give up what compiling does not need. The compiler works on a stranger's
/// bytes, which might find a fault in it.
fn confine() -> Result<(), String> {
    // It has none, unless the program's file grants it any.
    let _ = caps::clear(None, caps::CapSet::Permitted);
    // Nobody waits for the code of a daemon that is gone.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    // Less urgent than whatever the daemon does meanwhile.
    let _ = rustix::process::nice(10);
    // Where memory runs out all the same, this process goes, and not the daemon.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    for (resource, most) in [
        (Resource::Data, share::of_machine().as_u64()),
        (Resource::As, ADDRESS_SPACE),
        (Resource::Cpu, CPU_SECONDS),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
    ] {
        // Whoever started the daemon may have set a lower one, above which nobody gets.
        let most = most.min(getrlimit(resource).maximum.unwrap_or(most));
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, limit)
            .map_err(|error| format!("cannot limit {resource:?}: {error}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_child_ended_is_said() {
        let share = share::of_machine().to_string();
        for (status, words, expected) in [
            (1 << 8, "it is damaged\n", "it is damaged"),
            (6, "memory allocation of 9 bytes failed\n", &*share),
            (9, "", &*share),
            (1 << 8, "mmap failed: Cannot allocate memory (os error 12)", &*share),
            (101 << 8, "panicked: Cannot allocate memory", &*share),
            (6, "a stack overflow", "a stack overflow"),
            (11, "", "it said nothing"),
        ] {
            let told = reason(ExitStatus::from_raw(status), words);
            assert!(told.contains(expected), "{status} {words:?}: {told}");
        }
    }
}
