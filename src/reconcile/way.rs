//! The way of a container from an event to the commit of what follows from it, with what was done on it, for those
//! who want to see where its time went.
//!
//! The loop hands ways over and never waits: whoever takes them has a bounded queue, and what finds no place in it is
//! counted. Nothing of a container is told but its identifier, name and image; of a stage how it fared and not what it
//! said; of a write what was written, and how it was answered.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::sync::mpsc::Sender;

use super::{
    decision::Subject,
    state::meters::{Answered, Operation},
};
use crate::{
    model::{
        container::ContainerId,
        timed::{Timed, Timer},
    },
    pipeline::Mode,
};

/// The way of one container.
#[derive(Debug, Clone)]
pub struct Way {
    /// A digest of the pipeline that decided.
    pub pipeline: String,
    /// The container.
    pub container: Subject,
    /// From the event, or from the look if there was none, to the end of the last write.
    pub timed: Timed,
    /// Whether there was an event.
    pub heard: bool,
    /// The container's outcome: a word as in the overview, or `gone`.
    pub outcome: String,
    /// How it failed, if it did.
    pub error: Option<String>,
    /// How many services the pipeline gives it.
    pub services: usize,
    /// The parts of the way.
    pub parts: Vec<Part>,
}

/// Something that was done on a container's way.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its kind.
    pub kind: PartKind,
    /// When.
    pub timed: Timed,
    /// How it failed, if it did.
    pub error: Option<String>,
}

/// A kind of part.
#[derive(Debug, Clone)]
pub enum PartKind {
    /// The source was asked what it is like.
    Inspect,
    /// A stage was asked.
    Stage {
        /// The stage's name.
        name: String,
        /// Whether its word counts.
        mode: Mode,
        /// How many services it changed or added, or would have.
        changed: usize,
        /// How many it vetoed, or would have.
        vetoed: usize,
        /// Its answer was known from before.
        remembered: bool,
    },
    /// The registry was told.
    Write {
        /// The service's ID.
        service: String,
        /// The kind of write.
        operation: Operation,
        /// How it was answered.
        answered: Answered,
    },
}

/// All parts of the ways that wait to be sent.
const MOST_WAITING: usize = 8192;
/// No more parts than these are told of one way.
const MOST_PARTS: usize = 512;
/// Events of no more containers than these are remembered at once.
const MOST_HEARD: usize = 10_000;

/// Where the loop tells the ways of containers.
#[derive(Debug)]
pub struct Ways {
    queue: Sender<Box<Way>>,
    waiting: AtomicUsize,
    dropped: AtomicU64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The first event of each container that no look has followed yet.
    heard: HashMap<ContainerId, Timer>,
    /// The parts of the looks that are under way.
    parts: HashMap<ContainerId, Vec<Part>>,
}

/// The beginning of a way.
pub(super) struct Begun {
    timer: Timer,
    heard: bool,
    /// The container's name and image, which nothing tells any more when it is gone.
    pub(super) known: (Option<String>, Option<String>),
}

impl Ways {
    /// Ways are put into this queue, which has a bound.
    pub fn to(queue: Sender<Box<Way>>) -> Self {
        let (waiting, dropped) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { queue, waiting, dropped, known: Mutex::default() }
    }

    /// A way was taken out of the queue.
    pub fn taken(&self, way: &Way) {
        self.waiting.fetch_sub(way.spans(), Ordering::Relaxed);
    }

    /// So many spans were not sent.
    pub fn lose(&self, spans: u64) {
        self.dropped.fetch_add(spans, Ordering::Relaxed);
    }

    /// How many spans were not sent.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// It is whole at any moment.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An event told of a container.
    pub(super) fn hear_of(&self, id: &ContainerId) {
        let heard = &mut self.known().heard;
        if heard.len() < MOST_HEARD {
            heard.entry(id.clone()).or_insert_with(Timer::start);
        }
    }

    /// A look begins at a container of which this name and image are known.
    pub(super) fn begin(
        &self,
        id: &ContainerId,
        known_as: (Option<String>, Option<String>),
    ) -> Begun {
        let mut known = self.known();
        known.parts.insert(id.clone(), Vec::new());
        let heard = known.heard.remove(id);
        Begun { timer: heard.unwrap_or_else(Timer::start), heard: heard.is_some(), known: known_as }
    }

    /// Note a part of a way. One that belongs to no look is dropped.
    pub(super) fn note(&self, id: &ContainerId, part: Part) {
        if let Some(parts) = self.known().parts.get_mut(id)
            && parts.len() < MOST_PARTS
        {
            parts.push(part);
        }
    }

    /// A look has ended, and `way` says how.
    pub(super) fn end(&self, begun: &Begun, mut way: Way) {
        let mut parts = self.known().parts.remove(&way.container.id).unwrap_or_default();
        way.parts.append(&mut parts);
        way.parts.truncate(MOST_PARTS);
        (way.timed, way.heard) = (begun.timer.stop(), begun.heard);
        let spans = way.spans();
        let waiting = self.waiting.fetch_add(spans, Ordering::Relaxed);
        if waiting + spans > MOST_WAITING || self.queue.try_send(Box::new(way)).is_err() {
            self.waiting.fetch_sub(spans, Ordering::Relaxed);
            self.lose(spans as u64);
        }
    }
}

impl Way {
    /// How many spans it has: itself, and one for each part.
    pub fn spans(&self) -> usize {
        1 + self.parts.len()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{Receiver, channel};

    use super::*;

    fn id() -> ContainerId {
        ContainerId("c".into())
    }

    fn way() -> Way {
        Way {
            pipeline: "p".into(),
            container: Subject { id: id(), name: "web".into(), image: "i".into() },
            timed: Timer::start().stop(),
            heard: false,
            outcome: "registered".into(),
            error: None,
            services: 1,
            parts: Vec::new(),
        }
    }

    fn part() -> Part {
        Part { kind: PartKind::Inspect, timed: Timer::start().stop(), error: None }
    }

    fn told(queue: &mut Receiver<Box<Way>>) -> Vec<(bool, usize)> {
        let mut all = Vec::new();
        while let Ok(way) = queue.try_recv() {
            all.push((way.heard, way.parts.len()));
        }
        all
    }

    #[test]
    fn a_way_begins_with_its_event_and_has_what_was_done_on_it() {
        let (sender, mut queue) = channel(10);
        let ways = Ways::to(sender);
        ways.note(&id(), part());
        ways.hear_of(&id());
        let begun = ways.begin(&id(), (None, None));
        ways.hear_of(&id());
        ways.note(&id(), part());
        ways.end(&begun, way());
        // The event that came meanwhile is the next look's.
        let begun = ways.begin(&id(), (None, None));
        ways.end(&begun, way());
        let begun = ways.begin(&id(), (None, None));
        (0..2 * MOST_PARTS).for_each(|_| ways.note(&id(), part()));
        ways.end(&begun, way());
        assert_eq!(told(&mut queue), [(true, 1), (true, 0), (false, MOST_PARTS)]);
        assert!(ways.known().heard.is_empty() && ways.known().parts.is_empty());
        assert_eq!(ways.dropped(), 0);
    }

    #[test]
    fn what_finds_no_place_is_counted_and_the_loop_goes_on() {
        let (sender, mut queue) = channel(2);
        let ways = Ways::to(sender);
        let tell = |parts: usize| {
            let begun = ways.begin(&id(), (None, None));
            ways.end(&begun, Way { parts: vec![part(); parts], ..way() });
        };
        (0..5).for_each(|_| tell(1));
        assert_eq!((told(&mut queue).len(), ways.dropped()), (2, 6));
        // Few ways with many parts are as many; those before were never said to be taken.
        let (sender, mut queue) = channel(1000);
        let ways = Ways::to(sender);
        for _ in 0..2 * MOST_WAITING / MOST_PARTS {
            let begun = ways.begin(&id(), (None, None));
            ways.end(&begun, Way { parts: vec![part(); MOST_PARTS], ..way() });
        }
        let told = told(&mut queue).len();
        assert!(told > 0 && told <= MOST_WAITING / MOST_PARTS, "{told}");
        assert!(ways.dropped() > 0);
    }
}
