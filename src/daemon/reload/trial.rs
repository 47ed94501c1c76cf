//! The effects another pipeline would have on this host, and whether it is as good as the one in force.

use std::collections::BTreeSet;

use tracing::warn;

use crate::{
    error::error_chain,
    pipeline::Pipeline,
    reconcile::{Beyond, Forecast, ForecastError, Handle, Held},
    telemetry::event,
};

/// Why a pipeline is not known to be as good as the one in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum Untried {
    /// It is worse.
    #[error("{0}")]
    Worse(String),
    /// It could not be told.
    #[error("it could not be foretold what it does: {0}")]
    Unforeseen(String),
}

/// The forecasts of the pipeline in force and of another one.
pub(super) struct Trial {
    before: Forecast,
    after: Forecast,
}

impl Trial {
    /// The trial of a pipeline. For the guard each service that a policy takes out counts: many small
    /// hosts take the same one.
    pub(super) async fn of(
        handle: &Handle,
        pipeline: &Pipeline,
        policy: bool,
    ) -> Result<Self, Untried> {
        let stopped = |_| Untried::Unforeseen("the daemon is stopping".into());
        let rehearsal = handle.rehearsal().await.map_err(stopped)?;
        if policy {
            rehearsal.guard_each();
        }
        let foreseen = async {
            let before = rehearsal.forecast().await?;
            rehearsal.replace_pipeline(pipeline.clone());
            Ok(Self { before, after: rehearsal.forecast().await? })
        };
        foreseen.await.map_err(|error: ForecastError| {
            let reason = error_chain(&error);
            if !policy {
                let reason = reason.clone();
                let words = "the new pipeline could not be tried out";
                warn!(event = event::NOT_TRIED_OUT, reason, "{words}");
            }
            Untried::Unforeseen(reason)
        })
    }

    /// The changes by the pipeline beyond the one in force.
    pub(super) fn beyond(&self) -> Beyond {
        Beyond::of(&self.before, &self.after)
    }

    /// The services that the guard would hold because of it.
    pub(super) fn held(&self) -> Option<&Held> {
        self.after.held.as_ref().filter(|_| self.after.held != self.before.held)
    }

    /// Whether the containers of this host can be judged by the pipeline as well as by the one in
    /// force; it may fail on so many of a hundred. And a policy is not taken if the guard would hold
    /// what it takes out.
    pub(super) fn judged(&self, policy: bool, failing: u8) -> Result<(), Untried> {
        if let Some(held) = self.held().filter(|_| policy) {
            return Err(Untried::Worse(format!(
                "the bulk guard would hold it: {held} (guard.share)"
            )));
        }
        let failed = self.before.containers.iter().filter(|one| one.failure.is_some());
        let failed: BTreeSet<_> = failed.map(|one| &one.container.id).collect();
        let with_services = self.after.containers.iter().filter(|one| one.has_services()).count();
        let newly: Vec<_> = self
            .after
            .containers
            .iter()
            .filter(|one| one.has_services() && !failed.contains(&one.container.id))
            .filter_map(|one| Some((&one.container.name, one.failure.as_ref()?)))
            .collect();
        let Some((name, why)) = newly.first() else { return Ok(()) };
        if newly.len() * 100 <= with_services * usize::from(failing) {
            return Ok(());
        }
        let names: Vec<_> = newly.iter().take(10).map(|(name, _)| name.as_str()).collect();
        let more = newly.len().saturating_sub(names.len());
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        Err(Untried::Worse(format!(
            "the new pipeline fails on {} of {with_services} containers with services on which the one \
             in force does not ({}{more}; guard.failing): {name}: {why}",
            newly.len(),
            names.join(", ")
        )))
    }
}
