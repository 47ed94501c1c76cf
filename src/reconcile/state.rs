//! What the loop knows, as one value, and what it decides by that.
//!
//! Nothing here waits, asks anybody or takes a lock, and the time is an argument: whoever has the
//! same state and is told the same decides the same.

pub(super) mod catalog;
pub(super) mod engine;
pub(super) mod guard;
pub(super) mod history;
pub(super) mod life;
pub(super) mod meters;
pub(super) mod overview;
pub(super) mod plan;
pub(super) mod reports;
pub(super) mod roster;
pub(super) mod sharing;
pub(super) mod verified;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;
use tracing::{error, warn};

use super::{
    lifecycle::{DrainBy, Rename},
    options::{Options, Rules},
};
use crate::model::marks::{Owner, Provenance};
use crate::{
    model::{
        container::{Container, ContainerId},
        service::Service,
        summary::Listed,
    },
    pipeline::{Outcome, Pipeline},
    telemetry::event,
};
use catalog::Catalog;
use engine::Engine;
use guard::{Cause, Guard, Held, Verdict};
use history::{Change, ChangeKind, History};
use life::Life;
use meters::Meters;
use overview::{Became, Figures, Overview};
use plan::{Action, Plan, Reason, plan as plan_for};
use reports::Reports;
use roster::Roster;
use verified::Verified;

/// What the loop knows.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) catalog: Catalog,
    pub(super) guard: Guard,
    pub(super) engine: Engine,
    pub(super) life: Life,
    /// What is known of whether everything is still there.
    pub(super) verified: Verified,
    pub(super) reports: Reports,
    /// What has happened of late, and how it all fares.
    pub(super) history: History,
    pub(super) figures: Figures,
    pub(super) meters: Meters,
    pub(super) roster: Roster,
    /// Containers that another one's look has left something for.
    requeued: BTreeSet<ContainerId>,
    /// Whom each container that waits has left something for: two that wait for the IDs of each other
    /// would else be looked at in turn for ever.
    left_for: BTreeMap<ContainerId, BTreeSet<ContainerId>>,
    /// The containers of which the trial has still to see the rest: it is left to others, and those
    /// were not looked at yet when they were.
    partly_seen: BTreeSet<ContainerId>,
    /// The trial has looked again at those that it had seen in part.
    second_pass: bool,
    /// The last resync named every container, and not only those that its list showed changed.
    pub(super) named_all: bool,
    /// It is known what a former daemon left in maintenance.
    pub(super) maintained_known: bool,
}

/// What a container offers.
#[derive(Debug, Default)]
pub(super) struct Offer {
    /// As the pipeline made them, with the checks to which the daemon reports.
    pub(super) services: Vec<Service>,
    /// It is not the pipeline that decided that there are no services.
    by_life: bool,
    /// The container is ending, for so much longer.
    pub(super) ending: Option<Duration>,
    /// A stage failed and did not hold the container: it may say otherwise when
    /// it is asked again.
    pub(super) degraded: bool,
    /// It was not said before what becomes of the container.
    news: bool,
    /// What is vetoed of it is so by its own word.
    says_so: bool,
}

impl Offer {
    /// Whether it is the container's life for which it offers nothing.
    pub(super) fn is_by_life(&self) -> bool {
        self.by_life
    }

    /// What a container offers that does not run, or not yet.
    pub(super) fn of_nothing() -> Self {
        Self { by_life: true, ..Self::default() }
    }
}

/// What a container wants to have registered: services with marks.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    services: Vec<Arc<Service>>,
    marks: Option<Provenance>,
}

impl Wanted {
    /// What a container offers, and what is kept for it until these times, with these marks.
    pub(super) fn new(
        marks: Provenance,
        container: &ContainerId,
        offered: Vec<Service>,
        kept: Vec<(Service, Duration)>,
    ) -> Self {
        let offered = offered.into_iter().map(|service| (service, None));
        let kept = kept.into_iter().map(|(service, until)| (service, Some(until)));
        let all = offered.chain(kept);
        let services = all.map(|(service, until)| marks.stamp_until(container, service, until));
        Self { services: services.map(Arc::new).collect(), marks: Some(marks) }
    }

    /// The same with the marks of now: the engine may have told another identity meanwhile.
    fn with(self, marks: &Provenance, container: &ContainerId) -> Vec<Arc<Service>> {
        if self.marks.as_ref() == Some(marks) {
            return self.services;
        }
        let again = |service: Arc<Service>| Arc::new(marks.stamp_again(container, &service));
        self.services.into_iter().map(again).collect()
    }
}

/// The plan for a container.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) plan: Plan,
    /// It cannot have all that it wants: another container has it, or waits for the
    /// bulk guard with it.
    pub(super) rival: bool,
    /// It has to wait for the bulk guard.
    pub(super) waits: bool,
}

impl State {
    /// What a daemon knows when it begins.
    pub(super) fn new(rules: &Rules, options: &Options) -> Self {
        let catalog = Catalog::new(Provenance::new(&rules.host.hostname, options.provenance));
        Self {
            catalog: if rules.is_original() { catalog.mimicking() } else { catalog },
            guard: Guard::new(options.guard),
            engine: Engine::default(),
            life: Life::default(),
            verified: Verified::default(),
            reports: Reports::default(),
            history: History::of(options.history),
            figures: Figures::default(),
            meters: Meters::default(),
            roster: Roster::default(),
            requeued: BTreeSet::new(),
            left_for: BTreeMap::new(),
            partly_seen: BTreeSet::new(),
            second_pass: false,
            named_all: false,
            maintained_known: false,
        }
    }

    /// The engine is this one. Whether it is another one than before.
    pub(super) fn note_engine(&mut self, identity: Option<String>, connection: u64) -> bool {
        let Some(before) = self.engine.note(identity, connection) else { return false };
        self.catalog.set_engine(self.engine.identity());
        let changed = before.is_some();
        if changed {
            self.life.forget_deaths();
            warn!(event = event::OTHER_ENGINE, "this is another container engine than before");
            self.guard.begin();
        }
        changed
    }

    /// A look that began then has shown a container, or that it is not there.
    pub(super) fn note_container(
        &mut self,
        rules: &Rules,
        id: &ContainerId,
        container: Option<&Container>,
        began: u64,
    ) {
        self.life.note_alive(id, container);
        // registrator heard of no other container's events.
        if !rules.is_original() {
            let mut again = self.life.sharing.note(id, container, began);
            self.requeued.append(&mut again);
        }
        match container {
            Some(_) => self.life.note_name(id, container),
            None => self.reports.forget(id),
        }
    }

    /// The trial of a change knows which containers it has to see.
    pub(super) fn begin_trial(&mut self) {
        self.guard.count(self.catalog.services().cloned().collect());
        self.partly_seen.clear();
        self.second_pass = false;
    }

    /// The containers that the trial looks at once more before it decides, whatever the order was in
    /// which it has seen them all: what they want was left to others, which had not been seen.
    pub(super) fn take_partly_seen(&mut self) -> BTreeSet<ContainerId> {
        self.second_pass = true;
        std::mem::take(&mut self.partly_seen)
    }

    /// The trial of a change has seen every container: those to be looked at again.
    pub(super) fn decide(&mut self, rules: &Rules, at: SystemTime) -> Vec<ContainerId> {
        let engines = self.guard.engines();
        if self.guard.is_trial() {
            if self.guard.is_confirmed() {
                self.catalog.give_up(engines.clone());
            }
            self.judge_again();
        }
        let catalog = &self.catalog;
        let verdict =
            self.guard.decide(catalog.services().count(), |engine| catalog.is_elsewhere(engine));
        let (looks, held) = match verdict {
            None => return Vec::new(),
            Some(Verdict::Go(containers)) => return containers,
            Some(Verdict::Hold(held)) => (Vec::new(), held),
            Some(Verdict::Part(containers, held)) => (containers, held),
        };
        error!(
            event = event::HELD,
            count = held.services.len(),
            ids = ?held.services.iter().take(10).collect::<Vec<_>>(),
            reason = %held,
            "held: {held}; to carry it out, run `wharfinger apply --confirm`"
        );
        for id in self.guard.waiting().collect::<Vec<_>>() {
            let reason = "the bulk guard holds its change until `wharfinger apply --confirm`";
            self.note_change(&id, None, ChangeKind::Held, reason.into(), at);
        }
        for engine in engines {
            self.say_other_engine(rules, &engine);
        }
        looks
    }

    /// What would go was counted while not all containers were known: what another one wants goes
    /// from nobody, whichever of the two was looked at first.
    fn judge_again(&mut self) {
        let mut freed = false;
        for id in self.guard.waiting_by_pipeline() {
            let concerned = self.catalog.concerned(&id);
            let taken = self.taken(&id, &plan_for(&self.catalog, &id, &concerned));
            freed |= self.guard.recount(&id, taken);
            if !self.guard.is_waiting(&id) {
                self.catalog.note_waiting(&id, false);
                self.requeued.insert(id);
            }
        }
        if freed {
            self.requeued.append(&mut self.guard.take_put_off());
        }
    }

    /// Somebody confirms what is held: the containers to be looked at again.
    pub(super) fn confirm(&mut self) -> Vec<ContainerId> {
        self.catalog.give_up(self.guard.engines());
        self.guard.confirm()
    }

    /// Nothing was left to be done for a container that was looked at then.
    pub(super) fn note_settled(&mut self, container: &Container, asked: Instant) {
        self.life.note_settled(container, asked);
    }

    /// Whether a resync looks at every container. A trial counts what each of them wants; what was put
    /// into maintenance is read anew each time; and registrator looked at all.
    pub(super) fn looks_at_all(&self, rules: &Rules) -> bool {
        self.guard.is_trial() || rules.lifecycle.maintains() || rules.is_original()
    }

    /// Whether a look at a container in a list would find nothing to do: the list shows it as it was,
    /// and what it wanted then is registered.
    pub(super) fn is_settled(&self, rules: &Rules, listed: &Listed, now: Instant) -> bool {
        #[cfg(test)]
        if super::sim::believes_any_list() {
            return true;
        }
        if self.looks_at_all(rules) || !self.life.is_settled(listed, now) {
            return false;
        }
        let concerned = self.catalog.concerned(&listed.id);
        let plan = plan_for(&self.catalog, &listed.id, &concerned);
        plan.actions.is_empty() && plan.conflicts.is_empty() && plan.others.is_empty()
    }

    /// What the bulk guard holds.
    pub(super) fn held(&self) -> Option<Held> {
        self.guard.held()
    }

    /// How all of it fares.
    pub(super) fn overview(&self) -> Overview {
        self.figures.overview(self.catalog.services().count())
    }

    /// A container's name, if it is known.
    pub(super) fn name(&self, container: &ContainerId) -> Option<&str> {
        self.catalog.name(container).or_else(|| self.life.name(container))
    }

    /// The same, for those who keep it.
    pub(super) fn name_of(&self, container: &ContainerId) -> Option<String> {
        self.name(container).map(String::from)
    }

    /// What an event has told of a container's end, if it counts; see [`Life::take_ended`].
    pub(super) fn take_ended(&mut self, id: &ContainerId) -> Option<Container> {
        let ended = self.life.take_ended(id)?;
        let image = self.roster.row(id).map(|row| row.image.clone());
        Some(Container { image: image.unwrap_or_default(), ..ended })
    }

    /// Note what happened to a container, or to one of its services.
    pub(super) fn note_change(
        &mut self,
        container: &ContainerId,
        service: Option<&str>,
        kind: ChangeKind,
        reason: String,
        at: SystemTime,
    ) {
        self.history.note(Change {
            at,
            container: container.clone(),
            name: self.name(container).unwrap_or_default().to_string(),
            service: service.map(String::from),
            kind,
            reason,
        });
    }

    /// Note what became of a container that was looked at, and what is vetoed of it.
    pub(super) fn note_outcome(
        &mut self,
        id: &ContainerId,
        container: Option<&Container>,
        outcome: Option<&Outcome>,
        offer: &Offer,
        waits: bool,
        at: SystemTime,
    ) {
        self.life.note_name(id, container);
        let news = outcome.filter(|_| offer.news);
        for veto in news.into_iter().flat_map(|outcome| &outcome.vetoed) {
            let reason = format!("by stage {}: {}", veto.stage, veto.reason);
            self.note_change(id, Some(&veto.service.id), ChangeKind::Vetoed, reason, at);
        }
        let became = match (container, outcome) {
            (None, _) => None,
            _ if waits => Some(Became::Held),
            (Some(container), _) if !container.state.is_running() => Some(Became::Ended),
            (_, Some(outcome)) if outcome.unselected => Some(Became::Unselected),
            (_, Some(outcome)) if !outcome.services.is_empty() => Some(Became::Registered),
            (_, Some(outcome)) if !outcome.vetoed.is_empty() && !offer.says_so => {
                Some(Became::Vetoed)
            }
            _ => Some(Became::Ignored),
        };
        self.figures.note(id, became);
        self.roster.note(id, container, outcome, became);
    }

    /// Say once of another engine that it has services under this host's name.
    fn say_other_engine(&mut self, rules: &Rules, engine: &str) {
        if self.reports.is_news(engine) {
            error!(
                event = event::OTHER_ENGINE,
                host = rules.host.hostname,
                engine,
                "services are registered under this host's name for another container engine; \
                 they stay as they are: give one of the two daemons another --hostname, or, if \
                 that engine is no more, run `wharfinger apply --confirm`"
            );
        }
    }

    /// What a running container offers of which this became in the pipeline.
    pub(super) fn offer(
        &mut self,
        rules: &Rules,
        container: &Container,
        pipeline: &Pipeline,
        outcome: &Outcome,
        now: Instant,
    ) -> Offer {
        let gate = rules.lifecycle.gate(container);
        let news = self.reports.say(container, pipeline, outcome, gate.as_deref());
        // What a container says of itself is ignored; what others veto is vetoed.
        let own = |stage: &str| pipeline.is_registrator(stage);
        let says_so = outcome.vetoed.iter().all(|veto| own(&veto.stage));
        if gate.is_some() {
            return Offer { news, says_so, ..Offer::of_nothing() };
        }
        let ending = self.life.ending(&rules.lifecycle, container, now);
        if ending.is_some() && rules.lifecycle.drain_by == DrainBy::Deregister {
            return Offer { by_life: true, ending, news, says_so, ..Offer::default() };
        }
        let degraded = outcome.degraded().is_some();
        // That the owner of its network has ended is no change of the pipeline.
        let reached = outcome.unselected || !outcome.candidates.is_empty();
        let by_life = !reached && container.cut_off().is_some();
        let mut services = outcome.services.clone();
        rules.lifecycle.add_checks(container, &mut services);
        Offer { services, by_life, ending, degraded, news, says_so }
    }

    /// What of a container's services is kept for a while beside what it offers now, and until
    /// when, in time since 1970; and the marks that all of them get.
    pub(super) fn keep(
        &mut self,
        rules: &Rules,
        id: &ContainerId,
        container: Option<&Container>,
        offer: &Offer,
        time: Duration,
    ) -> (Provenance, Vec<(Service, Duration)>) {
        let runs = container.is_some_and(|container| container.state.is_running());
        self.catalog.note_life(id, runs);
        self.meet(id, container);
        let kept = match rules.lifecycle.rename {
            Rename::Overlap(overlap) => self.catalog.retirees(id, &offer.services, time, overlap),
            Rename::Swap => Vec::new(),
        };
        (self.catalog.marks().clone(), kept)
    }

    /// What was registered for a container that is here is this engine's, whatever it was called.
    fn meet(&mut self, id: &ContainerId, container: Option<&Container>) {
        if container.is_some() {
            self.requeued.append(&mut self.catalog.meet(id));
        }
    }

    /// The plan for a container that offers this and wants that.
    pub(super) fn plan(
        &mut self,
        rules: &Rules,
        id: &ContainerId,
        container: Option<&Container>,
        offer: &Offer,
        wanted: Wanted,
    ) -> Planned {
        let runs = container.is_some_and(|container| container.state.is_running());
        self.catalog.note_life(id, runs);
        let name = container.map_or("", |container| &container.name);
        self.catalog.note_waiting(id, false);
        // Something may have been read meanwhile.
        self.meet(id, container);
        let wanted = wanted.with(self.catalog.marks(), id);
        let concerned = self.catalog.claim_marked(id, name, wanted);
        let mut plan = plan_for(&self.catalog, id, &concerned);
        let in_part = self.guard.is_trial() && !self.second_pass && !plan.others.is_empty();
        if in_part {
            self.partly_seen.insert(id.clone());
        }
        self.requeued.append(&mut plan.others);
        self.mind_other_engines(rules, id, &plan);
        let planned = plan.actions.len();
        plan.actions.retain(|action| !self.guard.reserves(action.id(), id));
        let mut rival = plan.actions.len() < planned;
        if rival {
            self.guard.put_off(id);
        }
        let rivals = concerned.iter().filter(|one| self.catalog.rivals(one).contains(&id));
        for service in rivals {
            error!(
                event = event::ID_TAKEN,
                container.id = id.0,
                container.name = name,
                id = service,
                reason = "it is another container's",
                "not registered: the ID {service} is another container's"
            );
            rival = true;
        }
        let (cause, counted) = match (container, self.catalog.elsewhere(id)) {
            (Some(_), _) if runs && !offer.by_life => (Cause::Pipeline, self.taken(id, &plan)),
            (None, Some((engine, ids))) => (Cause::Engine(engine), ids),
            _ => (Cause::Pipeline, Vec::new()),
        };
        let other = match &cause {
            Cause::Engine(engine) if !self.guard.is_trial() => Some(engine.clone()),
            _ => None,
        };
        let waits = self.guard.waits(id, cause, counted) || in_part;
        other.iter().for_each(|engine| self.say_other_engine(rules, engine));
        if waits {
            self.catalog.note_waiting(id, true);
            let others = plan_for(&self.catalog, id, &concerned).others;
            let before = self.left_for.insert(id.clone(), others.clone()).unwrap_or_default();
            self.requeued.extend(others.difference(&before).cloned());
        } else {
            self.left_for.remove(id);
        }
        Planned { plan, rival, waits }
    }

    /// What other daemons, or other names of this host, have to do with these actions.
    pub(super) fn notes(
        &self,
        container: &ContainerId,
        actions: &[Action],
        waits: bool,
    ) -> Vec<String> {
        let catalog = &self.catalog;
        let former = actions.iter().filter_map(|action| {
            let (id, name) = (action.id(), catalog.former_name(action.id())?);
            Some(format!("{id}: this host was called {name} when it was registered"))
        });
        let elsewhere = catalog.elsewhere(container).filter(|_| waits).map(|(engine, _)| {
            format!(
                "it was registered under this host's name for another container engine ({engine}); \
                 it stays until somebody confirms that this engine is no more"
            )
        });
        former.chain(elsewhere).collect()
    }

    /// The IDs of a container's own services that a plan takes out, or of which nobody finds the
    /// name any more. What another container had that has ended is not among them.
    fn taken(&self, id: &ContainerId, plan: &Plan) -> Vec<String> {
        let its = |taken: &&str| self.catalog.owners(taken).contains(id);
        let taken = plan.taken().filter(its);
        let taken = taken.filter(|taken| !self.catalog.is_renamed_host(id, taken));
        taken.map(ToString::to_string).collect()
    }

    /// What stands in the place of another engine's service waits for nothing, and what
    /// is in the way of one is looked at again when somebody gives that engine up.
    fn mind_other_engines(&mut self, rules: &Rules, container: &ContainerId, plan: &Plan) {
        let catalog = &self.catalog;
        let theirs = |id: &str| {
            let registered = catalog.registered(id);
            registered.is_some_and(|old| matches!(catalog.owner(old), Owner::OtherEngine(_)))
        };
        for service in plan.actions.iter().filter_map(Action::service) {
            if theirs(&service.id) {
                self.guard.let_go(&service.id);
            }
        }
        if plan.conflicts.iter().any(|conflict| theirs(&conflict.id)) {
            self.guard.put_off(container);
        }
        for action in &plan.actions {
            let Some(name) = catalog.former_name(action.id()) else { continue };
            if self.reports.is_news(&format!("host {name}")) {
                warn!(
                    event = event::OTHER_NAME,
                    old = name,
                    new = rules.host.hostname,
                    "this host had another name: what was registered under it is renamed"
                );
            }
        }
    }

    /// The plan for a container that has ended and keeps what it has: that is written
    /// again where it is not known what is there. What it does not have it does not
    /// get, and others may.
    pub(super) fn plan_to_keep(&mut self, id: &ContainerId) -> Plan {
        self.catalog.note_life(id, false);
        let concerned = self.catalog.keep(id);
        self.catalog.note_waiting(id, false);
        let mut plan = plan_for(&self.catalog, id, &concerned);
        self.requeued.append(&mut plan.others);
        self.left_for.remove(id);
        self.guard.forget(id);
        plan.conflicts.clear();
        plan.actions
            .retain(|action| matches!(action, Action::Register { reason: Reason::Uncertain, .. }));
        plan
    }

    /// The containers that another one's look has left something for since this was
    /// asked last.
    pub(super) fn take_requeued(&mut self) -> BTreeSet<ContainerId> {
        std::mem::take(&mut self.requeued)
    }
}
