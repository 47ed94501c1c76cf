//! The comparison of the containers that run with those known to: it finds a change of which no
//! event came, at the cost of one list.

use std::time::Duration;

use super::Shared;
use crate::reconcile::job::{Job, JobError, Next, looks};

impl Shared {
    /// Find the containers that have started or ended since they were looked at.
    pub(in crate::reconcile) async fn compare(&self) -> Result<Next, JobError> {
        let running = self.source.list().await?.into_iter().collect();
        let changed = self.state().life.differences(&running);
        // It may be another engine that has other containers.
        if !changed.is_empty() && self.identify().await? {
            return Ok(vec![(Job::Sync, Duration::ZERO)]);
        }
        Ok(looks(changed))
    }
}
