//! The program as an author of plugins uses it: one command, and what it says.

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::{corpus, daemon::Daemon, root};

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    /// The one JSON object on the standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The same of a command that did what it is for.
    #[track_caller]
    pub fn good(&self) -> &Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// The error's message, hint and faults on one line, of a command that could
    /// not do what it is for.
    #[track_caller]
    pub fn error(&self) -> String {
        assert_eq!(self.code, Some(1), "{}\n{}", self.stdout, self.stderr);
        let error = &self.json()["error"];
        assert!(error["message"].is_string(), "{self:?}");
        error.to_string()
    }
}

/// A command of the program in a folder, with the tests' own environment but for
/// what is meant for the daemon.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(Daemon::binary());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WHARFINGER_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).envs(shared());
    command
}

/// The variables by which what one test has compiled the others need not: components, Rust's standard
/// library and the crates of a project, and C's library, which Zig compiles anew for each place where it is
/// itself.
///
/// Rust's are those that the plugins here were compiled with, which takes the same flags: so the sources of
/// these are named, too, where no project is.
pub fn shared() -> Vec<(&'static str, PathBuf)> {
    let plugins = root().join("plugins");
    let code = Path::new(env!("CARGO_TARGET_TMPDIR")).join("author-code");
    let mut variables = vec![
        ("WHARFINGER_CACHE_DIR", code),
        ("CARGO_BUILD_BUILD_DIR", plugins.join("target")),
        ("WHARFINGER_SOURCES", plugins),
    ];
    let libraries = root().join("plugins/examples/c/.venv/lib");
    let pythons = fs::read_dir(libraries).into_iter().flatten().flatten();
    let zig = pythons.map(|python| python.path().join("site-packages/ziglang/lib"));
    variables.extend(zig.filter(|lib| lib.is_dir()).map(|lib| (ZIG_LIB_DIR, lib)));
    variables
}

/// Where Zig's own libraries are.
pub const ZIG_LIB_DIR: &str = "ZIG_LIB_DIR";

/// Runs a command of the program in a folder.
pub fn wharfinger<S: AsRef<OsStr>>(folder: &Path, args: &[S]) -> Said {
    wharfinger_reading(folder, args, "")
}

/// The same with a text on its standard input.
pub fn wharfinger_reading<S: AsRef<OsStr>>(folder: &Path, args: &[S], input: &str) -> Said {
    let mut child = command(folder)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be run");
    let mut stdin = child.stdin.take().expect("its input");
    // A command that reads nothing has closed it.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// What `docker inspect` prints of a container with one published port and these
/// labels.
pub fn inspected(labels: &[(&str, &str)]) -> String {
    let case = corpus::cases().into_iter().find(|case| case.name == "net-bridge");
    let mut one = case.expect("the case is part of the corpus").inspected().remove(0);
    for (key, value) in labels {
        one["Config"]["Labels"][*key] = json!(value);
    }
    json!([one]).to_string()
}

/// The same in a file.
pub fn recorded(folder: &Path, labels: &[(&str, &str)]) -> PathBuf {
    let file = folder.join("container.json");
    fs::write(&file, inspected(labels)).expect("the file is written");
    file
}

/// The path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().expect("the paths of tests are plain text")
}
