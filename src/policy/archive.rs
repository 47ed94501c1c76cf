//! A bundle as one file: a tar of an OCI image layout, readable by whatever reads `oci-archive:`.
//!
//! Nothing is unpacked: an entry is a name that is one of few, and a piece of the file's bytes.
//! The same bundle gives the same bytes.

use std::{collections::BTreeMap, io::Cursor, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};
use tar::{Archive, Builder, EntryType, Header};

use super::{
    Bundle, Digest,
    manifest::{self, Descriptor, Index, Manifest, Reader, WHOLE_SIZE, json},
};
use crate::files;

pub use super::manifest::BundleError;

const LAYOUT: &str = "oci-layout";
const INDEX: &str = "index.json";
const BLOBS: &str = "blobs/sha256/";
/// The annotation by which tools choose a manifest of an archive.
const REFERENCE: &str = "org.opencontainers.image.ref.name";
/// The most that a file may have: the parts, and the archive around them.
const FILE_SIZE: u64 = WHOLE_SIZE + (16 << 20);
/// The most entries: components, signatures, and what belongs to them.
const ENTRIES: usize = 1024;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    image_layout_version: String,
}

/// The bundle of a file, every part of it verified.
///
/// # Errors
///
/// See [`BundleError`].
pub fn read(path: &Path) -> Result<Bundle, BundleError> {
    let name = path.display().to_string();
    let bytes = files::read(path, FILE_SIZE)
        .map_err(|error| BundleError::Read { file: name.clone(), reason: error.to_string() })?;
    parse(&bytes, &name)
}

/// The bundle of the bytes of a file that is called `name`.
///
/// # Errors
///
/// See [`BundleError`].
pub fn parse(bytes: &[u8], name: &str) -> Result<Bundle, BundleError> {
    let reader = Reader { file: name };
    let entries = entries(bytes, &reader)?;
    let entry = |part: &str| {
        let missing = || BundleError::Missing { file: name.into(), part: part.into() };
        entries.get(part).copied().ok_or_else(missing)
    };
    let layout: Layout = reader.json(LAYOUT, entry(LAYOUT)?)?;
    if layout.image_layout_version != "1.0.0" {
        return Err(reader.invalid(LAYOUT, "its version is not 1.0.0"));
    }
    let index: Index = reader.json(INDEX, entry(INDEX)?)?;
    let raw = |wanted: &Descriptor| entry(&format!("{BLOBS}{}", wanted.digest.hex()));
    let blob = |wanted: &Descriptor| raw(wanted).map(Arc::<[u8]>::from);
    let (mut bundle, mut signatures) = (None, Vec::new());
    for descriptor in &index.manifests {
        let bytes = raw(descriptor)?;
        reader.bounded("a manifest", bytes.len() as u64, manifest::MANIFEST_SIZE)?;
        reader.verified(descriptor, bytes)?;
        let one: Manifest = reader.json("a manifest", bytes)?;
        if manifest::signed(&one).next().is_some() {
            signatures.extend(reader.signatures(&one, blob)?);
        } else if bundle.replace(reader.bundle(bytes, blob)?).is_some() {
            return Err(reader.invalid(INDEX, "it names two bundles"));
        }
    }
    let Some(mut bundle) = bundle else {
        return Err(reader.invalid(INDEX, "it names no bundle"));
    };
    manifest::settle(&mut signatures);
    bundle.signatures = signatures;
    Ok(bundle)
}

/// The files of an archive by name, none of which is anything but a part of a bundle.
fn entries<'a>(
    bytes: &'a [u8],
    reader: &Reader<'_>,
) -> Result<BTreeMap<String, &'a [u8]>, BundleError> {
    let file = || reader.file.to_string();
    let no_archive =
        |error: std::io::Error| BundleError::NoArchive { file: file(), reason: error.to_string() };
    let mut found = BTreeMap::new();
    let mut archive = Archive::new(Cursor::new(bytes));
    let cut = |part: &str| BundleError::CutShort { file: file(), part: part.into() };
    for entry in archive.entries_with_seek().map_err(no_archive)? {
        let entry = entry.map_err(|error| match found.is_empty() {
            true => no_archive(error),
            false => cut("what follows the last whole entry"),
        })?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let refused = |reason| BundleError::Entry { file: file(), entry: name.clone(), reason };
        let plain = name.strip_prefix("./").unwrap_or(&name);
        if plain.split('/').any(|part| part == "..") || plain.starts_with('/') {
            return Err(refused("its name leads out of the archive"));
        }
        match entry.header().entry_type() {
            EntryType::Directory => {
                if !["", ".", "blobs", "blobs/sha256"].contains(&plain.trim_end_matches('/')) {
                    return Err(refused("there is no such folder"));
                }
                continue;
            }
            EntryType::Regular | EntryType::Continuous => {}
            _ => return Err(refused("it is no regular file")),
        }
        let digest = plain.strip_prefix(BLOBS).map(|hex| format!("sha256:{hex}").parse::<Digest>());
        if plain != LAYOUT && plain != INDEX && !matches!(digest, Some(Ok(_))) {
            return Err(refused("there is no such file"));
        }
        reader.bounded(&format!("the entry {plain}"), entry.size(), manifest::COMPONENT_SIZE)?;
        let at = usize::try_from(entry.raw_file_position()).ok();
        let end = at.and_then(|at| at.checked_add(usize::try_from(entry.size()).ok()?));
        let content = at.zip(end).and_then(|(at, end)| bytes.get(at..end));
        let content = content.ok_or_else(|| cut(plain))?;
        if found.insert(plain.to_string(), content).is_some() {
            return Err(refused("there are two of this name"));
        }
        if found.len() > ENTRIES {
            return Err(refused("there are too many entries"));
        }
    }
    if found.is_empty() {
        let reason = "it is no archive, or one without files".into();
        return Err(BundleError::NoArchive { file: file(), reason });
    }
    Ok(found)
}

/// The file of a bundle, its signatures with it.
#[must_use]
pub fn write(bundle: &Bundle) -> Vec<u8> {
    let encoded = manifest::encode(bundle);
    let mut of_bundle =
        Descriptor::of(manifest::MANIFEST, &encoded.manifest).with(REFERENCE, &*bundle.name);
    of_bundle.artifact_type = Some(manifest::BUNDLE.into());
    let tag = signature_tag(&of_bundle.digest);
    let mut blobs = encoded.blobs;
    blobs.insert(of_bundle.digest, encoded.manifest.into());
    let mut manifests = vec![of_bundle];
    if let Some(signatures) = manifest::encode_signatures(bundle, None) {
        let descriptor = Descriptor::of(manifest::MANIFEST, &signatures.manifest);
        blobs.extend(signatures.blobs);
        blobs.insert(descriptor.digest, signatures.manifest.into());
        manifests.push(descriptor.with(REFERENCE, tag));
    }
    let layout = json(&Layout { image_layout_version: "1.0.0".into() });
    let mut tar = Builder::new(Vec::new());
    append(&mut tar, LAYOUT, &layout);
    append(&mut tar, INDEX, &json(&Index::of(manifests)));
    for (digest, bytes) in &blobs {
        append(&mut tar, &format!("{BLOBS}{}", digest.hex()), bytes);
    }
    tar.into_inner().expect("memory takes what is written")
}

fn append(tar: &mut Builder<Vec<u8>>, name: &str, bytes: &[u8]) {
    let mut header = Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, name, bytes).expect("memory takes what is written");
}

/// The tag under which cosign looks for the signatures of a manifest.
pub(super) fn signature_tag(digest: &Digest) -> String {
    format!("sha256-{}.sig", digest.hex())
}
