//! A policy in a file, or in a registry that is asked now and then.

use std::path::Path;

use tokio::time::{MissedTickBehavior, interval};

use super::{Follower, one_line};
use crate::{
    daemon::reload::Watched,
    files,
    policy::{
        Bundle, Digest,
        source::{self, SourceError},
        succession::Way,
    },
};

/// The most of a file of which a digest is made to name it.
const NAMED: u64 = 1 << 30;

impl Follower {
    /// Look at a file again and again.
    pub(super) async fn follow_file(&mut self, path: &Path) {
        let mut clock = interval(self.policy.poll);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watched: Option<Watched> = None;
        loop {
            clock.tick().await;
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
            let named = || files::read(path, NAMED).map(|bytes| Digest::of(&bytes)).ok();
            self.came(read, named).await;
        }
    }

    /// Ask a registry again and again.
    pub(super) async fn follow_oci(&mut self, reference: &str) {
        let mut clock = interval(self.policy.poll);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            clock.tick().await;
            let read = source::oci(reference).await;
            self.came(read, || Some(Digest::of(reference.as_bytes()))).await;
        }
    }

    /// Something came of a source, or nothing did.
    async fn came(
        &mut self,
        read: Result<Bundle, SourceError>,
        named: impl FnOnce() -> Option<Digest>,
    ) {
        match read {
            Ok(bundle) => {
                self.note_source(None).await;
                if !self.waits_for(&bundle.digest) {
                    self.consider(bundle, Way::On, false).await;
                }
            }
            Err(SourceError::Bundle(error)) => {
                self.note_source(None).await;
                match named() {
                    Some(digest) => self.refuse(digest, one_line(&error)).await,
                    None => self.note_source(Some(one_line(&error))).await,
                }
            }
            Err(error) => self.note_source(Some(one_line(&error))).await,
        }
    }
}
