//! Writes the loop's decisions down, one line of JSON each: to a file, or to the standard output; and to
//! a collector of logs (`collected`).
//!
//! A thread of its own writes, so that a full disk, a slow one or a pipe that nobody reads hold up
//! nothing but it. A line that does not find its way to the file is counted and said, and the next
//! one that does is whole.

mod collected;

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    time::Duration,
};

use anyhow::Context as _;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    config::DecisionsConfig,
    daemon::collector::Endpoint,
    reconcile::{Decision, Decisions, Told},
    secrets,
    telemetry::event,
    text,
};

use collected::{Collected, Outbox};

/// Decisions that wait to be written.
const WAITING: usize = 4096;
/// The longest text in a line; of a longer one the beginning is written.
const LONGEST: usize = 2000;
/// The time in which what waits is written at the end.
const END: Duration = Duration::from_secs(1);
/// The signal of a write that would exceed the limit of a file's size. Without somebody who hears
/// it, it ends the process.
const SIGXFSZ: i32 = 25;

/// The decision log.
pub struct Log {
    decisions: Arc<Decisions>,
    collected: Option<Collected>,
}

impl Log {
    /// The log that the configuration asks for, if it asks for one. It is begun at once, so that the
    /// start says what is wrong with it; what is wrong later is said in the daemon's own log.
    ///
    /// # Errors
    ///
    /// A thread cannot be started, a signal not be listened to, or an HTTP client not be made.
    pub fn start(
        config: &DecisionsConfig,
        collector: Option<(&Endpoint, String)>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Self>> {
        let place = match (&config.file, config.stdout) {
            (Some(file), _) => Some(Place::File(Target::at(file))),
            (None, true) => Some(Place::Stdout),
            (None, false) => None,
        };
        let collector = collector.filter(|_| config.otlp);
        if place.is_none() && collector.is_none() {
            return Ok(None);
        }
        let (sender, queue) = sync_channel(WAITING);
        let decisions = Arc::new(Decisions::to(sender));
        let collected = collector
            .map(|(endpoint, host)| Collected::start(endpoint, host, decisions.clone()))
            .transpose()?;
        let (collected, outbox) = collected.unzip();
        let reopen = Arc::new(AtomicBool::new(false));
        let mut hangup = signal(SignalKind::hangup()).context("cannot listen to signals")?;
        let mut too_large =
            signal(SignalKind::from_raw(SIGXFSZ)).context("cannot listen to signals")?;
        let (asked, stop) = (reopen.clone(), stop.clone());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    heard = hangup.recv() => match heard {
                        Some(()) => asked.store(true, Ordering::Relaxed),
                        None => return,
                    },
                    // The write says so, too.
                    _ = too_large.recv() => {}
                }
            }
        });
        let written = decisions.clone();
        let mut writer =
            Writer { place, outbox, reopen, decisions: written, fails: false, said: 0 };
        writer.begin();
        std::thread::Builder::new()
            .name("decisions".into())
            .spawn(move || writer.run(&queue))
            .context("cannot start a thread that writes decisions")?;
        Ok(Some(Self { decisions, collected }))
    }

    /// Where the loop tells its decisions.
    pub fn decisions(&self) -> Arc<Decisions> {
        self.decisions.clone()
    }

    /// Write what waits, as far as that takes no long time.
    pub async fn end(self) {
        let (done, written) = sync_channel(0);
        if self.decisions.end(done) {
            let wait = move || written.recv_timeout(END).is_ok();
            let _ = tokio::task::spawn_blocking(wait).await;
        }
        if let Some(collected) = self.collected {
            collected.end().await;
        }
    }
}

/// Where lines go.
#[derive(Debug)]
enum Place {
    Stdout,
    File(Target),
}

/// A file that others may move away or remove.
#[derive(Debug)]
struct Target {
    path: PathBuf,
    open: Option<File>,
    /// The last line may not be whole.
    torn: bool,
}

impl Target {
    fn at(path: &Path) -> Self {
        Self { path: path.to_path_buf(), open: None, torn: false }
    }

    /// The file that is at the path now.
    fn file(&mut self) -> io::Result<&mut File> {
        let there = std::fs::metadata(&self.path).ok();
        let identity = |file: &std::fs::Metadata| (file.dev(), file.ino());
        let open = self.open.as_ref().and_then(|open| open.metadata().ok());
        let same = open.zip(there).is_some_and(|(open, there)| identity(&open) == identity(&there));
        if !same {
            self.open = None;
        }
        match &mut self.open {
            Some(open) => Ok(open),
            none => {
                let mut options = OpenOptions::new();
                // Of a pipe without a reader this fails, and does not wait for one.
                options.append(true).create(true).mode(0o640).custom_flags(NONBLOCK);
                let open = options.open(&self.path)?;
                if !open.metadata()?.is_file() {
                    return Err(io::Error::other("it is no regular file"));
                }
                Ok(none.insert(open))
            }
        }
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let torn = self.torn;
        let file = self.file()?;
        let size = file.metadata()?.len();
        // Of a write that fails the beginning may be there.
        let line = if torn && size > 0 { format!("\n{line}") } else { line.to_string() };
        let done = file.write_all(line.as_bytes());
        let whole = done.is_ok() || file.set_len(size).is_ok();
        self.torn = if done.is_ok() { false } else { torn || !whole };
        done
    }
}

/// `O_NONBLOCK` on Linux.
const NONBLOCK: i32 = 0o4000;

struct Writer {
    place: Option<Place>,
    /// Where they are handed over to be sent, if they are.
    outbox: Option<Outbox>,
    reopen: Arc<AtomicBool>,
    decisions: Arc<Decisions>,
    /// The last line could not be written.
    fails: bool,
    /// The number of dropped decisions that were spoken of.
    said: u64,
}

impl Writer {
    /// Say where decisions go, or why they cannot.
    fn begin(&mut self) {
        let Some(Place::File(target)) = &mut self.place else { return };
        let path = target.path.display().to_string();
        match target.file() {
            Ok(_) => {
                info!(
                    event = event::DECISIONS_WRITTEN,
                    place = path,
                    "Writing decisions to {path}"
                );
            }
            Err(error) => {
                self.fails = true;
                warn!(
                    event = event::DECISIONS_UNWRITTEN,
                    place = path,
                    reason = %error,
                    "decisions.file: decisions cannot be written; it is tried again"
                );
            }
        }
    }

    fn run(mut self, queue: &Receiver<Told>) {
        while let Ok(told) = queue.recv() {
            match told {
                Told::Decision(decision, size) => {
                    self.decisions.taken(size);
                    let line = line(&decision);
                    if self.outbox.as_ref().is_some_and(|outbox| !outbox.put(&decision, &line)) {
                        self.decisions.lose();
                    }
                    self.write(&line);
                }
                Told::End(done) => {
                    self.say_dropped();
                    drop(done);
                    return;
                }
            }
        }
    }

    fn write(&mut self, line: &str) {
        let done = match &mut self.place {
            None => Ok(()),
            Some(Place::Stdout) => {
                let mut out = io::stdout().lock();
                out.write_all(line.as_bytes()).and_then(|()| out.flush())
            }
            Some(Place::File(target)) => {
                if self.reopen.swap(false, Ordering::Relaxed) {
                    target.open = None;
                }
                target.write(line)
            }
        };
        let place = || match &self.place {
            Some(Place::File(target)) => target.path.display().to_string(),
            Some(Place::Stdout) | None => "the standard output".into(),
        };
        match done {
            Ok(()) if std::mem::take(&mut self.fails) => {
                let place = place();
                info!(event = event::DECISIONS_WRITTEN, place, "decisions are written again");
                self.say_dropped();
            }
            Ok(()) => self.say_dropped(),
            Err(error) => {
                self.decisions.lose();
                if !std::mem::replace(&mut self.fails, true) {
                    warn!(
                        event = event::DECISIONS_UNWRITTEN,
                        place = place(),
                        reason = %error,
                        "decisions cannot be written; all else goes on"
                    );
                }
            }
        }
    }

    /// Say how many decisions are not there.
    fn say_dropped(&mut self) {
        let dropped = self.decisions.dropped();
        if dropped > self.said {
            let count = dropped - self.said;
            warn!(
                event = event::DECISIONS_DROPPED,
                count, "decisions are missing in the decision log: {count}"
            );
            self.said = dropped;
        }
    }
}

/// A decision as a line of JSON, without secrets.
fn line(decision: &Decision) -> String {
    let mut value = serde_json::to_value(decision).expect("it has only string keys");
    secrets::json(&mut value);
    cut(&mut value);
    text::json(&value.to_string()).into_owned() + "\n"
}

fn cut(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > LONGEST => {
            let bytes = text.len();
            text.truncate(text.floor_char_boundary(LONGEST));
            text.push_str(&format!("… ({bytes} bytes)"));
        }
        Value::Array(all) => all.iter_mut().for_each(cut),
        Value::Object(all) => all.values_mut().for_each(cut),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_file_that_was_moved_away_is_made_anew_and_a_torn_line_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("decisions.jsonl");
        let mut target = Target::at(&path);
        target.write("1\n").expect("it is written");
        let mode = fs::metadata(&path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode & !0o640, 0, "{mode:o}");
        let moved = folder.path().join("old");
        fs::rename(&path, &moved).expect("it is moved");
        target.write("2\n").expect("it is written");
        fs::remove_file(&path).expect("it is removed");
        target.write("3\n").expect("it is written");
        target.torn = true;
        target.write("4\n").expect("it is written");
        target.write("5\n").expect("it is written");
        let read = |path: &Path| fs::read_to_string(path).expect("it is there");
        assert_eq!((read(&moved).as_str(), read(&path).as_str()), ("1\n", "3\n\n4\n5\n"));
        fs::remove_dir_all(folder.path()).expect("it is removed");
        assert!(target.write("6\n").is_err());
    }

    #[test]
    fn long_texts_are_cut() {
        let mut value = serde_json::json!({ "a": ["x".repeat(3000), "ü".repeat(1500)], "b": "y" });
        cut(&mut value);
        let text = value["a"][0].as_str().expect("a text");
        assert!(text.ends_with("x… (3000 bytes)") && text.len() < 2050, "{text}");
        assert!(value["a"][1].as_str().is_some_and(|text| text.ends_with("ü… (3000 bytes)")));
        assert_eq!(value["b"], "y");
    }
}
