//! Holds what was forecast against what then happens.
//!
//! The daemon is killed, things happen on the host and in the registry, and before it starts again
//! it is forecast what it will do; and before its pipeline is replaced, what that will change. No
//! fault is left by then, so that it must do exactly that: write the same, and hold the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream, stream::BoxStream};
use tokio::time::sleep;

use super::{
    Ground, Sim,
    agent::Write,
    run,
    saboteur::{Sabotage, forecasts_unguarded},
    stages,
    world::Change,
};
use crate::{
    docker::{Event, Moment, Source, SourceError},
    model::{
        container::{Container, ContainerId},
        marks::META_RETIRE,
        registered::Registered,
        service::Service,
    },
    reconcile::{Forecast, ForecastWrite, Held, Rehearsal, WriteKind},
    registry::{Capabilities, Registry, RegistryError},
};

/// The world as it is: a forecast of it is disturbed by nothing and leaves no trace.
struct Glass(Ground);

#[async_trait::async_trait]
impl Source for Glass {
    async fn list(&self) -> Result<Vec<ContainerId>, SourceError> {
        Ok(self.0.lock().world.running().map(|container| container.id.clone()).collect())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<Container>, SourceError> {
        let sim = self.0.lock();
        Ok(sim.world.containers.get(id).map(|one| sim.world.shown(one)))
    }

    fn events(&self, _: Option<Moment>) -> BoxStream<'static, Result<Event, SourceError>> {
        stream::pending().boxed()
    }

    fn now(&self) -> Moment {
        self.0.lock().now()
    }

    async fn engine(&self) -> Result<Option<String>, SourceError> {
        Ok(self.0.lock().engine())
    }
}

#[async_trait::async_trait]
impl Registry for Glass {
    async fn probe(&self) -> Result<String, RegistryError> {
        Ok("simulated".into())
    }

    async fn read(&self) -> Result<BTreeMap<String, Registered>, RegistryError> {
        let sim = self.0.lock();
        let entries = sim.agent.entries.iter();
        Ok(entries.map(|(id, entry)| (id.clone(), (&entry.service).into())).collect())
    }

    async fn has(&self, id: &str) -> Result<bool, RegistryError> {
        Ok(self.0.lock().agent.entries.contains_key(id))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { neighbours: false, ..crate::registry::Consul::CAPABILITIES }
    }

    async fn register(&self, service: &Service) -> Result<(), RegistryError> {
        panic!("a forecast registers {}", service.id)
    }

    async fn deregister(&self, id: &str) -> Result<(), RegistryError> {
        panic!("a forecast deregisters {id}")
    }

    async fn set_maintenance(&self, id: &str, _: Option<&str>) -> Result<(), RegistryError> {
        panic!("a forecast changes the maintenance of {id}")
    }

    async fn maintenance(&self) -> Result<BTreeMap<String, String>, RegistryError> {
        Ok(self.0.lock().agent.maintained.clone())
    }
}

/// The writes by ID. Whether something goes before another container's service takes its place
/// depends on which of the two is looked at first, so that the last write to an ID counts; of its
/// maintenance, the last of that kind.
type Deeds = BTreeMap<(String, bool), Deed>;

#[derive(Debug, Clone, PartialEq)]
enum Deed {
    Register(Box<Service>),
    Deregister,
    Maintain(bool),
}

/// A registration without what nobody is told. When something retires depends on the second in
/// which it is written.
fn register(service: &Service) -> Deed {
    let mut service = Service { origin: None, attributes: Default::default(), ..service.clone() };
    if let Some(until) = service.meta.get_mut(META_RETIRE) {
        until.clear();
    }
    Deed::Register(Box::new(service))
}

fn foreseen(forecast: &Forecast) -> Deeds {
    let mut deeds = Deeds::new();
    let all = forecast.containers.iter().flat_map(|one| &one.writes).chain(&forecast.dangling);
    for ForecastWrite { id, kind, .. } in all.filter(|write| !write.held) {
        let deed = match kind {
            WriteKind::Register { service, .. } => register(service),
            WriteKind::Deregister => Deed::Deregister,
            WriteKind::Maintenance { enable } => Deed::Maintain(*enable),
        };
        // What one container gives up and another one takes over is said of both.
        let deeds = deeds.entry((id.clone(), matches!(deed, Deed::Maintain(_))));
        match deed {
            Deed::Deregister => drop(deeds.or_insert(deed)),
            deed => drop(deeds.insert_entry(deed)),
        }
    }
    deeds
}

fn done(writes: &[Write]) -> Deeds {
    let mut deeds = Deeds::new();
    for write in writes {
        let deed = match write {
            Write::Register { service, .. } => register(service),
            Write::Deregister(_) => Deed::Deregister,
            Write::Maintain { reason, .. } => Deed::Maintain(reason.is_some()),
        };
        deeds.insert((write.id().to_string(), matches!(deed, Deed::Maintain(_))), deed);
    }
    deeds
}

/// How often this is done in a run.
const TIMES: usize = 2;
/// When the last late write of a dead daemon has come, and every port is shown.
const STILL: Duration = Duration::from_secs(45);

/// A forecast, and what bears on its comparison.
pub(super) struct Foreseen {
    forecast: Forecast,
    /// The IDs that were kept for a while by then.
    retiring: BTreeSet<String>,
}

/// Forecast, start, and compare, in what has become of a run.
pub(super) async fn ask(ground: &Ground, sabotage: Sabotage) {
    for _ in 0..TIMES {
        {
            let mut sim = ground.lock();
            // Without marks the next daemon knows nothing of what this one has done.
            if sim.violation.is_some() || !sim.profile.provenance {
                return;
            }
            sim.crash();
            sim.happen();
        }
        sleep(STILL).await;
        let rehearsal = {
            let mut sim = ground.lock();
            sim.world.ripen();
            // The pipeline of no daemon, which tells the judge nothing.
            let pipeline = stages::pipeline(ground, 0, sim.rules);
            let (host, mut options) = (sim.shown_host(), sim.profile.options());
            if forecasts_unguarded() {
                options.guard.least = usize::MAX;
            }
            let glass = Arc::new(Glass(ground.clone()));
            Rehearsal::new(glass.clone(), Some(glass), pipeline, host, &options)
        };
        let Some(foreseen) = forecast(ground, &rehearsal).await else { return };
        run::start(ground, sabotage);
        sleep(run::SETTLED).await;
        let held = run::held(ground).await;
        ground.lock().compare(&foreseen, held.as_ref());
        run::confirm(ground).await;
        ground.lock().judge_catalog();
    }
}

/// The forecast of the running daemon with other rules.
pub(super) async fn foresee(ground: &Ground, rules: u8) -> Option<Foreseen> {
    let rehearsal = {
        let mut sim = ground.lock();
        sim.world.ripen();
        let options = sim.profile.options();
        let glass = Arc::new(Glass(ground.clone()));
        let probe = sim.daemon.as_ref()?.probe.clone();
        probe.rehearsal(glass.clone(), glass, &options)
    };
    rehearsal.replace_pipeline(stages::pipeline(ground, 0, rules));
    forecast(ground, &rehearsal).await
}

async fn forecast(ground: &Ground, rehearsal: &Rehearsal) -> Option<Foreseen> {
    let forecast = rehearsal.forecast().await;
    let mut sim = ground.lock();
    match forecast {
        Ok(forecast) => {
            sim.written.clear();
            sim.note(format_args!("forecast: {:?}", foreseen(&forecast)));
            let entries = sim.agent.entries.iter();
            let retires = entries.filter(|(_, one)| one.service.meta.contains_key(META_RETIRE));
            let retiring = retires.map(|(id, _)| id.clone()).collect();
            Some(Foreseen { forecast, retiring })
        }
        Err(error) => {
            sim.violate(format_args!("no forecast: {error}"));
            None
        }
    }
}

impl Sim {
    /// Some things happen while no daemon runs.
    fn happen(&mut self) {
        for _ in 0..self.rng.usize(..25) {
            let now = self.now();
            if let Some(Change { id, what, .. }) = self.world.change(&mut self.rng, now) {
                self.note(format_args!("{} {what}, unseen", id.short()));
            }
        }
        if self.rng.u8(..3) == 0 {
            let rules = (self.rules + 1) % stages::RULES;
            self.rules = rules;
            self.note(format_args!("the pipeline has rules {rules}"));
        }
        if self.profile.choices.other_engine > 0.0 && self.rng.u8(..3) == 0 {
            self.change_engine();
        }
        for _ in 0..self.rng.usize(..3) {
            self.meddle();
        }
    }

    /// Whether what has happened since is what was foreseen.
    pub(super) fn compare(&mut self, foreseen: &Foreseen, held: Option<&Held>) {
        let Foreseen { forecast, retiring } = foreseen;
        // Who of several gets an ID is a matter of who comes first.
        if self.has_rivals() {
            return;
        }
        self.forecasts += 1;
        let (mut foreseen, mut done) = (self::foreseen(forecast), done(&self.written));
        let mut retiring = retiring.clone();
        let registered = self.written.iter().filter_map(|write| match write {
            Write::Register { service, .. } => Some(service),
            _ => None,
        });
        let kept = registered.filter(|service| service.meta.contains_key(META_RETIRE));
        retiring.extend(kept.map(|service| service.id.clone()));
        // When what is kept for a while goes is a matter of time.
        for deeds in [&mut foreseen, &mut done] {
            deeds.retain(|(id, _), deed| match deed {
                Deed::Register(service) => !service.meta.contains_key(META_RETIRE),
                _ => !retiring.contains(id),
            });
        }
        let ids: BTreeSet<_> = foreseen.keys().chain(done.keys()).cloned().collect();
        for id in ids {
            let (foreseen, done) = (foreseen.get(&id), done.get(&id));
            if foreseen != done {
                self.violate(format_args!(
                    "foreseen for {}: {foreseen:?}; what was done: {done:?}",
                    id.0
                ));
            }
        }
        if forecast.held.as_ref() != held {
            let foreseen = &forecast.held;
            self.violate(format_args!("foreseen to be held: {foreseen:?}; what is: {held:?}"));
        }
    }
}
