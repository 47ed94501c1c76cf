//! A policy in a file, or in a registry that is asked now and then.

use std::path::Path;

use tokio::time::{MissedTickBehavior, interval};

use super::{Call, Follower, one_line};
use crate::{
    daemon::reload::Watched,
    files,
    policy::{
        Bundle, Digest,
        source::{self, SourceError},
        succession::Way,
    },
};

/// The most that a file may have of which a digest is made to name it.
const NAMED: u64 = 64 << 20;

impl Follower {
    /// Look at a file again and again.
    pub(super) async fn follow_file(&mut self, path: &Path) {
        let mut clock = interval(self.means.poll);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watched: Option<Watched> = None;
        loop {
            tokio::select! {
                _ = clock.tick() => {}
                call = self.called() => match call {
                    Call::Look => watched = None,
                    Call::Move => return,
                },
            }
            let changed = watched.as_ref().is_none_or(Watched::has_changed);
            if !changed && !self.is_due() {
                continue;
            }
            // As it is before it is read, so that what changes meanwhile is seen.
            let mut now = Watched::default();
            now.add(path);
            watched = Some(now);
            let read = source::file(path.into()).await;
            if changed
                && let Ok(bundle) = &read
                && self.waits_for(&bundle.digest)
            {
                // It was written anew.
                self.again = None;
            }
            let named = || match files::read(path, NAMED) {
                Ok(bytes) => Digest::of(&bytes),
                Err(_) => Digest::of(path.as_os_str().as_encoded_bytes()),
            };
            self.came(read, named).await;
        }
    }

    /// Ask a registry again and again.
    pub(super) async fn follow_oci(&mut self, reference: &str) {
        let mut clock = interval(self.means.poll);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = clock.tick() => {}
                call = self.called() => match call {
                    Call::Look => clock.reset(),
                    Call::Move => return,
                },
            }
            let registry = self.means.registry.clone();
            match source::offered(reference, &registry).await {
                // A bundle in force, or refused a moment ago, is not fetched again.
                Ok(digest) if self.in_force() == Some(digest) => {
                    self.note_source(None).await;
                    self.settled().await;
                }
                Ok(digest) if self.waits_for(&digest) => self.note_source(None).await,
                Ok(_) => {
                    let read = source::pulled(reference, &registry).await;
                    self.came(read, || Digest::of(reference.as_bytes())).await;
                }
                Err(error) => self.note_source(Some(one_line(&error))).await,
            }
        }
    }

    /// Something came of a source, or nothing did.
    async fn came(&mut self, read: Result<Bundle, SourceError>, named: impl FnOnce() -> Digest) {
        match read {
            Ok(bundle) => {
                self.note_source(None).await;
                if !self.waits_for(&bundle.digest) {
                    self.consider(bundle, Way::On, false).await;
                }
            }
            Err(SourceError::Bundle(error)) => {
                self.note_source(None).await;
                self.refuse(named(), one_line(&error)).await;
            }
            Err(error) => self.note_source(Some(one_line(&error))).await,
        }
    }
}
