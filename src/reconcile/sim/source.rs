//! The simulated Docker: its answers are true but late or none, and its stream
//! of events is late, out of order, doubled, or at an end.

use std::time::Duration;

use bollard::errors::Error;
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use tokio::{sync::mpsc, time::sleep};

use super::{Ground, Sim};
use crate::{
    docker::{self, Event, EventKind, InspectFault, Moment, SourceError},
    model::{
        container::{Container, ContainerId},
        summary::{Listed, Summary},
    },
};

/// A stream of events that a daemon listens to.
pub(super) type Stream = mpsc::UnboundedSender<Result<Event, SourceError>>;

/// As many events Docker remembers for a new stream.
const REMEMBERED: usize = 8;

/// Docker, as one life of the daemon sees it.
pub(super) struct Source {
    pub(super) ground: Ground,
    pub(super) incarnation: u32,
}

impl Source {
    async fn travel(&self) {
        self.ground.travel(self.incarnation).await;
    }
}

fn failed(attempt: &str) -> SourceError {
    SourceError::Docker { attempt: attempt.into(), source: Error::RequestTimeoutError }
}

#[async_trait::async_trait]
impl docker::Source for Source {
    async fn list(&self) -> Result<Vec<ContainerId>, SourceError> {
        Ok(self.survey().await?.into_iter().map(|listed| listed.id).collect())
    }

    async fn survey(&self) -> Result<Vec<Listed>, SourceError> {
        self.travel().await;
        let answer = {
            let mut sim = self.ground.lock();
            let fault = sim.profile.faults.list;
            if sim.fault(fault) {
                sim.note(format_args!("list fails"));
                Err(failed("list"))
            } else {
                sim.world.ripen();
                Ok(sim.world.running().map(|container| sim.listed(container)).collect())
            }
        };
        self.travel().await;
        answer
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<Container>, SourceError> {
        self.travel().await;
        let answer = {
            let mut sim = self.ground.lock();
            let fault = sim.profile.faults.inspect;
            if sim.fault(fault) {
                sim.note(format_args!("inspect of {} fails", id.short()));
                Err(if sim.rng.bool() {
                    failed("inspect")
                } else {
                    SourceError::Inspect(id.clone(), InspectFault::Missing("sense"))
                })
            } else {
                sim.note(format_args!("inspect {}", id.short()));
                sim.world.ripen();
                Ok(sim.world.containers.get(id).map(|one| sim.world.shown(one)))
            }
        };
        self.travel().await;
        if let Ok(container) = &answer {
            self.ground.lock().inspected(id, container.as_ref());
        }
        answer
    }

    fn events(&self, since: Option<Moment>) -> BoxStream<'static, Result<Event, SourceError>> {
        let mut sim = self.ground.lock();
        if !sim.is_alive(self.incarnation) {
            return stream::pending().boxed();
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a world is small, and Docker waits for nobody"
        )]
        let (sender, mut receiver) = mpsc::unbounded_channel();
        sim.note(format_args!("events are listened to"));
        let since = since.unwrap_or_else(|| sim.now());
        let happened = sim.happened.iter().filter(|event| event.at >= Some(since));
        for event in happened.cloned().collect::<Vec<_>>() {
            sim.told(&event);
            let _ = sender.send(Ok(event));
        }
        sim.streams.push(sender);
        stream::poll_fn(move |context| receiver.poll_recv(context)).boxed()
    }

    fn now(&self) -> Moment {
        self.ground.lock().now()
    }

    async fn engine(&self) -> Result<Option<String>, SourceError> {
        self.travel().await;
        let answer = {
            let mut sim = self.ground.lock();
            let fault = sim.profile.faults.list;
            if sim.fault(fault) { Err(failed("ask who it is")) } else { Ok(sim.engine()) }
        };
        self.travel().await;
        answer
    }
}

impl Sim {
    /// A container as a list shows it.
    fn listed(&self, container: &Container) -> Listed {
        let shown = self.world.shown(container);
        let summary = self.profile.choices.summaries.then(|| Summary::from(&shown).digest());
        Listed { id: container.id.clone(), summary }
    }

    pub(super) fn now(&self) -> Moment {
        Moment(self.start.elapsed() + Duration::from_nanos(self.events))
    }

    /// Something happened to a container. Docker remembers it, and says so to
    /// those who listen.
    pub(super) fn announce(&mut self, id: &ContainerId) {
        self.tell(id, EventKind::Change);
    }

    /// A signal was sent to a container.
    pub(super) fn announce_signal(&mut self, id: &ContainerId, signal: i64) {
        self.tell(id, EventKind::Signal(signal));
    }

    /// A container was started, or has ended. Where Docker tells nobody of that as such, something
    /// has happened to the container.
    pub(super) fn announce_life(&mut self, id: &ContainerId, kind: EventKind) {
        let told = self.profile.choices.deaths;
        self.tell(id, if told { kind } else { EventKind::Change });
    }

    fn tell(&mut self, id: &ContainerId, kind: EventKind) {
        // No two events happen in the same nanosecond.
        self.events += 1;
        let event = Event { container: id.clone(), kind, at: Some(self.now()) };
        if self.happened.len() == REMEMBERED {
            self.happened.pop_front();
        }
        self.happened.push_back(event.clone());
        self.streams.retain(|stream| !stream.is_closed());
        let faults = self.profile.faults.clone();
        let copies = 1 + u8::from(self.fault(faults.duplicate));
        for stream in self.streams.clone() {
            for _ in 0..copies {
                let late = self.fault(faults.delay);
                let delay =
                    if late { Duration::from_millis(self.rng.u64(..8000)) } else { self.blink() };
                let (ground, stream, event) = (self.ground(), stream.clone(), event.clone());
                tokio::spawn(async move {
                    sleep(delay).await;
                    // Nobody may listen any more.
                    if stream.send(Ok(event.clone())).is_ok() {
                        ground.lock().told(&event);
                    }
                });
            }
        }
    }

    /// The connections are lost, with what was under way on them.
    pub(super) fn disconnect(&mut self) {
        self.note(format_args!("the streams of events end"));
        for stream in std::mem::take(&mut self.streams) {
            let _ = stream.send(Err(failed("read events")));
        }
    }

    /// The engine's identity; none where there is only one daemon for it, and one name.
    pub(super) fn engine(&self) -> Option<String> {
        let choices = &self.profile.choices;
        let several = choices.peer || choices.other_engine > 0.0 || choices.other_name > 0.0;
        several.then(|| format!("engine {}", self.engine))
    }

    /// The connection leads to another engine from now on, with other containers.
    pub(super) fn change_engine(&mut self) {
        self.engine = 1 - self.engine;
        std::mem::swap(&mut self.world, &mut self.other_world);
        let engine = self.engine;
        self.note(format_args!("engine {engine} answers from now on"));
        self.happened.clear();
        self.disconnect();
        // Nothing of what was silent comes back.
        self.silent.clear();
    }

    /// The connections stay open, and nothing comes any more.
    pub(super) fn silence(&mut self) {
        self.note(format_args!("the streams of events fall silent"));
        let silent = std::mem::take(&mut self.streams);
        self.silent.extend(silent);
    }
}
