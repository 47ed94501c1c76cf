//! The log's words on jobs that fail and are tried again, and on those that then succeed.

use tracing::{info, warn};

use crate::{reconcile::job::Job, telemetry::event, text::counted};

/// Say that a job failed; the log counts what lasts.
pub(super) fn warn_of(job: &Job, name: Option<&str>, reason: &str) {
    match job {
        Job::Sync | Job::Compare | Job::CleanUp | Job::Neighbours => {
            warn!(event = event::SYNC_FAILING, reason, "cannot synchronise; trying again");
        }
        Job::Watch => warn!(
            event = event::REGISTRY_FAILING,
            reason,
            "the registry does not answer; nothing is lost, and all is done when it returns"
        ),
        Job::Heartbeat(id) => warn!(
            event = event::HEARTBEAT_FAILING,
            container.id = &*id.0,
            container.name = name,
            reason,
            "cannot report to TTL checks"
        ),
        Job::Reconcile(id) => warn!(
            event = event::CONTAINER_FAILING,
            container.id = &*id.0,
            container.name = name,
            reason,
            "cannot bring a container up to date; it keeps what it has; trying again"
        ),
    }
}

/// Say that what had failed so often has been done.
pub(super) fn say_recovered(job: &Job, name: Option<&str>, count: u64) {
    let attempts = counted(count as usize, "failed attempt", "failed attempts");
    match job {
        Job::Sync | Job::Compare | Job::CleanUp | Job::Neighbours => {
            info!(event = event::SYNC_RECOVERED, count, "synchronised after {attempts}");
        }
        Job::Watch => {
            info!(
                event = event::REGISTRY_RECOVERED,
                count, "the registry answers again after {attempts}"
            );
        }
        Job::Heartbeat(id) => info!(
            event = event::HEARTBEAT_RECOVERED,
            container.id = &*id.0,
            container.name = name,
            count,
            "reports to TTL checks again after {attempts}"
        ),
        Job::Reconcile(id) => info!(
            event = event::CONTAINER_RECOVERED,
            container.id = &*id.0,
            container.name = name,
            count,
            "up to date again after {attempts}: {}",
            id.short()
        ),
    }
}
