//! The jobs of the loop, how they fail, and when they are tried again.

use std::time::Duration;

use backon::ExponentialBuilder;

use super::state::reports::log;
use crate::{
    docker::SourceError, model::container::ContainerId, pipeline::PipelineError,
    registry::RegistryError,
};

/// A job, with the container that it concerns, if any: equal jobs are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Job {
    /// Read what is registered and which containers run, and look at all.
    Sync,
    /// See whether the registry still has what it was told.
    Watch,
    /// See whether other daemons' services have come or gone.
    Neighbours,
    /// See whether those containers run that are known to.
    Compare,
    /// Look at one container.
    Reconcile(ContainerId),
    /// Report to the TTL checks of a container's services.
    Heartbeat(ContainerId),
    /// Remove what is left of containers that are gone.
    CleanUp,
}

impl Job {
    /// The container that it is about, if it is about one.
    pub(super) fn container(&self) -> Option<&ContainerId> {
        match self {
            Self::Reconcile(id) | Self::Heartbeat(id) => Some(id),
            Self::Sync | Self::Watch | Self::Neighbours | Self::Compare | Self::CleanUp => None,
        }
    }
}

/// The jobs that follow from a job, and how soon each is due.
pub(super) type Next = Vec<(Job, Duration)>;

/// Looks at these containers, at once.
pub(super) fn looks(containers: impl IntoIterator<Item = ContainerId>) -> Next {
    containers.into_iter().map(|id| (Job::Reconcile(id), Duration::ZERO)).collect()
}

/// Why a container could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub(super) enum JobError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Pipeline(#[from] Box<PipelineError>),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("the registry refused the service {0} a short while ago")]
    Refused(String),
    #[error("{id} stays until {successor} is registered, which takes its place")]
    Awaits { id: String, successor: String },
    #[error("{0} waits for the bulk guard, for the sake of another container")]
    Reserved(String),
    #[error("the work on it panicked, which is a fault of this program")]
    Panicked(#[source] tokio::task::JoinError),
}

impl JobError {
    /// Whether trying again soon may help without anyone doing anything.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Source(SourceError::Docker { .. } | SourceError::Silent { .. }) => true,
            Self::Registry(error) => error.is_transient(),
            Self::Source(
                SourceError::Inspect(..) | SourceError::TooLarge { .. } | SourceError::Event(_),
            )
            | Self::Pipeline(_)
            | Self::Refused(_)
            | Self::Awaits { .. }
            | Self::Reserved(_)
            | Self::Panicked(_) => false,
        }
    }

    /// The name of the container that it is about, if it is known from this.
    pub(super) fn container_name(&self) -> Option<&str> {
        match self {
            Self::Pipeline(error) => Some(&error.name),
            _ => None,
        }
    }

    /// Write what the stages said up to the failure to the log.
    pub(super) fn log_messages(&self) {
        if let Self::Pipeline(error) = self {
            for (stage, message) in error.messages() {
                log(&error.container, &error.name, stage, message);
            }
        }
    }

    /// Whether the look ended before it was known what the container offers.
    pub(super) fn is_blind(&self) -> bool {
        matches!(self, Self::Source(_) | Self::Pipeline(_) | Self::Panicked(_))
    }
}

/// The longest pause before what may succeed by itself is tried again, without the
/// jitter, which at most doubles it.
pub(super) const FAST_CAP: Duration = Duration::from_millis(500);

/// Pauses before what may succeed by itself is tried again.
pub(super) fn fast() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(FAST_CAP)
        .without_max_times()
        .with_jitter()
}

/// Pauses before what somebody must mend is tried again.
pub(super) fn slow() -> ExponentialBuilder {
    fast().with_min_delay(Duration::from_secs(1)).with_max_delay(Duration::from_secs(30))
}

/// Pauses before what registrator would not try again, but for a resync.
pub(super) fn slowest() -> ExponentialBuilder {
    fast().with_min_delay(Duration::from_secs(30)).with_max_delay(Duration::from_secs(300))
}
