//! Foretells a policy that somebody names, on this host, now.
//!
//! It is named by its digest alone, so that a client makes this host fetch from nowhere but where it
//! fetches from anyway: its store, and its own source. The bundle is verified as for taking it over,
//! and neither kept nor put into force.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Policy, one_line};
use crate::{
    config::PolicySource,
    daemon::{
        means::Means,
        reload::{Ask, Foreseen},
    },
    error::error_chain,
    model::host::Compat,
    policy::{
        Bundle, Digest,
        hosted::Hosted,
        kept::Kept,
        oci::{self, Limits, OciError, Reference},
        rollout::Document,
        source::{self, KEY_SIZE, SourceError},
        store::Store,
        succession::{Way, may_follow},
    },
    reconcile::{Beyond, Held},
    registry::ConsulReader,
};

/// The beginning of the folders in which components are meanwhile.
const FILES: &str = ".forecast-";

/// The forecast of a policy on a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Foretold {
    /// The host's name.
    pub host: String,
    /// The bundle's digest.
    pub bundle: Digest,
    /// The policy's name.
    pub policy: String,
    /// The number of its version.
    pub sequence: u64,
    /// The digest of the bundle that is in force.
    pub in_force: Option<Digest>,
    /// Why the host would refuse it; none if it would take it.
    pub refused: Option<String>,
    /// The services that its guard would hold, which is a reason to refuse.
    pub held: Option<Held>,
    /// The changes it would make; none if they cannot be told.
    pub changes: Option<Beyond>,
}

/// The reason why a policy cannot be foretold.
#[derive(Debug, thiserror::Error)]
pub enum Unforetold {
    /// The host has it not.
    #[error("{0}")]
    Unknown(String),
    /// It cannot be had or told now.
    #[error("{0}")]
    Away(String),
}

/// Foretells policies on this host.
#[derive(Clone)]
pub struct Foreteller {
    host: String,
    means: watch::Receiver<Arc<Means>>,
    store: Store,
    folder: PathBuf,
    compat: Compat,
    kv: Option<ConsulReader>,
    asks: mpsc::Sender<Ask>,
}

impl Policy {
    /// The foreteller of this host's policies; it asks the task that takes them over.
    pub fn foreteller(&self, host: String, asks: mpsc::Sender<Ask>) -> Foreteller {
        // Folders of a process that was killed.
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(FILES) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        Foreteller {
            host,
            means: self.means.subscribe(),
            store: self.store.clone(),
            folder: self.folder.clone(),
            compat: self.compat,
            kv: self.kv.clone(),
            asks,
        }
    }
}

impl Foreteller {
    /// Foretell the bundle with this digest.
    ///
    /// # Errors
    ///
    /// See [`Unforetold`].
    pub async fn foretell(&self, digest: Digest) -> Result<Foretold, Unforetold> {
        let means = self.means.borrow().clone();
        let bundle = self.had(&means, digest).await?;
        let kept = Kept::read(&self.folder).map_err(|error| Unforetold::Away(one_line(&error)))?;
        let mut foretold = Foretold {
            host: self.host.clone(),
            bundle: digest,
            policy: bundle.name.clone(),
            sequence: bundle.sequence,
            in_force: kept.as_ref().map(|kept| kept.digest),
            refused: None,
            held: None,
            changes: None,
        };
        match self.readied(&means, bundle, kept).await? {
            Err(reason) => foretold.refused = Some(reason),
            Ok((hosted, files)) => {
                let Foreseen { refused, held, beyond } = self.ask(hosted, files).await?;
                (foretold.refused, foretold.held, foretold.changes) = (refused, held, beyond);
            }
        }
        Ok(foretold)
    }

    /// The bundle as it is to be loaded, with the folder of its components; or why it is refused.
    async fn readied(
        &self,
        means: &Means,
        bundle: Bundle,
        kept: Option<Kept>,
    ) -> Result<Result<(Hosted, TempDir), String>, Unforetold> {
        let key = match means.trust.verify(&bundle, SystemTime::now()) {
            Ok(key) => key,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let known = kept.as_ref().map(Kept::in_force);
        if let Err(error) = may_follow(known.as_ref(), &bundle, Way::On) {
            return Ok(Err(error.to_string()));
        }
        let (folder, compat) = (self.folder.clone(), self.compat);
        // Beside the components of what is in force, which are taken away without a word to us.
        let put = tokio::task::spawn_blocking(move || {
            let files = TempDir::with_prefix_in(FILES, &folder)
                .map_err(|error| format!("{}: {error}", folder.display()))?;
            let hosted = Hosted::new(&bundle, key, compat, files.path());
            Ok(hosted.map(|hosted| (hosted, files)).map_err(|error| error.to_string()))
        });
        let put = put.await.map_err(|error| Unforetold::Away(error.to_string()))?;
        put.map_err(Unforetold::Away)
    }

    async fn ask(&self, hosted: Hosted, files: TempDir) -> Result<Foreseen, Unforetold> {
        let stopping = || Unforetold::Away("the daemon is stopping".into());
        let (answer, foreseen) = oneshot::channel();
        let ask = Ask { hosted: Arc::new(hosted), files, answer };
        self.asks.send(ask).await.map_err(|_| stopping())?;
        foreseen.await.map_err(|_| stopping())?.map_err(Unforetold::Away)
    }

    /// The bundle with this digest, if this host has it or finds it at its own source.
    async fn had(&self, means: &Means, digest: Digest) -> Result<Bundle, Unforetold> {
        let store = self.store.clone();
        let stored = tokio::task::spawn_blocking(move || store.get(&digest)).await;
        let stored = stored.map_err(|error| Unforetold::Away(error.to_string()))?;
        let stored = match stored {
            Some(one) if means.trust.verify(&one, SystemTime::now()).is_ok() => return Ok(one),
            // It may have been signed by another key since.
            stored => stored,
        };
        let found = match (self.at_source(means, &digest).await, stored) {
            (Ok(Some(found)), _) if found.digest == digest => return Ok(found),
            (_, Some(stored)) => return Ok(stored),
            (found, None) => found,
        };
        let place = &means.source;
        match found {
            Ok(_) => Err(Unforetold::Unknown(format!(
                "{digest} is neither in this host's store nor at its policy's source, {place}; {}",
                how_it_comes(place, &digest)
            ))),
            Err(error) => {
                let reason = one_line(&error);
                Err(Unforetold::Away(format!("{digest} cannot be had from {place}: {reason}")))
            }
        }
    }

    /// The bundle with this digest at this host's own source, if it is there.
    async fn at_source(
        &self,
        means: &Means,
        digest: &Digest,
    ) -> Result<Option<Bundle>, SourceError> {
        match &means.source {
            PolicySource::File(path) => match source::file(path.clone()).await {
                Ok(bundle) => Ok(Some(bundle).filter(|bundle| bundle.digest == *digest)),
                // No bundle that can be read is there.
                Err(SourceError::Bundle(_)) => Ok(None),
                Err(error) => Err(error),
            },
            PolicySource::Oci(reference) => in_repository(reference, digest, means).await,
            PolicySource::ConsulKv(key) => match &self.kv {
                Some(kv) => self.by_document(kv, key, digest, means).await,
                None => Ok(None),
            },
        }
    }

    /// The bundle with this digest, if a key's document names it, its repository of images has it, or it
    /// lies beside the key, where a rollout's start puts bundles.
    async fn by_document(
        &self,
        kv: &ConsulReader,
        key: &str,
        digest: &Digest,
        means: &Means,
    ) -> Result<Option<Bundle>, SourceError> {
        let away = |error| SourceError::Away(error_chain(&error));
        let document = kv.value(key, None, KEY_SIZE).await.map_err(away)?.bytes;
        let document = document.map(|bytes| Document::parse(&bytes)).transpose();
        let document = document.map_err(|error| SourceError::Place(error_chain(&error)))?;
        let named = document.iter().flat_map(|one| std::iter::once(&one.bundle).chain(&one.before));
        let named: Vec<_> = named.collect();
        if let Some(named) = named.iter().find(|named| named.digest == *digest) {
            return source::fetch(&named.from, Some(kv), &means.registry).await.map(Some);
        }
        let beside = format!("{key}/bundles/{}", digest.hex());
        if kv.value(&beside, None, KEY_SIZE).await.map_err(away)?.bytes.is_some() {
            let from = format!("consul-kv://{beside}");
            return source::fetch(&from, Some(kv), &means.registry).await.map(Some);
        }
        for named in named.iter().filter(|named| named.from.starts_with("oci://")) {
            if let Some(found) = in_repository(&named.from, digest, means).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// The bundle with this digest in the repository of a place, if it is there.
async fn in_repository(
    place: &str,
    digest: &Digest,
    means: &Means,
) -> Result<Option<Bundle>, SourceError> {
    let place = place.parse::<Reference>();
    let place = place.map_err(|error| SourceError::Place(error.to_string()))?.pinned(*digest);
    match oci::pull(&place, &means.registry, Limits::default()).await {
        Ok(bundle) => Ok(Some(bundle)),
        Err(OciError::Missing { .. } | OciError::Status { status: 404, .. }) => Ok(None),
        Err(OciError::Bundle(error)) => Err(SourceError::Bundle(error)),
        Err(error) => Err(SourceError::Away(error_chain(&error))),
    }
}

/// The way by which a bundle comes to where a host finds it.
fn how_it_comes(place: &PolicySource, digest: &Digest) -> String {
    match place {
        PolicySource::File(path) => format!("it has to be that file, {}", path.display()),
        PolicySource::Oci(reference) => {
            let repository = reference.parse::<Reference>();
            let repository = repository.map_or_else(
                |_| reference.clone(),
                |place| format!("oci://{}/{}", place.registry, place.repository),
            );
            format!("push it to that repository: wharfinger policy push FILE {repository}:TAG")
        }
        PolicySource::ConsulKv(key) => format!(
            "push it to the repository of images that the document names, or put it where a rollout's \
             start does: consul kv put {key}/bundles/{} @FILE",
            digest.hex()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_how_a_bundle_reaches_a_host() {
        let digest = Digest::of(b"it");
        let key = format!("consul kv put wharfinger/prod/bundles/{} @FILE", digest.hex());
        for (source, part) in [
            ("file:///etc/prod.bundle", "that file, /etc/prod.bundle"),
            ("oci://r:5000/a/prod:stable", "policy push FILE oci://r:5000/a/prod:TAG"),
            ("consul-kv://wharfinger/prod", key.as_str()),
        ] {
            let source = PolicySource::parse(source).expect("a source");
            let words = how_it_comes(&source, &digest);
            assert!(words.contains(part), "{words}");
        }
    }
}
