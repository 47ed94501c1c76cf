//! The document in Consul's KV that tells all hosts of a policy and of its rollout, and what a
//! host makes of it. Values without I/O, and without a clock: who asks says what time it is.
//!
//! Nobody leads a rollout. Each host decides for itself, by the document and by what it sees of
//! the others, whether it is its turn; so it takes no more than the operator's word to begin
//! one, and no host's word to stop it.
//!
//! A writer of the key can ask for a bundle, and no more: the bundle still has to be signed and to be
//! one that may follow the host's own.

pub mod operate;
pub mod progress;

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    Digest,
    halt::{Figures, HaltWhen},
    wave::Waves,
};
use operate::Deed;

/// The form of the document that this program reads and writes.
pub const VERSION: u32 = 1;
/// The longest document in bytes: a key's value has at most 512 kB in Consul.
const MAX_LENGTH: usize = 64 << 10;

/// The content of the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Document {
    /// The form: [`VERSION`].
    pub version: u32,
    /// The bundle that every host is to have.
    pub bundle: Named,
    /// The one before it, for hosts whose turn has not come and for the way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Named>,
    /// The way by which the hosts come to have it.
    pub rollout: Rollout,
}

/// A bundle, and where it can be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its digest; a bundle of another digest is not it, wherever it comes from.
    pub digest: Digest,
    /// Where it can be fetched: `oci://…`, `file:///…` or `consul-kv://…`.
    pub from: String,
}

/// The way by which the hosts come to have a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rollout {
    /// Tells this rollout from another one of the same bundle.
    pub id: String,
    /// The waves.
    pub waves: Waves,
    /// The time between the end of a wave and the beginning of the next.
    #[serde(with = "humantime_serde")]
    pub pause: Duration,
    /// When it stops by itself.
    pub halt_when: HaltWhen,
    /// Whether stages are monitored only, as a first pass.
    #[serde(default)]
    pub monitor: bool,
    /// The state that the operator wants it in.
    pub state: State,
    /// The waves up to this one, counted from 0, begin without waiting for those before them, by
    /// the operator's word.
    #[serde(default)]
    pub wave: usize,
    /// When it was started, for people: RFC 3339.
    pub started: String,
    /// By whom, for people.
    pub by: String,
    /// The last deed to it, since it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Deed>,
}

/// The state that the operator wants a rollout in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It goes on.
    Running,
    /// No further host takes the bundle.
    Halted,
    /// Every host goes back to the bundle before.
    Aborted,
}

impl fmt::Display for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Running => "running",
            Self::Halted => "halted",
            Self::Aborted => "aborted",
        })
    }
}

/// The reason why a document cannot be used. The bundle in force stays so.
#[derive(Debug, thiserror::Error)]
pub enum BadDocument {
    /// It is too long to be one.
    #[error("it has {0} bytes; a rollout's document has at most {MAX_LENGTH}")]
    Long(usize),
    /// It is of a later form.
    #[error("it is of version {0}; this program knows {VERSION}")]
    Version(u64),
    /// It is not what it has to be.
    #[error("it is no rollout's document")]
    Form(#[source] serde_json::Error),
    /// A value makes no sense.
    #[error("{0}")]
    Value(&'static str),
}

impl Document {
    /// Read what a key holds.
    ///
    /// # Errors
    ///
    /// See [`BadDocument`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadDocument> {
        #[derive(Deserialize)]
        struct Form {
            version: u64,
        }
        if bytes.len() > MAX_LENGTH {
            return Err(BadDocument::Long(bytes.len()));
        }
        // A later form may have other fields, so its number is looked at first.
        let form: Form = serde_json::from_slice(bytes).map_err(BadDocument::Form)?;
        if form.version != u64::from(VERSION) {
            return Err(BadDocument::Version(form.version));
        }
        let document: Self = serde_json::from_slice(bytes).map_err(BadDocument::Form)?;
        if document.rollout.id.is_empty() {
            return Err(BadDocument::Value("rollout.id: it is empty"));
        }
        if document.before.as_ref().is_some_and(|before| before.digest == document.bundle.digest) {
            return Err(BadDocument::Value("before: it is the bundle itself"));
        }
        Ok(document)
    }
}

/// The facts that are seen of a host of the fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Member {
    /// The bundle that it has in force.
    pub bundle: Option<Digest>,
    /// The one that it has refused, as long as it is still asked for.
    pub refused: Option<Digest>,
    /// The number of changes that its guard holds.
    pub held: u32,
    /// Whether a stage is unhealthy there.
    pub unhealthy: bool,
    /// Whether Consul has not heard of it in time.
    pub lost: bool,
}

/// The hosts of a fleet by their names.
pub type Fleet = BTreeMap<String, Member>;

/// The fleet in numbers, of a bundle's rollout.
#[must_use]
pub fn figures(fleet: &Fleet, bundle: &Digest) -> Figures {
    let count = |of: &dyn Fn(&&Member) -> bool| {
        u32::try_from(fleet.values().filter(of).count()).unwrap_or(u32::MAX)
    };
    Figures {
        hosts: u32::try_from(fleet.len()).unwrap_or(u32::MAX),
        done: count(&|member| member.bundle == Some(*bundle)),
        refused: count(&|member| member.refused == Some(*bundle)),
        held: fleet.values().fold(0, |sum, member| sum.saturating_add(member.held)),
        unhealthy: count(&|member| member.unhealthy),
        lost: count(&|member| member.lost),
    }
}

/// A host's turn by a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Have the bundle.
    Take,
    /// Have the bundle before. The one in force stays so if that may not follow it.
    Before,
    /// Leave the bundle in force, for this reason.
    Stay(Waits),
}

/// The reason why it is not a host's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Waits {
    /// An earlier wave is not done.
    #[error("wave {0} is not done")]
    Wave(usize),
    /// It is, and the pause is not over.
    #[error("the pause before wave {0} is not over")]
    Pause(usize),
    /// The fleet fulfils the expression.
    #[error("the rollout has stopped by itself: the fleet fulfils halt-when")]
    HaltWhen,
    /// The operator has halted it.
    #[error("the rollout is halted")]
    Halted,
    /// It is aborted, and there was no bundle before.
    #[error("the rollout is aborted, and there is no bundle before it")]
    NoneBefore,
}

/// One host's memory of a rollout: since when, by its own clock, it has seen the waves before
/// its own done. No host's idea of the date matters.
#[derive(Debug, Clone, Default)]
pub struct Observer {
    rollout: Option<String>,
    done_since: Option<Instant>,
}

impl Observer {
    /// This host's turn. `in_force` is its own bundle, and `fleet` all hosts by Consul, which must
    /// have been read whole.
    pub fn turn(
        &mut self,
        document: &Document,
        host: &str,
        in_force: Option<&Digest>,
        fleet: &Fleet,
        now: Instant,
    ) -> Turn {
        let rollout = &document.rollout;
        if self.rollout.as_ref() != Some(&rollout.id) {
            *self = Self { rollout: Some(rollout.id.clone()), done_since: None };
        }
        match rollout.state {
            State::Aborted if document.before.is_none() => return Turn::Stay(Waits::NoneBefore),
            State::Aborted => return Turn::Before,
            State::Running | State::Halted => {}
        }
        if in_force == Some(&document.bundle.digest) {
            return Turn::Take;
        }
        let waits = self.waits(document, host, fleet, now);
        match waits {
            None => Turn::Take,
            // One that comes new to the fleet has the policy that the others had, if it can.
            Some(_) if in_force.is_none() && document.before.is_some() => Turn::Before,
            Some(waits) => Turn::Stay(waits),
        }
    }

    fn waits(
        &mut self,
        document: &Document,
        host: &str,
        fleet: &Fleet,
        now: Instant,
    ) -> Option<Waits> {
        let (rollout, bundle) = (&document.rollout, &document.bundle.digest);
        let stopped = match rollout.state {
            State::Running if !rollout.halt_when.halts(figures(fleet, bundle)) => None,
            State::Running => Some(Waits::HaltWhen),
            State::Halted | State::Aborted => Some(Waits::Halted),
        };
        if stopped.is_some() {
            // Once it goes on the pause is a whole one again.
            self.done_since = None;
            return stopped;
        }
        let names = fleet.keys().map(String::as_str);
        let waves = rollout.waves.of_all(names.chain([host]));
        let own = waves.get(host).copied().unwrap_or_default();
        if own <= rollout.wave {
            return None;
        }
        // A lost one may have been lost by this very bundle, so it is waited for as long as
        // Consul lists it.
        let waiting = fleet.iter().filter(|(_, member)| {
            member.bundle != Some(*bundle) && member.refused != Some(*bundle) || member.lost
        });
        let undone = waiting.filter_map(|(name, _)| waves.get(name.as_str()).copied()).min();
        if let Some(wave) = undone.filter(|wave| *wave < own) {
            self.done_since = None;
            return Some(Waits::Wave(wave));
        }
        let since = *self.done_since.get_or_insert(now);
        (now.saturating_duration_since(since) < rollout.pause).then_some(Waits::Pause(own))
    }
}

#[cfg(test)]
mod tests;
