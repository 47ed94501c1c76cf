//! The changes of one forecast beyond those of the one before it, of the same rehearsal: those that
//! another pipeline makes, without those that would be made anyway.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Forecast, ForecastContainer, WriteKind};
use crate::reconcile::Reason;

/// Of how many services it is told what becomes of each.
const MOST: usize = 500;

/// The changes that a pipeline makes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Beyond {
    /// How many containers were looked at.
    pub containers: usize,
    /// How many services would be registered that are not.
    pub registered: usize,
    /// How many that are registered would change.
    pub changed: usize,
    /// How many would be deregistered.
    pub deregistered: usize,
    /// How many would be vetoed that are not, by the stage that does.
    pub vetoed: BTreeMap<String, usize>,
    /// On how many containers the pipeline would fail on which the one in force does not.
    pub failing: usize,
    /// The services that would change, in the order of the containers' identifiers.
    pub services: Vec<Becomes>,
    /// How many more services there are than are told of.
    pub more: usize,
}

/// A service that would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Becomes {
    /// The container's name; its identifier if it has none any more.
    pub container: String,
    /// The service's ID.
    pub id: String,
    /// The service's name.
    pub name: String,
    /// The change.
    #[serde(flatten)]
    pub what: What,
}

/// A change to a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "becomes")]
pub enum What {
    /// It would be registered.
    Registered,
    /// These fields of it would change.
    Changed {
        /// Their names.
        fields: Vec<String>,
    },
    /// It would be deregistered.
    Deregistered,
    /// It would be vetoed.
    Vetoed {
        /// The stage.
        stage: String,
        /// The stage's reason.
        reason: String,
    },
}

impl Beyond {
    /// The changes of `after` beyond those of `before`, which was made just before it.
    #[must_use]
    pub fn of(before: &Forecast, after: &Forecast) -> Self {
        let all = before.containers.iter().map(|one| (one.container.id.as_str(), one));
        let former: BTreeMap<_, _> = all.collect();
        let mut beyond = Self { containers: after.containers.len(), ..Self::default() };
        for one in &after.containers {
            let former = former.get(one.container.id.as_str()).copied();
            beyond.add(former, one);
        }
        beyond
    }

    fn add(&mut self, former: Option<&ForecastContainer>, now: &ForecastContainer) {
        // What is held is not done, and is foretold once more.
        let held = former.into_iter().flat_map(|one| &one.writes).filter(|write| write.held);
        let held: BTreeSet<_> = held.map(|write| (&write.id, goes(&write.kind))).collect();
        let writes = now.writes.iter();
        for write in writes.filter(|write| !held.contains(&(&write.id, goes(&write.kind)))) {
            let what = match &write.kind {
                WriteKind::Register { reason: Reason::New, .. } => What::Registered,
                // It is there, and stays as it is.
                WriteKind::Register { reason: Reason::Retiring, .. }
                | WriteKind::Maintenance { .. } => continue,
                WriteKind::Register { changes, .. } => What::Changed {
                    fields: changes.iter().map(|change| change.field.to_string()).collect(),
                },
                WriteKind::Deregister => What::Deregistered,
            };
            self.note(now, &write.id, &write.name, what);
        }
        let vetoed = |one: &ForecastContainer| -> BTreeSet<String> {
            let all = one.outcome.iter().flat_map(|outcome| &outcome.vetoed);
            all.map(|veto| veto.service.id.clone()).collect()
        };
        let before = former.map(vetoed).unwrap_or_default();
        let all = now.outcome.iter().flat_map(|outcome| &outcome.vetoed);
        for veto in all.filter(|veto| !before.contains(&veto.service.id)) {
            let (stage, reason) = (veto.stage.clone(), veto.reason.clone());
            let what = What::Vetoed { stage, reason };
            self.note(now, &veto.service.id, &veto.service.name, what);
        }
        let failed = former.is_some_and(|one| one.failure.is_some());
        self.failing += usize::from(now.failure.is_some() && !failed);
    }

    fn note(&mut self, of: &ForecastContainer, id: &str, name: &str, what: What) {
        match &what {
            What::Registered => self.registered += 1,
            What::Changed { .. } => self.changed += 1,
            What::Deregistered => self.deregistered += 1,
            What::Vetoed { stage, .. } => *self.vetoed.entry(stage.clone()).or_default() += 1,
        }
        if self.services.len() == MOST {
            self.more += 1;
            return;
        }
        let brief = &of.container;
        let container = if brief.name.is_empty() { &brief.id } else { &brief.name };
        let (container, id, name) = (container.clone(), id.to_string(), name.to_string());
        self.services.push(Becomes { container, id, name, what });
    }
}

/// Whether a write takes something out.
fn goes(kind: &WriteKind) -> bool {
    matches!(kind, WriteKind::Deregister)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            container::Protocol,
            service::{Further, Service},
        },
        pipeline::{Outcome, Veto},
        reconcile::{Brief, ForecastWrite},
    };

    fn write(id: &str, kind: WriteKind) -> ForecastWrite {
        ForecastWrite { id: id.into(), name: "web".into(), held: false, kind }
    }

    fn service(id: &str) -> Service {
        Service {
            id: id.into(),
            name: "web".into(),
            address: "192.0.2.1".into(),
            port: 80,
            protocol: Protocol::Tcp,
            tags: Vec::new(),
            meta: Default::default(),
            checks: Vec::new(),
            weights: None,
            enable_tag_override: false,
            tagged_addresses: Default::default(),
            origin: None,
            further: Further::default(),
            attributes: Default::default(),
        }
    }

    fn register(reason: Reason) -> WriteKind {
        let (body, service) = (serde_json::Value::Null, Box::new(service("any")));
        WriteKind::Register { reason, changes: Vec::new(), body, dropped: Vec::new(), service }
    }

    fn veto(id: &str, stage: &str) -> Veto {
        Veto { stage: stage.into(), service: service(id), reason: "no owner".into() }
    }

    fn container(writes: Vec<ForecastWrite>, vetoed: Vec<Veto>) -> ForecastContainer {
        let container = Brief { id: "1".into(), name: "web".into(), image: String::new() };
        let outcome = Some(Outcome { vetoed, ..Outcome::default() });
        ForecastContainer { container, writes, outcome, ..ForecastContainer::default() }
    }

    fn forecast(one: ForecastContainer) -> Forecast {
        Forecast { containers: vec![one], ..Forecast::default() }
    }

    #[test]
    fn what_another_pipeline_changes_is_counted_and_nothing_else() {
        let gone = ForecastWrite { held: true, ..write("gone", WriteKind::Deregister) };
        // It was done although more is held.
        let more = write("more", WriteKind::Deregister);
        let held =
            ForecastContainer { held: true, ..container(vec![gone, more], vec![veto("old", "a")]) };
        let now = vec![
            write("new", register(Reason::New)),
            write("other", register(Reason::Changed(vec!["tags"]))),
            write("kept", register(Reason::Retiring)),
            write("gone", WriteKind::Deregister),
            write("more", WriteKind::Deregister),
            write("new", WriteKind::Maintenance { enable: true }),
        ];
        let after = ForecastContainer {
            failure: Some("a stage fails".into()),
            ..container(now, vec![veto("old", "b"), veto("web", "a")])
        };
        let beyond = Beyond::of(&forecast(held), &forecast(after));
        let counts = (beyond.registered, beyond.changed, beyond.deregistered, beyond.failing);
        assert_eq!((beyond.containers, counts), (1, (1, 1, 1, 1)));
        assert_eq!(beyond.vetoed, [("a".to_string(), 1)].into());
        let ids: Vec<_> = beyond.services.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["new", "other", "more", "web"]);
        assert!(beyond.services.iter().all(|one| one.container == "web"));
    }

    #[test]
    fn of_very_many_the_rest_is_counted() {
        let many = (0..MOST + 3).map(|n| write(&n.to_string(), WriteKind::Deregister)).collect();
        let beyond = Beyond::of(&Forecast::default(), &forecast(container(many, Vec::new())));
        assert_eq!((beyond.deregistered, beyond.services.len(), beyond.more), (MOST + 3, MOST, 3));
        let text = serde_json::to_string(&beyond).expect("JSON");
        assert_eq!(serde_json::from_str::<Beyond>(&text).expect("the same"), beyond);
    }
}
