//! The loop's knowledge as one value, and its decisions by that.
//!
//! Nothing here waits, asks anybody or takes a lock, and the time is an argument: whoever has the
//! same state and is told the same decides the same.

pub(super) mod catalog;
pub(super) mod counted;
pub(super) mod engine;
pub(super) mod guard;
pub(super) mod history;
pub(super) mod life;
pub(super) mod meters;
pub(super) mod overview;
pub(super) mod plan;
mod planning;
pub(super) mod reports;
pub(super) mod roster;
pub(super) mod sharing;
mod trial;
pub(super) mod verified;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use tokio::time::Instant;
use tracing::warn;

use super::options::{Options, Rules};
use crate::{
    model::{
        container::{Container, ContainerId},
        marks::Provenance,
        summary::Listed,
    },
    pipeline::Outcome,
    telemetry::event,
};
use catalog::Catalog;
use engine::Engine;
use guard::Guard;
use history::{Change, ChangeKind, History};
use life::Life;
use meters::Meters;
use overview::{Became, Figures, Overview};
use plan::plan as plan_for;
pub(super) use planning::{Offer, Planned, Wanted};
use reports::Reports;
use roster::Roster;
use verified::Verified;

/// The loop's knowledge.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) catalog: Catalog,
    pub(super) guard: Guard,
    pub(super) engine: Engine,
    pub(super) life: Life,
    /// The findings on whether everything is still there.
    pub(super) verified: Verified,
    pub(super) reports: Reports,
    /// The last changes.
    pub(super) history: History,
    /// The loop's condition, in figures.
    pub(super) figures: Figures,
    pub(super) meters: Meters,
    pub(super) roster: Roster,
    /// Containers that another one's look has left something for.
    requeued: BTreeSet<ContainerId>,
    /// The containers for which each one that waits has left something: two that wait for the IDs
    /// of each other would else be looked at in turn for ever.
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

impl State {
    /// The state of a daemon that begins.
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

    /// The loop's condition.
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

    /// Take the end of a container that an event told of, if it counts; see [`Life::take_ended`].
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

    /// Note the outcome of a container that was looked at, and its vetoed services.
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

    /// Its parts, by whose they are.
    #[cfg(test)]
    pub(super) fn parts(self) -> Vec<super::kept::Part> {
        let Self { catalog, life, reports, history, figures, meters, roster, verified, .. } = self;
        let mut parts: Vec<super::kept::Part> = vec![
            ("reports", Box::new(reports)),
            ("history", Box::new(history)),
            ("figures", Box::new(figures)),
            ("meters", Box::new(meters)),
            ("roster", Box::new(roster)),
            ("verified", Box::new(verified)),
        ];
        parts.extend(life.parts());
        parts.extend(catalog.parts());
        parts
    }

    /// The containers that another one's look has left something for since this was
    /// asked last.
    pub(super) fn take_requeued(&mut self) -> BTreeSet<ContainerId> {
        std::mem::take(&mut self.requeued)
    }
}
