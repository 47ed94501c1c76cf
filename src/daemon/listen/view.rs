//! A copy of the loop's state, which all who ask within a moment share, so that the loop is asked
//! seldom, however many ask.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::body::Bytes;
use serde_json::json;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::shape::printed;
use crate::{
    daemon::control::{Facts, Status},
    reconcile::{Handle, Seen},
};

/// The longest time for which a copy is shown.
const FRESH: Duration = Duration::from_millis(200);
/// The time in which a loop that works answers.
const ANSWERS: Duration = Duration::from_secs(3);

/// The loop's knowledge at one moment.
pub(super) struct Shot {
    at: Instant,
    pub(super) seen: Seen,
    status: OnceLock<Bytes>,
    containers: OnceLock<Bytes>,
}

/// The loop did not answer in time, or has ended.
#[derive(Debug, thiserror::Error)]
#[error("the loop does not answer")]
pub(super) struct Silent;

/// The last copy, and where the next one comes from.
pub(super) struct View {
    handle: Handle,
    last: Mutex<Option<Arc<Shot>>>,
}

impl View {
    pub(super) fn of(handle: Handle) -> Self {
        Self { handle, last: Mutex::default() }
    }

    /// A copy that is new enough. Those who ask while it is made wait for the same one.
    pub(super) async fn shot(&self) -> Result<Arc<Shot>, Silent> {
        let asked = async {
            let mut last = self.last.lock().await;
            if let Some(shot) = last.as_ref().filter(|shot| shot.at.elapsed() < FRESH) {
                return Ok(shot.clone());
            }
            let seen = self.handle.seen().await.map_err(|_| Silent)?;
            let (status, containers) = (OnceLock::new(), OnceLock::new());
            let shot = Arc::new(Shot { at: Instant::now(), seen, status, containers });
            *last = Some(shot.clone());
            Ok(shot)
        };
        timeout(ANSWERS, asked).await.unwrap_or(Err(Silent))
    }
}

impl Shot {
    /// The status, as `wharfinger status --json` prints it.
    pub(super) fn status(&self, facts: &Facts) -> Bytes {
        let status = || printed(&Status::of(&self.seen, facts));
        self.status.get_or_init(status).clone()
    }

    /// The containers, and the outcome of each.
    pub(super) fn containers(&self, host: &str) -> Bytes {
        let rows = || {
            let rows: Vec<_> = self.seen.containers.iter().map(|row| &**row).collect();
            let revision = self.seen.revision;
            printed(&json!({ "host": host, "revision": revision, "containers": rows }))
        };
        self.containers.get_or_init(rows).clone()
    }

    /// Why not every container was looked at yet; none if it was.
    pub(super) fn not_ready(&self) -> Option<String> {
        let Seen { overview, load, held, .. } = &self.seen;
        let why = overview.not_ready()?;
        let held = if held.is_some() { "; the bulk guard holds a change" } else { "" };
        let (jobs, failing) = (load.due + load.running, load.failing);
        Some(format!("{why} ({jobs} jobs to do, {failing} failing{held})"))
    }
}
