//! The decisions that are told: each that differs from the last one for its container, for those
//! who ask in the morning who kept something out, and why.
//!
//! The loop hands decisions over and never waits: whoever takes them has a bounded queue, and what
//! finds no place in it is counted. Nothing of a container is told but its identifier, name and
//! image, and what stages have said of its services.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hasher as _},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::SyncSender,
    },
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::state::meters::{Answered, Operation};
use crate::{
    model::container::{ContainerId, Protocol},
    pipeline::{Change, FieldChange, Mode},
};

/// A decision about one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    #[serde(with = "humantime_serde")]
    pub at: SystemTime,
    /// The host's name.
    pub host: String,
    /// A digest of the pipeline that decided.
    pub pipeline: String,
    /// The container.
    pub container: Subject,
    /// The candidates, before any stage has seen them.
    pub candidates: Vec<Candidate>,
    /// The decisions of the stages, in their order.
    pub stages: Vec<StageDecision>,
    /// The container's outcome: a word as in the overview, or `gone`.
    pub outcome: String,
    /// Why, if that is to be said.
    pub reason: Option<String>,
    /// How it failed, if it did.
    pub error: Option<String>,
    /// The IDs of the services that the pipeline gives it.
    pub services: Vec<String>,
    /// Notes on other daemons, or other names of this host, that have to do with it.
    pub notes: Vec<String>,
    /// The writes, and how they were answered.
    pub writes: Vec<WriteTold>,
}

/// The container of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its full identifier.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// The image that it was started from.
    pub image: String,
}

/// A service that a container could offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its ID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// The container's port that it stands for.
    pub container_port: Option<u16>,
    /// Its tags.
    pub tags: Vec<String>,
}

/// The decision of one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageDecision {
    /// The stage's name.
    pub stage: String,
    /// Whether its word counts.
    pub mode: Mode,
    /// Its effects.
    pub changes: Vec<Effect>,
    /// The effects that a monitored stage would have had.
    pub would_be: Vec<Effect>,
    /// Its remarks on its verdicts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<RemarkTold>,
    /// Whether the container is not among those that it is for.
    pub skipped: bool,
    /// How it failed, if that did not end the run.
    pub failure: Option<String>,
}

/// A stage's remark on its verdict on one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemarkTold {
    /// The service's ID before.
    pub service: String,
    /// A word for the kind of the veto.
    pub code: Option<String>,
    /// For people.
    pub notes: Vec<String>,
}

/// The effect of a stage on one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// The service's ID before.
    pub service: String,
    /// The kind of effect.
    pub kind: EffectKind,
    /// Why it was vetoed.
    pub reason: Option<String>,
    /// The fields that differ.
    pub fields: Vec<FieldChange>,
}

/// A kind of effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectKind {
    /// Fields of the service differ now.
    Changed,
    /// The service is vetoed.
    Vetoed,
    /// The container itself says that it is not to be registered.
    Ignored,
    /// The stage made the service up.
    Added,
}

impl Effect {
    /// The effect of a stage; `own` is that of a container's own words.
    pub(super) fn of(service: &str, change: &Change, own: bool) -> Self {
        let (kind, reason, fields) = match change {
            Change::Changed(fields) => (EffectKind::Changed, None, fields.clone()),
            Change::Vetoed(reason) => {
                let kind = if own { EffectKind::Ignored } else { EffectKind::Vetoed };
                (kind, Some(reason.clone()), Vec::new())
            }
            Change::Added => (EffectKind::Added, None, Vec::new()),
        };
        Self { service: service.to_string(), kind, reason, fields }
    }

    /// The effect as a change of the pipeline.
    pub fn change(&self) -> Change {
        match self.kind {
            EffectKind::Changed => Change::Changed(self.fields.clone()),
            EffectKind::Vetoed | EffectKind::Ignored => {
                Change::Vetoed(self.reason.clone().unwrap_or_default())
            }
            EffectKind::Added => Change::Added,
        }
    }
}

/// A write, and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WriteTold {
    /// The service's ID.
    pub service: String,
    /// The kind of write.
    pub operation: Operation,
    /// Why.
    pub reason: String,
    /// How it was answered.
    pub answered: Answered,
    /// The error, if it was not done.
    pub error: Option<String>,
}

/// The bytes of all decisions that wait to be written.
const MOST_WAITING: usize = 8 << 20;
/// No more writes than these are remembered for one decision.
const MOST_WRITES: usize = 200;

/// A message to the writer of decisions.
#[derive(Debug)]
pub enum Told {
    /// A decision, and its size.
    Decision(Box<Decision>, usize),
    /// Nothing more comes; whoever sent it waits for the other end of this to be dropped.
    End(SyncSender<()>),
}

/// Where the loop tells its decisions.
#[derive(Debug)]
pub struct Decisions {
    queue: SyncSender<Told>,
    waiting: AtomicUsize,
    dropped: AtomicU64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    last: HashMap<ContainerId, Last>,
    /// The writes since the last decision.
    writes: HashMap<ContainerId, Vec<WriteTold>>,
}

/// The decision that was last told of a container.
#[derive(Debug, Clone)]
struct Last {
    /// A digest of the decision.
    decision: u64,
    /// A digest of what was written last.
    writes: u64,
    /// The container's name, which nothing tells any more when it is gone.
    name: String,
    image: String,
}

impl Decisions {
    /// Decisions are put into this queue, which has a bound.
    pub fn to(queue: SyncSender<Told>) -> Self {
        let (waiting, dropped) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { queue, waiting, dropped, known: Mutex::default() }
    }

    /// A decision of this size was taken out of the queue.
    pub fn taken(&self, size: usize) {
        self.waiting.fetch_sub(size, Ordering::Relaxed);
    }

    /// How many decisions were dropped because the queue was full, or could not be written.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// A decision could not be written.
    pub fn lose(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// The queue's other end is to stop after what is in it, and drop its end of this then.
    pub fn end(&self, done: SyncSender<()>) -> bool {
        self.queue.try_send(Told::End(done)).is_ok()
    }

    /// It is whole at any moment.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wrote(&self, container: &ContainerId, write: WriteTold) {
        let mut known = self.known();
        let writes = known.writes.entry(container.clone()).or_default();
        if writes.len() < MOST_WRITES {
            writes.push(write);
        }
    }

    /// Tell a decision, if it differs from the last one for its container; `last` says that there
    /// will be no other one.
    pub(super) fn tell(&self, mut decision: Decision, last: bool) {
        let at = std::mem::replace(&mut decision.at, UNIX_EPOCH);
        let text = serde_json::to_string(&decision).expect("it has only string keys");
        let digest = digest(&text);
        {
            let mut known = self.known();
            let id = &decision.container.id.clone();
            decision.writes = known.writes.remove(id).unwrap_or_default();
            let writes = match decision.writes.is_empty() {
                true => None,
                false => Some(self::digest(&decision.writes)),
            };
            let done = decision.writes.iter().any(|write| write.answered == Answered::Ok);
            let before = known.last.remove(id);
            if let Some(before) = before.as_ref().filter(|_| last) {
                decision.container.name.clone_from(&before.name);
                decision.container.image.clone_from(&before.image);
            } else if !last {
                let before = before.as_ref().map(|before| before.writes);
                let told = Last {
                    decision: digest,
                    writes: writes.or(before).unwrap_or_default(),
                    name: decision.container.name.clone(),
                    image: decision.container.image.clone(),
                };
                known.last.insert(id.clone(), told);
            }
            let news = match before {
                // What was never heard of is no news when it is gone.
                None => !last || writes.is_some(),
                Some(before) => {
                    let otherwise = writes.is_some_and(|writes| writes != before.writes);
                    before.decision != digest || done || otherwise
                }
            };
            if !news {
                return;
            }
        }
        decision.at = at;
        let size = text.len() + decision.writes.len() * 256;
        let waiting = self.waiting.fetch_add(size, Ordering::Relaxed);
        let told = Told::Decision(Box::new(decision), size);
        if waiting + size > MOST_WAITING || self.queue.try_send(told).is_err() {
            self.taken(size);
            self.lose();
        }
    }
}

fn digest(value: &(impl std::hash::Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};

    use super::*;

    fn decision(outcome: &str) -> Decision {
        Decision {
            at: SystemTime::now(),
            host: "h".into(),
            pipeline: "p".into(),
            container: Subject {
                id: ContainerId("c".into()),
                name: "web".into(),
                image: "i".into(),
            },
            candidates: Vec::new(),
            stages: Vec::new(),
            outcome: outcome.into(),
            reason: None,
            error: None,
            services: Vec::new(),
            notes: Vec::new(),
            writes: Vec::new(),
        }
    }

    fn write(answered: Answered) -> WriteTold {
        let error = (answered != Answered::Ok).then(|| "no answer".to_string());
        let operation = Operation::Register;
        WriteTold { service: "s".into(), operation, reason: "added".into(), answered, error }
    }

    fn told(queue: &Receiver<Told>) -> Vec<(String, usize)> {
        let decision = |told| match told {
            Told::Decision(decision, _) => (decision.outcome, decision.writes.len()),
            Told::End(_) => ("end".into(), 0),
        };
        queue.try_iter().map(decision).collect()
    }

    #[test]
    fn only_what_differs_from_the_last_one_is_told() {
        let (sender, queue) = sync_channel(100);
        let decisions = Decisions::to(sender);
        let id = ContainerId("c".into());
        let tell = |outcome: &str, written: &[Answered]| {
            written.iter().for_each(|answered| decisions.wrote(&id, write(*answered)));
            decisions.tell(decision(outcome), outcome == "gone");
            told(&queue)
        };
        let one = |outcome: &str, writes: usize| vec![(outcome.to_string(), writes)];
        assert_eq!(tell("gone", &[]), [], "nobody has heard of it");
        assert_eq!(tell("registered", &[Answered::Ok]), one("registered", 1));
        assert_eq!(tell("registered", &[]), []);
        assert_eq!(tell("registered", &[Answered::Ok]), one("registered", 1), "mended");
        assert_eq!(tell("failed", &[Answered::Lost]), one("failed", 1));
        assert_eq!(tell("failed", &[Answered::Lost]), [], "it fails as before");
        assert_eq!(tell("failed", &[Answered::Refused]), one("failed", 1), "otherwise");
        assert_eq!(tell("registered", &[Answered::Ok]), one("registered", 1));
        assert_eq!(tell("gone", &[Answered::Ok]), one("gone", 1));
        assert_eq!(tell("gone", &[]), []);
        assert_eq!(decisions.dropped(), 0);
    }

    #[test]
    fn what_finds_no_place_is_counted_and_the_loop_goes_on() {
        let (sender, queue) = sync_channel(2);
        let decisions = Decisions::to(sender);
        for n in 0..5 {
            decisions.tell(decision(&n.to_string()), false);
        }
        assert_eq!((told(&queue).len(), decisions.dropped()), (2, 3));
        let mut large = decision("large");
        large.notes.push("x".repeat(MOST_WAITING));
        decisions.tell(large, false);
        assert_eq!((told(&queue).len(), decisions.dropped()), (0, 4));
        drop(queue);
        decisions.tell(decision("nobody listens"), false);
        assert_eq!(decisions.dropped(), 5);
    }
}
