//! The progress of a rollout, wave by wave. A value without I/O.

use serde::Serialize;

use super::{Document, Fleet, State, figures};
use crate::policy::halt::Figures;

/// A host's standing towards a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stand {
    /// It has the bundle in force.
    Done,
    /// It has refused it.
    Refused,
    /// Consul has not heard of it in time.
    Lost,
    /// Neither.
    Waiting,
}

/// A wave, in numbers of hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct WaveProgress {
    /// Its number, counted from 0.
    pub wave: usize,
    /// Its hosts.
    pub hosts: usize,
    /// Those that have the bundle.
    pub done: usize,
    /// Those that have refused it.
    pub refused: usize,
    /// Those that are lost.
    pub lost: usize,
}

/// The progress of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Progress {
    /// The fleet in numbers.
    pub figures: Figures,
    /// Whether the fleet fulfils `halt-when`, so that no further host takes the bundle.
    pub halts: bool,
    /// The waves in their order.
    pub waves: Vec<WaveProgress>,
    /// Each host with its wave.
    #[serde(skip)]
    pub hosts: Vec<(String, usize, Stand)>,
}

impl Progress {
    /// The progress of this rollout in this fleet.
    #[must_use]
    pub fn of(document: &Document, fleet: &Fleet) -> Self {
        let (rollout, bundle) = (&document.rollout, document.bundle.digest);
        let all = rollout.waves.of_all(fleet.keys().map(String::as_str));
        let mut waves: Vec<_> = (0..rollout.waves.count())
            .map(|wave| WaveProgress { wave, ..WaveProgress::default() })
            .collect();
        let mut hosts = Vec::new();
        for (host, member) in fleet {
            let stand = match member {
                one if one.lost => Stand::Lost,
                one if one.refused == Some(bundle) => Stand::Refused,
                one if one.bundle == Some(bundle) => Stand::Done,
                _ => Stand::Waiting,
            };
            let wave = all.get(host.as_str()).copied().unwrap_or_default();
            hosts.push((host.clone(), wave, stand));
            let Some(progress) = waves.get_mut(wave) else { continue };
            progress.hosts += 1;
            match stand {
                Stand::Done => progress.done += 1,
                Stand::Refused => progress.refused += 1,
                Stand::Lost => progress.lost += 1,
                Stand::Waiting => {}
            }
        }
        let figures = figures(fleet, &bundle);
        Self { figures, halts: rollout.halt_when.halts(figures), waves, hosts }
    }

    /// Whether somebody should look at it: hosts refuse, hold or are lost, or the rollout does not
    /// go on.
    #[must_use]
    pub fn wants_a_look(&self, document: &Document) -> bool {
        let Figures { refused, held, lost, .. } = self.figures;
        refused + lost > 0 || held > 0 || self.halts || document.rollout.state != State::Running
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Digest, rollout::Member};

    fn document() -> Document {
        let text = serde_json::json!({
            "version": 1,
            "bundle": {"digest": Digest::of(b"new"), "from": "oci://registry/policy"},
            "rollout": {
                "id": "a", "waves": "1,100%", "pause": "10m", "halt-when": "refused > 1",
                "state": "running", "started": "2026-01-01T00:00:00Z", "by": "ann",
            },
        });
        Document::parse(text.to_string().as_bytes()).expect("a document")
    }

    #[test]
    fn hosts_are_counted_in_their_waves() {
        let (new, old) = (Some(Digest::of(b"new")), Some(Digest::of(b"old")));
        let member = |bundle, refused, lost| Member { bundle, refused, lost, ..Member::default() };
        let fleet: Fleet = [
            ("a", member(new, None, false)),
            ("b", member(old, new, false)),
            ("c", member(new, None, true)),
            ("d", member(old, None, false)),
        ]
        .map(|(host, member)| (host.to_string(), member))
        .into();
        let document = document();
        let progress = Progress::of(&document, &fleet);
        let sum = |of: fn(&WaveProgress) -> usize| progress.waves.iter().map(of).sum::<usize>();
        assert_eq!(progress.waves.len(), 2);
        assert_eq!(progress.waves[0].hosts, 1);
        let sums = (sum(|w| w.hosts), sum(|w| w.done), sum(|w| w.refused), sum(|w| w.lost));
        assert_eq!(sums, (4, 1, 1, 1));
        let stands: Vec<_> = progress.hosts.iter().map(|(_, _, stand)| *stand).collect();
        assert_eq!(stands, [Stand::Done, Stand::Refused, Stand::Lost, Stand::Waiting]);
        assert!(progress.wants_a_look(&document) && !progress.halts);
        let well: Fleet = [("a".to_string(), member(new, None, false))].into();
        assert!(!Progress::of(&document, &well).wants_a_look(&document));
        let mut halted = document.clone();
        halted.rollout.state = State::Halted;
        assert!(Progress::of(&halted, &well).wants_a_look(&halted));
    }
}
