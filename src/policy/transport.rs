//! The sources of a policy's components: a registry of images by tag or digest, or a URL with a
//! digest. Content that was fetched once is taken from disk from then on.

use std::{fmt, str::FromStr, sync::Arc};

use reqwest::Url;

use super::{
    Digest,
    lock::Lock,
    manifest::{COMPONENT_SIZE, MANIFEST_SIZE},
    oci::{self, BadReference, OciError, Options, Reference, Target},
    store::Contents,
};

/// The place of a component that is no file of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In a registry of images.
    Oci(Reference),
    /// On a web server.
    Https(Url),
}

/// A text that names no place from which a component is fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSource {
    /// It is no place in a registry.
    #[error(transparent)]
    Reference(#[from] BadReference),
    /// It is none of the kinds that are known.
    #[error("{0:?}: a component is a file, or at oci://… or https://…")]
    Kind(String),
    /// A URL with a login in it would show that to all who read the policy.
    #[error("a URL with a login in it is not asked")]
    Login,
}

/// Why a component is not there.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The place says nothing, or something else.
    #[error("cannot fetch {0}")]
    Fetch(String, #[source] OciError),
    /// The component is not the one that the policy wants.
    #[error("{place}: the component has the digest {found}, not {wanted}")]
    Other {
        /// The place.
        place: String,
        /// The digest that is there.
        found: Digest,
        /// The digest that is wanted.
        wanted: Digest,
    },
    /// Nothing may be asked that is not pinned.
    #[error("{0} is not pinned: `wharfinger policy build` without --locked pins it")]
    Unpinned(String),
    /// A URL has to come with a digest.
    #[error("{0} needs the key sha256 beside it")]
    NoDigest(String),
}

/// Fetches components.
#[derive(Debug, Default)]
pub struct Transport {
    /// The access to registries and servers.
    pub options: Options,
    /// The store of fetched content, if there is one.
    pub contents: Option<Contents>,
    /// The tags that are pinned. A tag that is asked for is pinned from then on.
    pub lock: Lock,
    /// The tags that are asked for.
    pub tags: Tags,
}

/// The tags that are asked for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Tags {
    /// Those that are not pinned.
    #[default]
    New,
    /// All of them.
    All,
    /// None: all have to be pinned.
    None,
}

impl FromStr for Source {
    type Err = BadSource;

    fn from_str(text: &str) -> Result<Self, BadSource> {
        if text.starts_with("oci://") {
            return Ok(Self::Oci(text.parse()?));
        }
        let short: String = text.chars().take(200).collect();
        let url = Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.has_host());
        let url = url.ok_or(BadSource::Kind(short))?;
        match url.username().is_empty() && url.password().is_none() {
            true => Ok(Self::Https(url)),
            false => Err(BadSource::Login),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oci(reference) => reference.fmt(out),
            Self::Https(url) => url.fmt(out),
        }
    }
}

impl Transport {
    /// The component at a place, which has to have this digest if one is given.
    ///
    /// # Errors
    ///
    /// See [`TransportError`]. Nothing that was kept before is lost.
    pub async fn fetch(
        &mut self,
        source: &Source,
        wanted: Option<Digest>,
    ) -> Result<Arc<[u8]>, TransportError> {
        let bytes = match source {
            Source::Oci(reference) => self.pulled(reference).await,
            Source::Https(url) => {
                let digest = wanted.ok_or_else(|| TransportError::NoDigest(url.to_string()))?;
                self.downloaded(url, &digest).await
            }
        }?;
        let found = Digest::of(&bytes);
        match wanted.filter(|wanted| *wanted != found) {
            None => Ok(bytes),
            Some(wanted) => Err(TransportError::Other { place: source.to_string(), found, wanted }),
        }
    }

    async fn pulled(&mut self, reference: &Reference) -> Result<Arc<[u8]>, TransportError> {
        let place = reference.to_string();
        let pinned = match (&reference.target, self.tags) {
            (Target::Digest(digest), _) => Some(*digest),
            (Target::Tag(_), Tags::All) => None,
            (Target::Tag(_), _) => self.lock.get(&place),
        };
        if let Some(bytes) = pinned.and_then(|manifest| self.kept(&place, &manifest)) {
            return Ok(bytes);
        }
        let asked = match pinned {
            Some(digest) => reference.pinned(digest),
            None if self.tags == Tags::None => return Err(TransportError::Unpinned(place)),
            None => reference.clone(),
        };
        let pulled = oci::pull_component(&asked, &self.options).await;
        let pulled = pulled.map_err(|error| TransportError::Fetch(asked.to_string(), error))?;
        self.keep(&pulled.manifest);
        self.keep(&pulled.bytes);
        if matches!(reference.target, Target::Tag(_)) {
            self.lock.pin(&place, pulled.found.manifest);
        }
        Ok(pulled.bytes)
    }

    /// The component of a manifest, if both are on disk.
    fn kept(&self, place: &str, manifest: &Digest) -> Option<Arc<[u8]>> {
        let contents = self.contents.as_ref()?;
        let manifest = contents.get(manifest, MANIFEST_SIZE)?;
        let found = oci::described(&manifest, place).ok()?;
        contents.get(&found.component, COMPONENT_SIZE)
    }

    async fn downloaded(&self, url: &Url, digest: &Digest) -> Result<Arc<[u8]>, TransportError> {
        let kept = self.contents.as_ref().and_then(|all| all.get(digest, COMPONENT_SIZE));
        if let Some(bytes) = kept {
            return Ok(bytes);
        }
        let bytes = oci::download(url, digest, &self.options).await;
        let bytes = bytes.map_err(|error| TransportError::Fetch(url.to_string(), error))?;
        self.keep(&bytes);
        Ok(bytes)
    }

    /// That something is not kept costs the next fetch.
    fn keep(&self, bytes: &[u8]) {
        if let Some(contents) = &self.contents {
            let _ = contents.put(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_of_two_kinds() {
        let url = "https://a.example/b.wasm";
        assert_eq!(url.parse::<Source>().map(|one| one.to_string()), Ok(url.into()));
        let oci = "oci://a.example/b:1";
        assert_eq!(oci.parse::<Source>().map(|one| one.to_string()), Ok(oci.into()));
        for (bad, fault) in [
            ("http://a.example/b", "a component is a file"),
            ("ftp://a.example/b", "a component is a file"),
            ("https://", "a component is a file"),
            ("https://u:p@a.example/b", "with a login"),
            ("oci://A", "no place in a registry"),
        ] {
            let said = bad.parse::<Source>().expect_err(bad).to_string();
            assert!(said.contains(fault) && !said.contains("u:p"), "{bad}: {said}");
        }
    }
}
