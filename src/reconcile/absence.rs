//! The reasons for which something is not registered.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::job::JobError;
use crate::{error::error_chain, registry::RegistryError};

/// Why something is not registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// The kind of reason.
    pub kind: AbsenceKind,
    /// The service that it is about; none if it is about all of the container.
    pub service: Option<String>,
    /// The reason, for people.
    pub words: String,
}

/// The kinds of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AbsenceKind {
    /// The container does not run.
    NotRunning,
    /// `containers.select` leaves it out.
    NotSelected,
    /// It has no port that can be reached.
    NotPublished,
    /// It shares the network of another container, and that is gone.
    OutOfReach,
    /// It says so itself, or does not name its services under `-explicit`.
    Ignored,
    /// A stage vetoed it.
    Vetoed,
    /// A stage failed, so that it keeps what it has.
    Failed,
    /// The bulk guard holds the change.
    Held,
    /// Its health check does not pass, and `lifecycle.healthcheck` is a gate.
    Unhealthy,
    /// It is being stopped.
    Ending,
    /// The ID is somebody else's, or is to be given up first by somebody else.
    Taken,
    /// Consul's ACL forbids it.
    Forbidden,
    /// Consul refuses it for what it is.
    Refused,
    /// Consul does not answer.
    Unreachable,
    /// The container cannot be read.
    Unreadable,
    /// The registered service is not this host's.
    Foreign,
    /// The registered service is this host's, but its container is gone.
    Gone,
}

impl fmt::Display for AbsenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRunning => "not running",
            Self::NotSelected => "not selected",
            Self::NotPublished => "not published",
            Self::OutOfReach => "out of reach",
            Self::Ignored => "ignored",
            Self::Vetoed => "vetoed",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Unhealthy => "unhealthy",
            Self::Ending => "ending",
            Self::Taken => "taken",
            Self::Forbidden => "forbidden",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Unreadable => "unreadable",
            Self::Foreign => "not this host's",
            Self::Gone => "gone",
        })
    }
}

/// Why looking at a container failed.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) kind: AbsenceKind,
    pub(super) words: String,
    pub(super) attempts: u64,
}

impl Fault {
    pub(super) fn of(error: &JobError, attempts: u64) -> Self {
        let kind = match error {
            JobError::Registry(RegistryError::Forbidden { .. }) => AbsenceKind::Forbidden,
            JobError::Registry(error) if error.is_transient() => AbsenceKind::Unreachable,
            JobError::Registry(_) | JobError::Refused(_) => AbsenceKind::Refused,
            JobError::Source(_) => AbsenceKind::Unreadable,
            JobError::Awaits { .. } => AbsenceKind::Taken,
            JobError::Reserved(_) => AbsenceKind::Held,
            JobError::Pipeline(_) | JobError::Panicked(_) => AbsenceKind::Failed,
        };
        Self { kind, words: error_chain(error), attempts }
    }
}
