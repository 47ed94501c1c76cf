//! From what a container offers to the plan for it.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::{error, warn};

use super::{
    State,
    guard::Cause,
    plan::{Action, Plan, Reason, plan as plan_for},
};
use crate::{
    model::{
        container::{Container, ContainerId},
        marks::{Owner, Provenance},
        service::Service,
    },
    pipeline::{Outcome, Pipeline},
    reconcile::{
        lifecycle::{DrainBy, Rename},
        options::Rules,
    },
    telemetry::event,
};

/// The offer of a container: its services, and what bears on the plan for them.
#[derive(Debug, Default)]
pub(in crate::reconcile) struct Offer {
    /// As the pipeline made them, with the checks to which the daemon reports.
    pub(in crate::reconcile) services: Vec<Service>,
    /// It is not the pipeline that decided that there are no services.
    by_life: bool,
    /// The container is ending, for so much longer.
    pub(in crate::reconcile) ending: Option<Duration>,
    /// A stage failed and did not hold the container: it may say otherwise when
    /// it is asked again.
    pub(in crate::reconcile) degraded: bool,
    /// The container's outcome was not told before.
    pub(super) news: bool,
    /// All vetoes are by the container's own word.
    pub(super) says_so: bool,
}

impl Offer {
    /// Whether it is the container's life for which it offers nothing.
    pub(in crate::reconcile) fn is_by_life(&self) -> bool {
        self.by_life
    }

    /// The offer of a container that does not run, or is not ready.
    pub(in crate::reconcile) fn of_nothing() -> Self {
        Self { by_life: true, ..Self::default() }
    }
}

/// The services, with marks, that a container wants to have registered.
#[derive(Debug, Clone, Default)]
pub(in crate::reconcile) struct Wanted {
    services: Vec<Arc<Service>>,
    marks: Option<Provenance>,
}

impl Wanted {
    /// The services that a container offers, and those kept for it until these times, with these
    /// marks.
    pub(in crate::reconcile) fn new(
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
pub(in crate::reconcile) struct Planned {
    pub(in crate::reconcile) plan: Plan,
    /// It cannot have all that it wants: another container has it, or waits for the
    /// bulk guard with it.
    pub(in crate::reconcile) rival: bool,
    /// It has to wait for the bulk guard.
    pub(in crate::reconcile) waits: bool,
}

impl State {
    /// The offer of a running container that had this outcome in the pipeline.
    pub(in crate::reconcile) fn offer(
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

    /// The marks for all services of a container, and those of its services that are kept for a
    /// while beside what it offers now, each until a time since 1970.
    pub(in crate::reconcile) fn keep(
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

    /// Note that services registered for a container that is here are this engine's, whatever that
    /// was called.
    pub(in crate::reconcile) fn meet(&mut self, id: &ContainerId, container: Option<&Container>) {
        if container.is_some() {
            self.requeued.append(&mut self.catalog.meet(id));
        }
    }

    /// The plan for a container that offers this and wants that.
    pub(in crate::reconcile) fn plan(
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
                container.id = &*id.0,
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

    /// Notes on other daemons, or other names of this host, that these actions concern.
    pub(in crate::reconcile) fn notes(
        &self,
        container: &ContainerId,
        actions: &[Action],
        waits: bool,
    ) -> Vec<String> {
        let catalog = &self.catalog;
        let former = actions.iter().filter_map(|action| {
            let (id, name) = (action.id(), catalog.former_name(action.id())?);
            Some(format!(
                "{id}: this host was called {name} when it was registered; if that is still its \
                 name, start with --hostname {name}"
            ))
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
    /// name any more. Those of another container that has ended are not among them.
    pub(in crate::reconcile) fn taken(&self, id: &ContainerId, plan: &Plan) -> Vec<String> {
        let its = |taken: &&str| self.catalog.owners(taken).contains(id);
        let taken = plan.taken().filter(its);
        let taken = taken.filter(|taken| !self.catalog.is_renamed_host(id, taken));
        taken.map(ToString::to_string).collect()
    }

    /// Stop holding another engine's service whose place is taken, and put the container off while
    /// such a service is in its way, until somebody gives that engine up.
    pub(in crate::reconcile) fn mind_other_engines(
        &mut self,
        rules: &Rules,
        container: &ContainerId,
        plan: &Plan,
    ) {
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

    /// The plan for a container that has ended and keeps what it has: that is written again where
    /// it is not known what is there. It gets nothing that it does not have, and others may.
    pub(in crate::reconcile) fn plan_to_keep(&mut self, id: &ContainerId) -> Plan {
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
}
