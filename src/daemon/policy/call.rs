//! The calls that wake a waiting follower: SIGHUP, and a changed file with other means to the policy.

use tracing::info;

use super::Follower;
use crate::{policy::standing::Standing, telemetry::event};

/// A call that wakes a waiting follower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// To look now.
    Look,
    /// To look elsewhere, or by other means.
    Move,
}

impl Follower {
    /// Somebody has sent SIGHUP, so that the source is looked at now and what was refused is tried
    /// again; or the policy is come by otherwise from now on. Nothing else ends what is under way,
    /// so that it is always known what came of it.
    pub(super) async fn called(&mut self) -> Call {
        let Self { changes, hangup, .. } = self;
        let hung_up = async {
            if let Some(hangup) = hangup
                && hangup.recv().await.is_some()
            {
                return;
            }
            std::future::pending().await
        };
        let changed = async {
            if changes.changed().await.is_err() {
                std::future::pending().await
            }
        };
        tokio::select! {
            biased;
            () = changed => return Call::Move,
            () = hung_up => {}
        }
        self.again = None;
        let place = self.means.source.to_string();
        info!(event = event::POLICY_ASKED, place, "SIGHUP: the policy's source is looked at");
        Call::Look
    }

    /// Fetch the policy by the means of now. The bundle in force stays so until there is another one;
    /// the old source's state counts no more.
    pub(super) async fn moves(&mut self) {
        self.means = self.changes.borrow_and_update().clone();
        (self.again, self.tried) = (None, None);
        let place = self.means.source.to_string();
        info!(
            event = event::POLICY_MOVED,
            place = place.as_str(),
            "the policy is taken from {place} from now on"
        );
        self.change(|standing| {
            let in_force = standing.in_force.take();
            *standing = Standing { in_force, source: Some(place), ..Standing::default() };
        })
        .await;
    }
}
