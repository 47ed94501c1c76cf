//! The daemon's control socket: how other commands ask a running daemon and tell
//! it what only a person can decide.
//!
//! It is a Unix socket in a folder that nobody but its user and root may write to,
//! and only these two are answered. Whoever asks believes no other either. A request
//! is a line of JSON, and so is the answer; a connection may carry several. The
//! protocol is for this program's own commands of the same version.

mod answers;
mod places;
mod socket;

use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::watch,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use crate::{
    pipeline::StageHealth,
    policy::standing::Standing,
    reconcile::{Change, Explanation, Handle, Held, Overview, Seen},
    telemetry::event,
};

use answers::answer;
pub(super) use answers::{explained, planned_json, told};
pub use places::ask;
#[cfg(test)]
use places::is_trusted;
use socket::{bind, exposed, folder_of, identity, is_allowed};

/// A request to a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// The services that the bulk guard holds.
    Held,
    /// Carry out the removals that the bulk guard holds.
    Confirm,
    /// The daemon's status.
    Status,
    /// Why the services of a container are what they are, by any of its names.
    Explain(String),
    /// The changes since a time, if one is given, of the container or service that a word names, if one is.
    History {
        /// A container's name, or the beginning of its identifier; a service's ID.
        what: Option<String>,
        /// Older changes are left out.
        #[serde(with = "humantime_serde::option")]
        since: Option<SystemTime>,
    },
    /// The plan that the daemon would carry out now.
    Plan {
        /// The registry that is meant; any if none.
        uri: Option<String>,
        /// Whether containers with nothing to do are in it, too.
        all: bool,
        /// The columns of the text.
        width: usize,
    },
    /// The held services, as a tree of so many columns.
    ShowHeld(usize),
    /// The effects that monitored stages would have, as a tree of so many columns.
    ShowMonitored(usize),
}

/// A daemon's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The services that the bulk guard holds, or held until it was confirmed.
    Held(Option<Held>),
    /// The daemon's status.
    Status(Status),
    /// An explanation for each container that the word stands for.
    Explained(Vec<Explanation>),
    /// The names that the word to explain may stand for.
    Several(Vec<String>),
    /// The changes, the oldest first.
    History(Vec<Change>),
    /// Text for people, with styles.
    Shown(String),
    /// The plan that the daemon would carry out now.
    Planned {
        /// For programs.
        json: Value,
        /// For people, with styles.
        text: String,
        /// The exit code for it.
        code: u8,
    },
    /// It has this registry, and not the one that is meant.
    OtherRegistry(String),
    /// The request makes no sense, or cannot be answered.
    Error(String),
}

/// A daemon's status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// The stages of the pipeline in force, in their order.
    pub stages: Vec<StageHealth>,
    /// The services that the bulk guard holds.
    pub held: Option<Held>,
    /// The host's standing towards its policy, if it is to have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Box<Standing>>,
    /// The loop's overview.
    #[serde(flatten)]
    pub overview: Overview,
}

impl Status {
    /// That of a daemon that shows this.
    pub fn of(seen: &Seen, facts: &Facts) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            stages: seen.stages.clone(),
            held: seen.held.clone(),
            policy: facts.standing().map(Box::new),
            overview: seen.overview.clone(),
        }
    }
}

/// The identity of this daemon.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The registry's URI.
    pub uri: String,
    /// The host's name.
    pub host: String,
    /// Its standing towards its policy, if it is to have one.
    pub policy: Option<watch::Receiver<Standing>>,
    /// The file of its decision log, if there is one.
    pub decisions: Option<PathBuf>,
}

impl Facts {
    /// The host's standing towards its policy now, if it is to have one.
    pub fn standing(&self) -> Option<Standing> {
        Some(self.policy.as_ref()?.borrow().clone())
    }

    /// Whether a URI names its registry.
    fn is_at(&self, uri: &str) -> bool {
        uri.trim_end_matches('/') == self.uri.trim_end_matches('/')
    }
}

impl Answer {
    /// The error that this is where another kind of answer was asked for.
    pub fn unexpected(self) -> ControlError {
        match self {
            Self::Error(words) => ControlError::Refused(words),
            other => ControlError::Refused(format!("something else than was asked: {other:?}")),
        }
    }
}

/// Why a daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No daemon listens.
    #[error("no daemon was found; looked at {}; --control names another place", .0.join(", "))]
    Nobody(Vec<String>),
    /// Daemons of several users listen, and nothing tells which one is meant.
    #[error("several daemons listen, at {}; --control names one", shown(.0))]
    Several(Vec<PathBuf>),
    /// Somebody else listens, who could say anything.
    #[error(
        "what listens at {} belongs to user {user}, who is neither root nor you: it is not believed",
        .path.display()
    )]
    Stranger {
        /// The socket.
        path: PathBuf,
        /// The user of the process.
        user: u32,
    },
    /// The connection broke, or nothing came.
    #[error("cannot ask the daemon at {}", .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// The answer makes no sense; it is another version.
    #[error("the daemon at {} is of another version", .0.display())]
    Answer(PathBuf, #[source] serde_json::Error),
    /// The daemon refused.
    #[error("the daemon says: {0}")]
    Refused(String),
}

/// The longest line of either side.
const LONGEST: u64 = 16 * 1024 * 1024;

fn shown(places: &[PathBuf]) -> String {
    let places = places.iter().map(|place| place.display().to_string());
    places.collect::<Vec<_>>().join(" and ")
}

fn own_user() -> u32 {
    std::fs::metadata("/proc/self").map_or(u32::MAX, |own| own.uid())
}

async fn exchange(mut stream: UnixStream, request: &Request) -> io::Result<String> {
    stream.write_all(&line(request)).await?;
    let mut answer = String::new();
    BufReader::new(stream.take(LONGEST)).read_line(&mut answer).await?;
    Ok(answer)
}

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("it has only string keys");
    line.push(b'\n');
    line
}

/// The daemon's side of the socket.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
    /// The socket's device and inode, which tell it from another one at its path.
    file: Option<(u64, u64)>,
}

impl Control {
    /// Listen at a path, or at the best place that can be had.
    ///
    /// # Errors
    ///
    /// The socket cannot be made there, or another daemon listens there.
    pub async fn listen(path: Option<&Path>) -> io::Result<Self> {
        let places = path.map_or_else(places::of_daemon, |path| vec![path.to_path_buf()]);
        let mut last = None;
        for path in places {
            match bind(&path).await {
                Ok(listener) => {
                    let file = identity(&path);
                    return Ok(Self { listener, path, file });
                }
                Err(error) => {
                    debug!(path = %path.display(), %error, "no control socket here");
                    let before =
                        last.map_or_else(String::new, |last: io::Error| format!("{last}; "));
                    let words = format!("{before}{}: {error}", path.display());
                    last = Some(io::Error::new(error.kind(), words));
                }
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }

    /// The flag by which a container with a read-only root gets a folder that only its user writes to.
    pub fn mount(folder: &Path) -> String {
        format!("--tmpfs {}:uid={},mode=0700", folder.display(), own_user())
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answer until `stop`, then take the socket away.
    pub async fn serve(self, handle: Handle, facts: Facts, stop: CancellationToken) {
        let connections = TaskTracker::new();
        let user = own_user();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) if is_allowed(&stream, user) => {
                    let (handle, facts, stop) = (handle.clone(), facts.clone(), stop.clone());
                    connections.spawn(async move {
                        tokio::select! {
                            () = stop.cancelled() => {}
                            () = serve(stream, &handle, &facts) => {}
                        }
                    });
                }
                Ok(_) => warn!(
                    event = event::CONTROL_REFUSED,
                    "a request of somebody else's on the control socket was refused"
                ),
                Err(error) => {
                    warn!(
                        event = event::CONTROL_FAILED,
                        reason = %error,
                        "the control socket does not answer for a second"
                    );
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        connections.close();
        connections.wait().await;
        // Somebody may have put something else in its place.
        if self.file.is_none() || identity(&self.path) != self.file {
            debug!("the control socket is another one by now and stays");
        } else if let Err(error) = std::fs::remove_file(&self.path) {
            debug!(%error, "the control socket stays behind");
        }
    }
}

async fn serve(stream: UnixStream, handle: &Handle, facts: &Facts) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader.take(LONGEST)).lines();
    while let Ok(Some(text)) = lines.next_line().await {
        let answer = match serde_json::from_slice(text.as_bytes()) {
            Ok(request) => answer(request, handle, facts).await,
            Err(error) => Answer::Error(format!("the request makes no sense: {error}")),
        };
        if writer.write_all(&line(&answer)).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
