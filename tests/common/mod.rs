//! What the integration tests share: private daemons to test against, the
//! program under test as a child process, and waiting with a deadline.
//!
//! Everything that is started here is ended, and everything made is removed,
//! when the value is dropped; and by [`guard`] if the test dies before.

// Each program of tests is a crate of its own and uses only a part of this.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod author;
pub mod bundles;
pub mod cluster;
pub mod collector;
pub mod command_lines;
pub mod consul;
pub mod corpus;
pub mod counting;
pub mod daemon;
pub mod docker_proxy;
pub mod documented;
pub mod dockerd;
pub mod fake_docker;
pub mod fake_host;
pub mod guard;
pub mod guest;
pub mod hostile_labels;
pub mod http;
pub mod image_registry;
pub mod images;
pub mod info;
pub mod lab;
pub mod looker;
pub mod losses;
pub mod namespace;
pub mod podman;
pub mod ports;
pub mod proxy;
pub mod recorded;
pub mod recorded_host;
pub mod recording_consul;
pub mod relay;
pub mod strange_registry;
pub mod volatile;
pub mod stages;
pub mod wait;

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where `tests/env/install.sh` puts what no package manager installs.
pub fn cache() -> PathBuf {
    let cache = std::env::var_os("WHARFINGER_CACHE").unwrap_or_else(|| "target/test-env".into());
    root().join(cache)
}

/// The path of a program, looked for on PATH, in sbin and in the cache.
///
/// Panics with the way to install it if there is none: a test that cannot run
/// must not pass as if it had.
pub fn tool(name: &str, component: &str) -> PathBuf {
    find_tool(name).unwrap_or_else(|| {
        panic!("`{name}` is missing: run tests/env/install.sh {component}");
    })
}

/// The same, or none if there is none.
pub fn find_tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into(), cache().join("bin")])
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// The last `lines` lines of a file, for the message of a failed test.
pub fn tail(file: &Path, lines: usize) -> String {
    let text = std::fs::read(file).unwrap_or_default();
    last_lines(&String::from_utf8_lossy(&text), lines)
}

/// The last `lines` lines of a text.
pub fn last_lines(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Sends a signal, given by name, to a child. The standard library knows only
/// SIGKILL, and the tests are free of unsafe code.
pub fn signal(child: &mut Child, name: &str) {
    // A child that was waited for may have given its number to another process.
    if let Ok(None) = child.try_wait() {
        let pid = child.id().to_string();
        let _ = std::process::Command::new("kill").args(["-s", name, &pid]).status();
    }
}

/// Ends a child: SIGTERM, and SIGKILL if it has not ended after `patience`.
/// True if it ended by itself.
pub async fn end(child: &mut Child, patience: Duration) -> bool {
    signal(child, "TERM");
    let deadline = std::time::Instant::now() + patience;
    while matches!(child.try_wait(), Ok(None)) {
        if std::time::Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return false;
        }
        tokio::time::sleep(wait::INTERVAL).await;
    }
    true
}

/// A plugin that `plugins/build.sh` has built.
pub fn plugin(name: &str) -> PathBuf {
    let file = root().join("plugins/dist").join(format!("wharfinger_{name}.wasm"));
    assert!(file.is_file(), "{} is missing: run `make plugins`", file.display());
    file
}
