//! One policy for every host: a bundle holds the stages of an organisation and the components
//! that they name, travels by an OCI registry or as a file, is signed, and is taken over by each
//! host after its own forecast and its own guard.
//!
//! A bundle is an OCI artifact. Its identity is the digest of its manifest, the same in a file
//! and in a registry, and that digest is what is signed.

pub mod archive;
pub mod build;
pub mod diff;
mod digest;
pub mod halt;
pub mod hosted;
pub mod kept;
pub mod layer;
pub mod lock;
mod manifest;
pub mod member;
pub mod oci;
pub mod peers;
pub mod rollout;
pub mod sign;
pub mod source;
pub mod standing;
pub mod store;
pub mod transport;
pub mod succession;
pub mod trust;
pub mod wave;

use std::{collections::BTreeMap, sync::Arc};

pub use digest::{BadDigest, Digest};

/// A policy that was read whole, each of its parts having the digest that its manifest names.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The policy's name, the same for all of its versions.
    pub name: String,
    /// The number of the version. It is part of what is signed, so that an older version cannot
    /// be passed off as a newer one.
    pub sequence: u64,
    /// The stages and limits: a configuration file without what belongs to one host, in which
    /// components are named by `sha256:…`.
    pub document: String,
    /// The components by digest.
    pub components: BTreeMap<Digest, Arc<[u8]>>,
    /// Its signatures, by whomever.
    pub signatures: Vec<Signature>,
}

/// A signature in the form that cosign makes and checks: of a payload, which names the digest of
/// a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The signed bytes: a "simple signing" document.
    pub payload: Arc<[u8]>,
    /// The signature, decoded.
    pub value: Arc<[u8]>,
}
