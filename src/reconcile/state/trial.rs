//! The trial of a change: what it has seen, and what the guard decides on all of it.

use std::{collections::BTreeSet, time::SystemTime};

use tracing::error;

use super::{
    State,
    guard::{Held, Verdict},
    history::ChangeKind,
    plan::plan as plan_for,
};
use crate::{model::container::ContainerId, reconcile::options::Rules, telemetry::event};

impl State {
    /// The trial of a change knows which containers it has to see.
    pub(in crate::reconcile) fn begin_trial(&mut self) {
        self.guard.count(self.catalog.services().map(String::from).collect());
        self.partly_seen.clear();
        self.second_pass = false;
    }

    /// The containers that the trial looks at once more before it decides, whatever the order was in
    /// which it has seen them all: what they want was left to others, which had not been seen.
    pub(in crate::reconcile) fn take_partly_seen(&mut self) -> BTreeSet<ContainerId> {
        self.second_pass = true;
        std::mem::take(&mut self.partly_seen)
    }

    /// The trial of a change has seen every container: those to be looked at again.
    pub(in crate::reconcile) fn decide(
        &mut self,
        rules: &Rules,
        at: SystemTime,
    ) -> Vec<ContainerId> {
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

    /// Count again the services that would go. They were counted while not all containers were
    /// known, and a service that another one wants goes from nobody, whichever of the two was
    /// looked at first. So they are counted as if everything were carried out, where names may have
    /// gone round in a circle; and only if that is too much, those are told apart whose IDs others
    /// take that do not wait themselves.
    pub(in crate::reconcile) fn judge_again(&mut self) {
        let waiting = self.guard.waiting_by_pipeline();
        for id in &waiting {
            self.catalog.note_waiting(id, false);
        }
        let taken: Vec<_> = waiting.iter().map(|id| self.taken_now(id)).collect();
        for id in &waiting {
            self.catalog.note_waiting(id, true);
        }
        let mut freed = false;
        if !self.guard.would_hold(taken.iter().flatten()) {
            for (id, taken) in waiting.iter().zip(taken) {
                freed |= self.recount(id, taken);
            }
        }
        // One that waits no longer takes what it wants, from others that wait no longer for it.
        loop {
            let waiting = self.guard.waiting_by_pipeline();
            for id in &waiting {
                let taken = self.taken_now(id);
                freed |= self.recount(id, taken);
            }
            if self.guard.waiting_by_pipeline().len() == waiting.len() {
                break;
            }
        }
        if freed {
            self.requeued.append(&mut self.guard.take_put_off());
        }
    }

    fn taken_now(&self, id: &ContainerId) -> Vec<String> {
        let concerned = self.catalog.concerned(id);
        self.taken(id, &plan_for(&self.catalog, id, &concerned))
    }

    /// A waiting container takes these out. Whether something waits for it no longer.
    fn recount(&mut self, id: &ContainerId, taken: Vec<String>) -> bool {
        let freed = self.guard.recount(id, taken);
        if !self.guard.is_waiting(id) {
            self.catalog.note_waiting(id, false);
            self.requeued.insert(id.clone());
        }
        freed
    }

    /// Somebody confirms what is held: the containers to be looked at again.
    pub(in crate::reconcile) fn confirm(&mut self) -> Vec<ContainerId> {
        self.catalog.give_up(self.guard.engines());
        self.guard.confirm()
    }

    /// The change that the bulk guard holds.
    pub(in crate::reconcile) fn held(&self) -> Option<Held> {
        self.guard.held()
    }

    /// Say once of another engine that it has services under this host's name.
    pub(in crate::reconcile) fn say_other_engine(&mut self, rules: &Rules, engine: &str) {
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
}
