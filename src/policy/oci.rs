//! Bundles and components in a registry: the part of OCI's distribution API (v2) that pushing and
//! pulling need, on the HTTP client that is here anyway.
//!
//! Sizes are judged from the manifest before anything that it names is fetched, of each blob no
//! more is read than that, and all is verified by digest as it comes.

mod answer;
mod challenge;
mod client;
mod component;
mod links;
mod login;
mod reference;
mod retry;
mod signatures;
mod token;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::PathBuf,
    sync::Arc,
};

use reqwest::Url;

use super::{
    Bundle, Digest,
    manifest::{self, BundleError, COMPONENT_SIZE, Encoded, Reader, WHOLE_SIZE},
};

use client::Client;
pub use component::Component;
pub use reference::{BadReference, Reference, Target};

/// The access to a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Speak HTTP without TLS.
    pub plain_http: bool,
    /// The certification authorities of the registry, in PEM; the system's if none.
    pub ca_file: Option<PathBuf>,
    /// The file with logins, in the form of Docker's `config.json`; the user's own if none.
    pub login_file: Option<PathBuf>,
}

impl Options {
    /// Whether registries can be asked like this. Nobody is asked.
    ///
    /// # Errors
    ///
    /// A file cannot be used.
    pub fn check(&self) -> Result<(), OciError> {
        client::http(self)?;
        match self.login_file.as_deref().map(login::read) {
            Some(Err(words)) => Err(OciError::Client(words)),
            _ => Ok(()),
        }
    }
}

/// The bounds of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes that all parts of a bundle, or a component, may have.
    pub whole: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { whole: WHOLE_SIZE }
    }
}

/// Why something cannot be pulled or pushed.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// The HTTP client cannot be made.
    #[error("cannot speak to the registry: {0}")]
    Client(String),
    /// No answer came, or not all of it.
    #[error("{url}")]
    Request {
        /// The URL that was asked.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// Nothing came for a while.
    #[error("{url}: nothing came for {silence:?}")]
    Silent {
        /// The URL that was asked.
        url: String,
        /// The time without an answer.
        silence: std::time::Duration,
    },
    /// The registry refuses.
    #[error("{url}: the registry answers {status}: {words}")]
    Status {
        /// The URL that was asked.
        url: String,
        /// The status.
        status: u16,
        /// The beginning of its answer.
        words: String,
    },
    /// It sends to a place that is not gone to.
    #[error("{url}: {reason}")]
    Redirect {
        /// The URL that was asked.
        url: String,
        /// Why it is not followed.
        reason: String,
    },
    /// There is no login, or none that can be used.
    #[error("login at {registry}: {reason}")]
    Login {
        /// The registry.
        registry: String,
        /// Why.
        reason: String,
    },
    /// It has more than it may have.
    #[error("{url}: it has more than the {most} bytes that are read")]
    TooLarge {
        /// The URL that was asked.
        url: String,
        /// The bound.
        most: u64,
    },
    /// It is not what was named.
    #[error("{url}: it is damaged: {found} is not the {wanted} that is named, or not as long")]
    Damaged {
        /// The URL that was asked.
        url: String,
        /// The digest that was named.
        wanted: Digest,
        /// The digest of the bytes that came.
        found: Digest,
    },
    /// There is no such thing.
    #[error("{place}: there is none")]
    Missing {
        /// The place.
        place: String,
    },
    /// A bundle is pushed to the digest of another.
    #[error("{place}: the digest is not that of what is pushed, which is {found}")]
    OtherDigest {
        /// The place.
        place: String,
        /// The digest of what is pushed.
        found: Digest,
    },
    /// The content there cannot be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// The digest of the content at a place now, by its manifest alone.
///
/// # Errors
///
/// See [`OciError`].
pub async fn digest(reference: &Reference, options: &Options) -> Result<Digest, OciError> {
    Ok(Digest::of(&named(&Client::new(reference, options, false)?, reference).await?))
}

/// Pull a bundle, and what was signed of it by whomever. Nothing is written anywhere.
///
/// # Errors
///
/// See [`OciError`].
pub async fn pull(
    reference: &Reference,
    options: &Options,
    limits: Limits,
) -> Result<Bundle, OciError> {
    let (client, name) = (Client::new(reference, options, false)?, reference.to_string());
    let reader = Reader { file: &name };
    let bytes = named(&client, reference).await?;
    let listed = reader.manifest(&bytes)?;
    let parts = || std::iter::once(&listed.config).chain(&listed.layers);
    reader.bounded("the whole of it", parts().map(|part| part.size).sum(), limits.whole)?;
    let mut blobs: BTreeMap<Digest, Arc<[u8]>> = BTreeMap::new();
    for one in parts() {
        if let Entry::Vacant(place) = blobs.entry(one.digest) {
            place.insert(client.blob(one).await?);
        }
    }
    let mut bundle = reader.bundle(&bytes, |wanted| {
        blobs.get(&wanted.digest).cloned().ok_or_else(|| BundleError::Missing {
            file: name.clone(),
            part: format!("blob {}", wanted.digest),
        })
    })?;
    bundle.signatures = signatures::pull(&client, bundle.digest).await?;
    Ok(bundle)
}

/// Push a bundle and its signatures, beside those that are there, and tell the place by digest.
///
/// # Errors
///
/// See [`OciError`]. The tag is moved last: whoever follows it finds the bundle and its signatures.
pub async fn push(
    bundle: &Bundle,
    reference: &Reference,
    options: &Options,
) -> Result<Reference, OciError> {
    let client = Client::new(reference, options, true)?;
    let encoded = manifest::encode(bundle);
    let pinned = reference.pinned(bundle.digest);
    let place = put(&client, &encoded, reference, &pinned).await?;
    signatures::push(&client, bundle).await?;
    if let Target::Tag(tag) = &reference.target {
        client.put_manifest(tag, manifest::MANIFEST, encoded.manifest).await?;
    }
    Ok(place)
}

/// The component that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The digest of the manifest, by which the component is found again.
    pub manifest: Digest,
    /// The digest of the component.
    pub component: Digest,
    /// The size of the component.
    pub size: u64,
}

/// A component that was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Which one it is.
    pub found: Found,
    /// The bytes of its manifest.
    pub manifest: Vec<u8>,
    /// The component.
    pub bytes: Arc<[u8]>,
}

/// The component that a manifest pulled from `place` names.
///
/// # Errors
///
/// It is no manifest of a component.
pub fn described(manifest: &[u8], place: &str) -> Result<Found, OciError> {
    let layer = component::layer(manifest, &Reader { file: place })?;
    let manifest = Digest::of(manifest);
    Ok(Found { manifest, component: layer.digest, size: layer.size })
}

/// Pull a single component.
///
/// # Errors
///
/// See [`OciError`].
pub async fn pull_component(reference: &Reference, options: &Options) -> Result<Pulled, OciError> {
    let client = Client::new(reference, options, false)?;
    let manifest = named(&client, reference).await?;
    let name = reference.to_string();
    let layer = component::layer(&manifest, &Reader { file: &name })?;
    let found = described(&manifest, &name)?;
    let bytes = client.blob(&layer).await?;
    Ok(Pulled { found, manifest, bytes })
}

/// Push a single component, and tell the place by digest.
///
/// # Errors
///
/// See [`OciError`].
pub async fn push_component(
    component: &Component,
    reference: &Reference,
    options: &Options,
) -> Result<Reference, OciError> {
    let client = Client::new(reference, options, true)?;
    put(&client, &component::encode(component), reference, reference).await
}

/// A component at an `https://` URL, which has to have this digest.
///
/// # Errors
///
/// See [`OciError`].
pub async fn download(
    url: &Url,
    digest: &Digest,
    options: &Options,
) -> Result<Arc<[u8]>, OciError> {
    client::download(url, digest, options, COMPONENT_SIZE).await
}

/// The manifest that a reference names, verified if that is by digest.
async fn named(client: &Client, reference: &Reference) -> Result<Vec<u8>, OciError> {
    let missing = || OciError::Missing { place: reference.to_string() };
    let bytes = client.manifest(&reference.target.to_string()).await?.ok_or_else(missing)?;
    match reference.target {
        Target::Digest(wanted) if wanted != Digest::of(&bytes) => {
            let (url, found) = (reference.to_string(), Digest::of(&bytes));
            Err(OciError::Damaged { url, wanted, found })
        }
        _ => Ok(bytes),
    }
}

/// Push something for a reference to a place of the same repository.
async fn put(
    client: &Client,
    what: &Encoded,
    reference: &Reference,
    to: &Reference,
) -> Result<Reference, OciError> {
    let found = Digest::of(&what.manifest);
    if let Target::Digest(wanted) = reference.target
        && wanted != found
    {
        return Err(OciError::OtherDigest { place: reference.to_string(), found });
    }
    send(client, what, &to.target.to_string()).await?;
    Ok(reference.pinned(found))
}

/// Push blobs and then their manifest; whether the registry says that it knows of referrers.
async fn send(client: &Client, what: &Encoded, target: &str) -> Result<bool, OciError> {
    for (digest, bytes) in &what.blobs {
        client.put_blob(digest, bytes).await?;
    }
    client.put_manifest(target, manifest::MANIFEST, what.manifest.clone()).await
}
