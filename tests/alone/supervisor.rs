//! Guarantee: systemd is told that the daemon runs, how it is, that its loop still answers, and
//! that it stops.

use std::{
    os::unix::net::UnixDatagram,
    time::{Duration, Instant},
};

use crate::common::{daemon::Daemon, fake_docker::FakeDocker, http::Activity};

const SOON: Duration = Duration::from_secs(30);

/// The side of systemd.
struct Supervisor {
    socket: UnixDatagram,
    told: Vec<String>,
}

impl Supervisor {
    /// Waits until a message has this line, and says how often it was told before.
    fn hears(&mut self, line: &str) -> usize {
        let before = self.told.iter().filter(|told| *told == line).count();
        let began = Instant::now();
        let mut buffer = [0; 4096];
        while began.elapsed() < SOON {
            if let Ok(length) = self.socket.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                self.told.extend(text.lines().map(String::from));
                if text.lines().any(|told| told == line) {
                    return before;
                }
            }
        }
        panic!("{line} is not told, but {:?}", self.told);
    }
}

/// What is told of a daemon whose environment has these variables, too.
async fn watched(variables: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("notify");
    let socket = UnixDatagram::bind(&place).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a limit");
    let mut supervisor = Supervisor { socket, told: Vec::new() };
    let docker = FakeDocker::start(Activity::default());
    let (host, place) = (docker.host(), place.display().to_string());
    let mut environment = vec![("DOCKER_HOST", host.as_str()), ("NOTIFY_SOCKET", &place)];
    environment.extend(variables);
    let mut daemon = Daemon::start(&["-ip", "192.0.2.1", "memory://"], &environment);
    supervisor.hears("READY=1");
    if !supervisor.told.iter().any(|line| line == "STATUS=ready") {
        supervisor.hears("STATUS=ready");
    }
    if variables.iter().any(|(name, _)| *name == "WATCHDOG_USEC") {
        for _ in 0..3 {
            supervisor.hears("WATCHDOG=1");
        }
    }
    daemon.signal("TERM");
    supervisor.hears("STOPPING=1");
    assert_eq!(supervisor.told.iter().filter(|line| *line == "READY=1").count(), 1);
    supervisor.told
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_of_the_daemons_life() {
    let told = watched(&[]).await;
    assert!(!told.iter().any(|line| line.starts_with("WATCHDOG")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watchdog_is_told_that_the_loop_answers() {
    let told = watched(&[("WATCHDOG_USEC", "400000")]).await;
    let last = told.iter().rposition(|line| line == "STOPPING=1");
    assert_eq!(last, Some(told.len() - 1), "{told:?}");
}
