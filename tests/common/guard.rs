//! Cleaning up, even after a test process that was killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The variable that marks a process, and those it starts, as a guard's.
pub const MARK: &str = "TEST_GUARD_DIR";

/// A temporary folder and a small process that watches over it.
///
/// The process waits for the end of its standard input, a pipe that only the
/// test holds. It comes when this value is dropped, but also when the test
/// process ends without dropping it: because it was killed, or because the value
/// is in a static. Then it ends every process that carries the mark, and removes
/// bridges, mounts and the folder.
pub struct Guard {
    dir: PathBuf,
    watcher: Child,
}

impl Guard {
    pub fn new() -> Guard {
        // The name is short: paths of Unix sockets end at 107 bytes.
        let dir =
            tempfile::Builder::new().prefix("wf-").tempdir().expect("a temporary folder").keep();
        let watcher = Command::new("sh")
            .args(["-c", include_str!("guard.sh"), "guard"])
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh can be run");
        Guard { dir, watcher }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the process to be started one that the guard ends.
    pub fn mark<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env(MARK, &self.dir)
    }

    /// Ends and removes everything now.
    pub fn clean(&mut self) {
        // The second time, there is no pipe left to close.
        if let Some(pipe) = self.watcher.stdin.take() {
            drop(pipe);
            let status = self.watcher.wait();
            if !status.is_ok_and(|status| status.success()) {
                eprintln!("could not remove all of {}", self.dir.display());
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.clean();
    }
}
