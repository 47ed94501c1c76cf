//! The manifests of a bundle and of its signatures: from a bundle to the blobs that an archive
//! or a registry holds, and back, everything verified.
//!
//! There is one way to write a bundle down. A manifest that decodes to a bundle whose own would be
//! another one is refused, so that a digest stands for all that a bundle says and for nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{Bundle, Digest, Signature};

/// The media type of manifests.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of indices.
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The artifact type of a bundle.
pub(super) const BUNDLE: &str = "application/vnd.wharfinger.policy.v1";
const CONFIG: &str = "application/vnd.wharfinger.policy.config.v1+json";
const DOCUMENT: &str = "application/vnd.wharfinger.policy.document.v1+toml";
/// The media type of a component.
pub(super) const COMPONENT: &str = "application/wasm";
/// The media type of the payload that cosign signs.
const SIGNED: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The artifact type of a manifest of signatures that refers to its subject.
pub(super) const SIGNATURES: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// The media type of an image's config.
pub(super) const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The annotation with the signature of a layer.
pub(super) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// The annotation with the name of a layer's file.
pub(super) const TITLE: &str = "org.opencontainers.image.title";
/// The oldest version that reads bundles of this form.
const NEEDS: &str = "0.1.0";

/// The most that a manifest, an index or a config may have: what registries take.
pub(super) const MANIFEST_SIZE: u64 = 4 << 20;
/// The most that the document may have.
pub(super) const DOCUMENT_SIZE: u64 = 4 << 20;
/// The most that one component may have.
pub(super) const COMPONENT_SIZE: u64 = 256 << 20;
/// The most that all parts may have together.
pub(super) const WHOLE_SIZE: u64 = 512 << 20;
/// The most components of a bundle.
pub(super) const COMPONENTS: usize = 256;
/// The most signatures that are looked at.
const MOST_SIGNATURES: usize = 64;
/// The most that what is signed may have.
const SIGNED_SIZE: u64 = 64 << 10;

/// The description of a blob in a manifest or an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) artifact_type: Option<String>,
    pub(super) digest: Digest,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub(super) fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.into(),
            artifact_type: None,
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
        }
    }

    pub(super) fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }
}

/// An image manifest, as far as it is understood here.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub(super) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) artifact_type: Option<String>,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<Descriptor>,
}

/// A list of manifests.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    pub(super) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) media_type: Option<String>,
    pub(super) manifests: Vec<Descriptor>,
}

impl Index {
    pub(super) fn of(manifests: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: Some(INDEX.into()), manifests }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct BundleConfig {
    name: String,
    sequence: u64,
    needs: String,
}

/// Why something is no bundle that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The file cannot be read.
    #[error("cannot read {file}: {reason}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// It is no archive at all.
    #[error("{file}: it is no bundle: {reason}")]
    NoArchive {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// The archive ends before it is whole.
    #[error("{file}: it is cut short: {part} ends after the file does")]
    CutShort {
        /// The file.
        file: String,
        /// The part that is not whole.
        part: String,
    },
    /// An entry that no bundle has.
    #[error("{file}: the entry {entry:?} is none of a bundle: {reason}")]
    Entry {
        /// The file.
        file: String,
        /// The entry's name.
        entry: String,
        /// Why.
        reason: &'static str,
    },
    /// A part is larger than it may be.
    #[error("{file}: {part} has {size} bytes; at most {most} are read")]
    TooLarge {
        /// The file.
        file: String,
        /// The part.
        part: String,
        /// The size that it states, in bytes.
        size: u64,
        /// The most bytes that it may have.
        most: u64,
    },
    /// A part is not there.
    #[error("{file}: {part} is missing")]
    Missing {
        /// The file.
        file: String,
        /// The part.
        part: String,
    },
    /// The bytes are not those that were named.
    #[error("{file}: {part} is damaged: {found} is not the {wanted} that is named")]
    Damaged {
        /// The file.
        file: String,
        /// The part.
        part: String,
        /// The digest that was named.
        wanted: String,
        /// The digest that is there.
        found: String,
    },
    /// A part says something that cannot be understood.
    #[error("{file}: {part}: {reason}")]
    Invalid {
        /// The file.
        file: String,
        /// The part.
        part: String,
        /// Why.
        reason: String,
    },
}

/// The blobs that a bundle is made of.
pub(super) struct Encoded {
    pub(super) manifest: Vec<u8>,
    /// All blobs that the manifest names.
    pub(super) blobs: BTreeMap<Digest, Arc<[u8]>>,
}

/// The one form of a bundle, without its signatures.
pub(super) fn encode(bundle: &Bundle) -> Encoded {
    let config =
        BundleConfig { name: bundle.name.clone(), sequence: bundle.sequence, needs: NEEDS.into() };
    let config: Arc<[u8]> = json(&config).into();
    let document: Arc<[u8]> = bundle.document.as_bytes().into();
    let mut layers = vec![Descriptor::of(DOCUMENT, &document).with(TITLE, "policy.toml")];
    for (digest, bytes) in &bundle.components {
        let title = format!("{}.wasm", digest.hex());
        let layer = Descriptor { digest: *digest, ..Descriptor::of(COMPONENT, &[]) };
        layers.push(Descriptor { size: bytes.len() as u64, ..layer }.with(TITLE, title));
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MANIFEST.into()),
        artifact_type: Some(BUNDLE.into()),
        config: Descriptor::of(CONFIG, &config),
        layers,
        subject: None,
    };
    let mut blobs = bundle.components.clone();
    blobs.insert(manifest.config.digest, config);
    blobs.insert(manifest.layers[0].digest, document);
    Encoded { manifest: json(&manifest), blobs }
}

/// The manifest of the signatures and its blobs; none if there are no signatures.
pub(super) fn encode_signatures(bundle: &Bundle, subject: Option<Descriptor>) -> Option<Encoded> {
    let signatures: BTreeSet<_> =
        bundle.signatures.iter().map(|one| (one.payload.clone(), one.value.clone())).collect();
    if signatures.is_empty() {
        return None;
    }
    let mut blobs = BTreeMap::new();
    let mut layers = Vec::new();
    for (payload, value) in signatures {
        let layer = Descriptor::of(SIGNED, &payload);
        layers.push(layer.with(SIGNATURE, STANDARD.encode(&value)));
        blobs.insert(Digest::of(&payload), payload);
    }
    let config: Arc<[u8]> = match &subject {
        Some(_) => b"{}"[..].into(),
        None => {
            let digests: Vec<_> = layers.iter().map(|layer| layer.digest.to_string()).collect();
            image_config(&digests).into()
        }
    };
    let media_type = if subject.is_some() { SIGNATURES } else { IMAGE_CONFIG };
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MANIFEST.into()),
        artifact_type: None,
        config: Descriptor::of(media_type, &config),
        layers,
        subject,
    };
    blobs.insert(manifest.config.digest, config);
    Some(Encoded { manifest: json(&manifest), blobs })
}

/// The config of signatures under a tag: cosign takes them for an image, whose config lists its
/// layers.
pub(super) fn image_config(layers: &[impl Serialize]) -> Vec<u8> {
    let created = "0001-01-01T00:00:00Z";
    json(&serde_json::json!({
        "architecture": "", "os": "", "created": created, "config": {},
        "history": vec![serde_json::json!({ "created": created }); layers.len()],
        "rootfs": { "type": "layers", "diff_ids": layers },
    }))
}

/// Reads the parts of what is called `file`.
pub(super) struct Reader<'a> {
    pub(super) file: &'a str,
}

impl Reader<'_> {
    pub(super) fn invalid(&self, part: &str, reason: impl ToString) -> BundleError {
        let (file, part) = (self.file.into(), part.into());
        BundleError::Invalid { file, part, reason: reason.to_string() }
    }

    /// Bounded JSON.
    pub(super) fn json<T: serde::de::DeserializeOwned>(
        &self,
        part: &str,
        bytes: &[u8],
    ) -> Result<T, BundleError> {
        self.bounded(part, bytes.len() as u64, MANIFEST_SIZE)?;
        serde_json::from_slice(bytes).map_err(|error| self.invalid(part, error))
    }

    pub(super) fn bounded(&self, part: &str, size: u64, most: u64) -> Result<(), BundleError> {
        if size <= most {
            return Ok(());
        }
        Err(BundleError::TooLarge { file: self.file.into(), part: part.into(), size, most })
    }

    /// Whether bytes are those of a descriptor.
    pub(super) fn verified(&self, wanted: &Descriptor, bytes: &[u8]) -> Result<(), BundleError> {
        let found = Digest::of(bytes);
        if found == wanted.digest && bytes.len() as u64 == wanted.size {
            return Ok(());
        }
        let said = |digest: &Digest, size: u64| format!("{digest} of {size} bytes");
        Err(BundleError::Damaged {
            file: self.file.into(),
            part: format!("blob {}", wanted.digest),
            wanted: said(&wanted.digest, wanted.size),
            found: said(&found, bytes.len() as u64),
        })
    }

    /// A bundle's manifest, judged by its own text alone: kinds, numbers and sizes.
    pub(super) fn manifest(&self, bytes: &[u8]) -> Result<Manifest, BundleError> {
        let manifest: Manifest = self.json("the manifest", bytes)?;
        if manifest.artifact_type.as_deref() != Some(BUNDLE) {
            let kind = manifest.artifact_type.as_deref().unwrap_or(&manifest.config.media_type);
            let reason = format!("it is of the type {kind:?}; a bundle is {BUNDLE:?}");
            return Err(self.invalid("the manifest", reason));
        }
        self.bounded("the config", manifest.config.size, MANIFEST_SIZE)?;
        let Some((document, components)) = manifest.layers.split_first() else {
            return Err(self.invalid("the manifest", "it has no layer"));
        };
        if document.media_type != DOCUMENT {
            let reason = format!("its first layer is {:?}, not {DOCUMENT:?}", document.media_type);
            return Err(self.invalid("the manifest", reason));
        }
        self.bounded("the document", document.size, DOCUMENT_SIZE)?;
        if components.len() > COMPONENTS {
            let count = components.len();
            let reason = format!("it has {count} components; at most {COMPONENTS} are read");
            return Err(self.invalid("the manifest", reason));
        }
        for layer in components {
            if layer.media_type != COMPONENT {
                let reason =
                    format!("a layer is {:?}; a component is {COMPONENT:?}", layer.media_type);
                return Err(self.invalid("the manifest", reason));
            }
            self.bounded(&format!("component {}", layer.digest), layer.size, COMPONENT_SIZE)?;
        }
        let whole = manifest.layers.iter().map(|layer| layer.size).sum();
        self.bounded("the whole of it", whole, WHOLE_SIZE)?;
        Ok(manifest)
    }

    /// The bundle of a manifest whose blobs are here.
    pub(super) fn bundle(
        &self,
        bytes: &[u8],
        blob: impl Fn(&Descriptor) -> Result<Arc<[u8]>, BundleError>,
    ) -> Result<Bundle, BundleError> {
        let manifest = self.manifest(bytes)?;
        let get = |wanted: &Descriptor| {
            let bytes = blob(wanted)?;
            self.verified(wanted, &bytes)?;
            Ok(bytes)
        };
        let config: BundleConfig = self.json("the config", &get(&manifest.config)?)?;
        if version(&config.needs) > version(env!("CARGO_PKG_VERSION")) {
            let reason = format!("the bundle needs Wharfinger {} or newer", config.needs);
            return Err(self.invalid("the config", reason));
        }
        name(&config.name).map_err(|reason| self.invalid("the config", reason))?;
        let document = get(&manifest.layers[0])?;
        let document = std::str::from_utf8(&document)
            .map_err(|_| self.invalid("the document", "it is no text in UTF-8"))?;
        let mut components = BTreeMap::new();
        for layer in &manifest.layers[1..] {
            components.insert(layer.digest, get(layer)?);
        }
        let bundle = Bundle {
            digest: Digest::of(bytes),
            name: config.name,
            sequence: config.sequence,
            document: document.into(),
            components,
            signatures: Vec::new(),
        };
        if encode(&bundle).manifest != bytes {
            let reason = "it is not written as `wharfinger policy build` writes it";
            return Err(self.invalid("the manifest", reason));
        }
        super::build::complete(&bundle).map_err(|reason| self.invalid("the document", reason))?;
        Ok(bundle)
    }

    /// The signatures of a manifest, if it is one of signatures. Other layers are passed over: a
    /// signature that cannot be read is none.
    pub(super) fn signatures(
        &self,
        manifest: &Manifest,
        blob: impl Fn(&Descriptor) -> Result<Arc<[u8]>, BundleError>,
    ) -> Result<Vec<Signature>, BundleError> {
        let mut all = Vec::new();
        for layer in signed(manifest) {
            let payload = blob(layer)?;
            self.verified(layer, &payload)?;
            all.extend(signature(layer, payload));
        }
        Ok(all)
    }
}

/// The layers of a manifest that are signed payloads, as many and as large as are read.
pub(super) fn signed(manifest: &Manifest) -> impl Iterator<Item = &Descriptor> {
    let layers = manifest.layers.iter().take(MOST_SIGNATURES);
    layers.filter(|layer| layer.media_type == SIGNED && layer.size <= SIGNED_SIZE)
}

/// The signature of a layer with this payload; none if it has none that can be read.
pub(super) fn signature(layer: &Descriptor, payload: Arc<[u8]>) -> Option<Signature> {
    let value = STANDARD.decode(layer.annotations.get(SIGNATURE)?).ok()?;
    Some(Signature { payload, value: value.into() })
}

/// Put signatures in their order, each once.
pub(super) fn settle(signatures: &mut Vec<Signature>) {
    signatures.sort_by(|a, b| (&a.payload, &a.value).cmp(&(&b.payload, &b.value)));
    signatures.dedup();
    signatures.truncate(MOST_SIGNATURES);
}

/// Whether a policy may have this name.
pub(super) fn name(name: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if begins && name.len() <= 63 && name.chars().all(good) {
        return Ok(());
    }
    let shown: String = name.chars().take(80).collect();
    Err(format!("{shown:?} is no name of a policy: wanted up to 63 of a-z, 0-9, '.', '_' and '-'"))
}

fn version(text: &str) -> Vec<u64> {
    text.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

/// A value without line breaks; its keys stand in the order of its fields.
pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("what is written here is JSON")
}
