//! The loop's condition, in a few figures.

use std::{
    collections::{BTreeMap, HashMap},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use crate::model::container::ContainerId;

/// The outcome for a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Became {
    /// All that it offers is registered.
    Registered,
    /// It offers nothing: no port of it can be reached, or it says so itself.
    Ignored,
    /// A stage vetoed all that it offers.
    Vetoed,
    /// `containers.select` leaves it out.
    Unselected,
    /// It could not be judged, or something was not written; it keeps what it has.
    Failed,
    /// The bulk guard holds its change.
    Held,
    /// It does not run.
    Ended,
}

impl Became {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Registered,
        Self::Ignored,
        Self::Vetoed,
        Self::Unselected,
        Self::Failed,
        Self::Held,
        Self::Ended,
    ];

    /// The word for it, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Ignored => "ignored",
            Self::Vetoed => "vetoed",
            Self::Unselected => "unselected",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Ended => "ended",
        }
    }
}

/// A connection, and since when it is like that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Whether the other end answers.
    pub up: bool,
    /// Since when.
    #[serde(with = "humantime_serde")]
    pub since: SystemTime,
    /// The last error; none if the other end answers.
    pub error: Option<String>,
}

/// Something that somebody should mend, though all goes on as before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Since when.
    #[serde(with = "humantime_serde")]
    pub since: SystemTime,
    /// Its description, for people.
    pub words: String,
}

/// The kind of a trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TroubleKind {
    /// The configuration file was not taken over, so that the next start would differ or fail.
    Reload,
    /// The policy was not taken over, or its source does not answer.
    Policy,
    /// Something has changed in the configuration file that takes effect with the next start.
    Restart,
}

/// The loop's condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// Since when it runs.
    #[serde(with = "humantime_serde::option")]
    pub started: Option<SystemTime>,
    /// When every container had been looked at and nothing was left to do, the last time.
    #[serde(with = "humantime_serde::option")]
    pub full_cycle: Option<SystemTime>,
    /// The connection to the container engine; none before it was asked.
    pub docker: Option<Connection>,
    /// The connection to the registry; none before it was asked.
    pub registry: Option<Connection>,
    /// The number of services of this host that are registered.
    pub services: usize,
    /// The number of containers by outcome.
    pub containers: BTreeMap<Became, usize>,
    /// The troubles that somebody should mend, by kind.
    pub troubles: BTreeMap<TroubleKind, Trouble>,
}

impl Overview {
    /// Why not every container was looked at yet; none if it was. A later loss shows in the
    /// connections: the daemon then keeps what there is.
    pub fn not_ready(&self) -> Option<String> {
        if self.full_cycle.is_some() {
            return None;
        }
        let peers = [("the container engine", &self.docker), ("the registry", &self.registry)];
        let silent = peers.iter().find_map(|(peer, known)| {
            let known = known.as_ref().filter(|known| !known.up)?;
            let error = known.error.as_deref().unwrap_or("no word of why");
            Some(format!("{peer} does not answer: {error}"))
        });
        let unread = self.docker.is_none() || self.registry.is_none();
        let failed = self.containers.get(&Became::Failed).copied().unwrap_or_default();
        Some(silent.unwrap_or_else(|| match (unread, failed) {
            (true, _) => "what runs and what is registered was not read yet".into(),
            (false, 0) => "not every container was looked at yet".into(),
            (false, failed) => format!("{failed} containers could not be judged or written yet"),
        }))
    }
}

/// The figures that the overview is made of.
#[derive(Debug, Clone, Default)]
pub(in crate::reconcile) struct Figures {
    started: Option<SystemTime>,
    full_cycle: Option<SystemTime>,
    docker: Option<Connection>,
    registry: Option<Connection>,
    became: HashMap<ContainerId, Became>,
    troubles: BTreeMap<TroubleKind, Trouble>,
}

impl Figures {
    /// The loop begins to run.
    pub(in crate::reconcile) fn note_start(&mut self, now: SystemTime) {
        self.started = Some(now);
    }

    /// Everything was looked at.
    pub(in crate::reconcile) fn note_full_cycle(&mut self, now: SystemTime) {
        self.full_cycle = Some(now);
    }

    /// The container engine has answered, or has not for this reason.
    pub(in crate::reconcile) fn note_docker(&mut self, error: Option<String>, now: SystemTime) {
        note(&mut self.docker, error, now);
    }

    /// The registry has answered, or has not for this reason.
    pub(in crate::reconcile) fn note_registry(&mut self, error: Option<String>, now: SystemTime) {
        note(&mut self.registry, error, now);
    }

    /// Note a container's outcome; with none it is gone.
    pub(in crate::reconcile) fn note(&mut self, id: &ContainerId, became: Option<Became>) {
        match became {
            Some(became) => drop(self.became.insert(id.clone(), became)),
            None => drop(self.became.remove(id)),
        }
    }

    /// There is this trouble, or none any more. Whether there was another one of its kind, or one
    /// where none is now.
    pub(in crate::reconcile) fn note_trouble(
        &mut self,
        kind: TroubleKind,
        words: Option<String>,
        now: SystemTime,
    ) -> bool {
        let before = self.troubles.remove(&kind);
        let changed = before.as_ref().map(|trouble| &trouble.words) != words.as_ref();
        if let Some(words) = words {
            let since = before.map_or(now, |trouble| trouble.since);
            self.troubles.insert(kind, Trouble { since, words });
        }
        changed
    }

    /// The figures, of a host with so many services.
    pub(super) fn overview(&self, services: usize) -> Overview {
        let mut containers = BTreeMap::new();
        for became in self.became.values() {
            *containers.entry(*became).or_default() += 1;
        }
        Overview {
            started: self.started,
            full_cycle: self.full_cycle,
            docker: self.docker.clone(),
            registry: self.registry.clone(),
            services,
            containers,
            troubles: self.troubles.clone(),
        }
    }
}

/// The time of a change of state stays for as long as the state does.
fn note(connection: &mut Option<Connection>, error: Option<String>, now: SystemTime) {
    let up = error.is_none();
    match connection {
        Some(connection) if connection.up == up => connection.error = error,
        _ => *connection = Some(Connection { up, since: now, error }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_connection_says_since_when_it_is_like_that() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let mut figures = Figures::default();
        figures.note_registry(None, at(1));
        figures.note_registry(None, at(2));
        let registry = |figures: &Figures| {
            let connection = figures.registry.clone().expect("it was asked");
            (connection.up, connection.since, connection.error)
        };
        assert_eq!(registry(&figures), (true, at(1), None));
        figures.note_registry(Some("no answer".into()), at(3));
        figures.note_registry(Some("no leader".into()), at(4));
        assert_eq!(registry(&figures), (false, at(3), Some("no leader".into())));
        figures.note_registry(None, at(5));
        assert_eq!(registry(&figures), (true, at(5), None));
    }

    #[test]
    fn containers_are_counted_by_what_became_of_them_last() {
        let id = |n: u8| ContainerId(n.to_string().into());
        let mut figures = Figures::default();
        for n in 0..4 {
            figures.note(&id(n), Some(Became::Registered));
        }
        figures.note(&id(0), Some(Became::Failed));
        figures.note(&id(1), None);
        let overview = figures.overview(7);
        let expected = [(Became::Registered, 2), (Became::Failed, 1)];
        assert_eq!((overview.services, overview.containers), (7, expected.into()));
    }
}
