//! The containers that were looked at, with the outcome of each, for those who show them.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::overview::Became;
use crate::{
    model::container::{Container, ContainerId},
    pipeline::Outcome,
    text,
};

/// The longest reason; what is longer is cut.
const LONGEST: usize = 500;
/// No more services of one container than these are named.
const MOST: usize = 50;

/// A container, and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its full identifier.
    pub id: ContainerId,
    /// Its name; empty if it could not be read yet.
    pub name: String,
    /// The image that it was started from.
    pub image: String,
    /// Its outcome.
    pub became: Became,
    /// Why, if that is to be said.
    pub reason: Option<String>,
    /// The IDs of the services that the pipeline gives it.
    pub services: Vec<String>,
    /// Its vetoed services, by which stage and why.
    pub vetoed: Vec<Vetoed>,
}

/// A service that a stage vetoed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vetoed {
    /// Its ID.
    pub service: String,
    /// The stage.
    pub stage: String,
    /// The stage's reason.
    pub reason: String,
}

/// The rows, and how often they have changed.
#[derive(Debug, Clone, Default)]
pub(in crate::reconcile) struct Roster {
    rows: BTreeMap<ContainerId, Arc<Row>>,
    revision: u64,
}

impl Roster {
    /// Note a container's outcome; with none it is gone.
    pub(super) fn note(
        &mut self,
        id: &ContainerId,
        container: Option<&Container>,
        outcome: Option<&Outcome>,
        became: Option<Became>,
    ) {
        let Some((became, container)) = became.zip(container) else {
            self.revision += u64::from(self.rows.remove(id).is_some());
            return;
        };
        let vetoed = outcome.into_iter().flat_map(|outcome| &outcome.vetoed).take(MOST);
        let vetoed: Vec<_> = vetoed
            .map(|veto| Vetoed {
                service: veto.service.id.clone(),
                stage: veto.stage.clone(),
                reason: text::shown_within(&veto.reason, LONGEST).into_owned(),
            })
            .collect();
        let services = outcome.into_iter().flat_map(|outcome| &outcome.services).take(MOST);
        let reason = match became {
            Became::Held => Some("the bulk guard holds its change".into()),
            Became::Ended => {
                let state = format!("{:?}", container.state).to_lowercase();
                Some(format!("{state}, exit code {}", container.exit_code))
            }
            Became::Vetoed => vetoed.first().map(|one| format!("{}: {}", one.stage, one.reason)),
            Became::Ignored => {
                let ignored = outcome.and_then(|outcome| outcome.ignored.first().cloned());
                ignored.or_else(|| vetoed.first().map(|one| one.reason.clone()))
            }
            _ => outcome.and_then(|outcome| outcome.ignored.first().cloned()),
        };
        self.put(Row {
            id: id.clone(),
            name: container.name.clone(),
            image: container.image.clone(),
            became,
            reason: reason.map(cut),
            services: services.map(|service| service.id.clone()).collect(),
            vetoed,
        });
    }

    /// A container could not be judged, or not all was written.
    pub(in crate::reconcile) fn note_failure(
        &mut self,
        id: &ContainerId,
        container: Option<&Container>,
        reason: &str,
    ) {
        let old = self.rows.get(id).map(|row| Row::clone(row));
        let mut row = old.unwrap_or_else(|| Row {
            id: id.clone(),
            name: String::new(),
            image: String::new(),
            became: Became::Failed,
            reason: None,
            services: Vec::new(),
            vetoed: Vec::new(),
        });
        if let Some(container) = container {
            row.name.clone_from(&container.name);
            row.image.clone_from(&container.image);
        }
        row.became = Became::Failed;
        row.reason = Some(cut(reason.to_string()));
        self.put(row);
    }

    fn put(&mut self, row: Row) {
        if self.rows.get(&row.id).is_some_and(|old| **old == row) {
            return;
        }
        self.revision += 1;
        self.rows.insert(row.id.clone(), Arc::new(row));
    }

    /// A container's row.
    pub(in crate::reconcile) fn row(&self, id: &ContainerId) -> Option<&Arc<Row>> {
        self.rows.get(id)
    }

    /// All rows, by their identifiers, and how often one has changed.
    pub(in crate::reconcile) fn rows(&self) -> (Vec<Arc<Row>>, u64) {
        (self.rows.values().cloned().collect(), self.revision)
    }
}

fn cut(reason: String) -> String {
    text::shown_within(&reason, LONGEST).into_owned()
}
