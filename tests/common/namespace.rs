//! A network of one's own, with the addresses and ports of the recording: a test
//! runs its own program once more in a network namespace, or in several at once,
//! which are the lanes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::guard::Guard;
use super::tool;
use super::wait::INTERVAL;

/// What tells the program which lane it is, and where its results go.
const LANE: &str = "TEST_LANE";
const RESULTS: &str = "TEST_LANE_RESULTS";

/// The addresses that a recorded host has, beside those of every machine.
const ADDRESSES: [&str; 2] = ["203.0.113.10/32", "fd00:203::10/128"];

/// The lane that this program is, and the file for its results; none if it is no
/// lane.
pub fn lane() -> Option<(usize, PathBuf)> {
    let lane = std::env::var(LANE).ok()?.parse().expect("the number of a lane");
    Some((lane, std::env::var_os(RESULTS).expect("a place for results").into()))
}

/// Runs one of this program's tests in several namespaces, and returns what each
/// has written into its results.
pub async fn run_lanes(test: &str, count: usize) -> Vec<Vec<u8>> {
    let guard = Guard::new();
    let file = |lane: usize| guard.dir().join(format!("lane-{lane}"));
    let lanes: Vec<_> = (0..count).map(|lane| start(test, &guard, lane, &file(lane))).collect();
    let mut all = Vec::new();
    for (lane, mut child) in lanes.into_iter().enumerate() {
        while child.try_wait().expect("the state of a lane").is_none() {
            tokio::time::sleep(INTERVAL).await;
        }
        let results = std::fs::read(file(lane));
        all.push(results.unwrap_or_else(|error| panic!("lane {lane} did not finish: {error}")));
    }
    all
}

/// The guard ends the lane, and what a lane starts has guards in turn.
fn start(test: &str, guard: &Guard, lane: usize, results: &Path) -> Child {
    let program = std::env::current_exe().expect("the test's own program");
    let mut command = Command::new(tool("unshare", "docker"));
    guard.mark(&mut command);
    command
        .arg("--net")
        .arg(program)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(LANE, lane.to_string())
        .env(RESULTS, results)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command.spawn().expect("a lane can be started")
}

/// Makes a fresh namespace, which has nothing but a loopback that is down, fit to
/// run servers in.
pub fn set_up() {
    let ip = tool("ip", "docker");
    let ip = |args: &[&str]| {
        let status = Command::new(&ip).args(args).status().expect("ip can be run");
        assert!(status.success(), "ip {}", args.join(" "));
    };
    ip(&["link", "set", "lo", "up"]);
    for address in ADDRESSES {
        ip(&["address", "add", address, "dev", "lo"]);
    }
}
