//! The signatures of a manifest in a registry: where cosign puts them, under a tag, and as what
//! refers to the manifest.
//!
//! Both places are written and both are read. Whoever may push to a repository may put more there:
//! what is no signature that can be read is passed over, and costs the others nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Value, json};

use super::{OciError, client::Client, send};
use crate::policy::{
    Bundle, Digest, Signature, archive,
    manifest::{
        self, Descriptor, Encoded, Index, MANIFEST, Manifest, SIGNATURE, SIGNATURES, image_config,
    },
    sign,
};

/// The most manifests of signatures that are looked at.
const REFERRERS: usize = 64;
/// The most pages of their list that are read.
const PAGES: usize = 32;
/// The most blobs that are fetched.
const BLOBS: usize = 256;
/// The most signatures that are taken.
const MOST: usize = 64;

/// The signatures of a manifest.
pub(super) async fn pull(client: &Client, of: Digest) -> Result<Vec<Signature>, OciError> {
    let mut all = Vec::new();
    let mut blobs: BTreeMap<Digest, Option<Arc<[u8]>>> = BTreeMap::new();
    for target in places(client, of).await? {
        let found = client.manifest(&target).await;
        let Some(bytes) = tolerated(found)?.flatten() else { continue };
        if target.parse::<Digest>().is_ok_and(|digest| digest != Digest::of(&bytes)) {
            continue;
        }
        let Ok(one) = serde_json::from_slice::<Manifest>(&bytes) else { continue };
        for layer in manifest::signed(&one) {
            if !blobs.contains_key(&layer.digest) && blobs.len() < BLOBS {
                blobs.insert(layer.digest, tolerated(client.blob(layer).await)?);
            }
            let payload = blobs.get(&layer.digest).cloned().flatten();
            all.extend(payload.and_then(|payload| manifest::signature(layer, payload)));
        }
    }
    // Those that say something else are kept, so that it can be told, but never in the place of
    // one that counts.
    all.sort_by_key(|one| sign::subject(&one.payload) != Some(of));
    all.truncate(MOST);
    manifest::settle(&mut all);
    Ok(all)
}

/// Nothing, if a part is not there or not what it should be; an error, if the registry cannot be
/// asked, or says so: what may be signed must not pass for unsigned.
fn tolerated<T>(result: Result<T, OciError>) -> Result<Option<T>, OciError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(
            OciError::Status { status: 400 | 404 | 405 | 406 | 410, .. }
            | OciError::TooLarge { .. }
            | OciError::Damaged { .. }
            | OciError::Redirect { .. },
        ) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The manifests that may have signatures: cosign's tag, and what refers to the manifest.
async fn places(client: &Client, of: Digest) -> Result<Vec<String>, OciError> {
    let tag = archive::signature_tag(&of);
    let mut all = vec![tag];
    let mut seen = BTreeSet::new();
    let mut add = |bytes: &[u8]| {
        let list = serde_json::from_slice::<Index>(bytes).ok();
        let listed = list.into_iter().flat_map(|list| list.manifests);
        let ours =
            listed.filter(|one| one.artifact_type.as_deref().is_none_or(|it| it == SIGNATURES));
        all.extend(ours.map(|one| one.digest.to_string()).filter(|one| seen.insert(one.clone())));
        all.len() < REFERRERS
    };
    match client.referrers(&of, SIGNATURES).await? {
        Some(mut page) => {
            let mut pages = 1;
            // Whoever may push may fill many pages with what is no signature.
            while add(&page.bytes) && pages < PAGES {
                let Some(next) = page.next else { break };
                page = client.next(&next).await?;
                pages += 1;
            }
        }
        None => {
            if let Some(bytes) = tolerated(client.manifest(&referrers_tag(&of)).await)?.flatten() {
                add(&bytes);
            }
        }
    }
    all.truncate(REFERRERS);
    Ok(all)
}

/// The tag of the list of referrers in a registry that does not keep one itself.
fn referrers_tag(of: &Digest) -> String {
    of.to_string().replace(':', "-")
}

/// Push the signatures of a bundle that is there, beside those that are there.
pub(super) async fn push(client: &Client, bundle: &Bundle) -> Result<(), OciError> {
    let tag = archive::signature_tag(&bundle.digest);
    let Some(ours) = manifest::encode_signatures(bundle, None) else { return Ok(()) };
    let there = client.manifest(&tag).await?;
    let all = beside(ours, there.as_deref());
    send(client, &all, &tag).await?;

    let subject = Descriptor::of(MANIFEST, &manifest::encode(bundle).manifest);
    let Some(referrer) = manifest::encode_signatures(bundle, Some(subject)) else { return Ok(()) };
    let mut descriptor = Descriptor::of(MANIFEST, &referrer.manifest);
    descriptor.artifact_type = Some(SIGNATURES.into());
    if send(client, &referrer, &descriptor.digest.to_string()).await? {
        return Ok(());
    }
    // A registry that does not know of referrers has a list of them under a tag.
    let tag = referrers_tag(&bundle.digest);
    let there = client.manifest(&tag).await?;
    let list = listed(&descriptor, there.as_deref());
    client.put_manifest(&tag, manifest::INDEX, manifest::json(&list)).await.map(drop)
}

/// The list of referrers with one more, first: a reader takes so many. Others' entries stay as
/// they are.
fn listed(one: &Descriptor, there: Option<&[u8]>) -> Value {
    let there = there.and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
    let others = there.as_ref().and_then(|list| list["manifests"].as_array());
    let digest = one.digest.to_string();
    let others = others.into_iter().flatten().filter(|other| other["digest"] != digest);
    let all: Vec<Value> = std::iter::once(json!(one)).chain(others.cloned()).collect();
    json!({ "schemaVersion": 2, "mediaType": manifest::INDEX, "manifests": all })
}

/// A manifest of signatures with those that are there already behind ours. Others' layers stay as
/// they are: they have annotations that are not ours to lose.
fn beside(ours: Encoded, there: Option<&[u8]>) -> Encoded {
    let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    let (Some(mut manifest), Some(there)) = (parsed(&ours.manifest), there.and_then(parsed)) else {
        return ours;
    };
    let same = |a: &Value, b: &Value| {
        a["digest"] == b["digest"] && a["annotations"][SIGNATURE] == b["annotations"][SIGNATURE]
    };
    let mut layers = there["layers"].as_array().cloned().unwrap_or_default();
    let own = manifest["layers"].as_array().cloned().unwrap_or_default();
    let new: Vec<Value> =
        own.into_iter().filter(|one| !layers.iter().any(|other| same(one, other))).collect();
    layers.splice(0..0, new);
    let digests: Vec<&str> = layers.iter().filter_map(|one| one["digest"].as_str()).collect();
    let config: Arc<[u8]> = image_config(&digests).into();
    let descriptor = Descriptor::of(manifest::IMAGE_CONFIG, &config);
    let mut blobs = ours.blobs;
    blobs.insert(descriptor.digest, config);
    manifest["config"] = json!(descriptor);
    manifest["layers"] = Value::Array(layers);
    if let Some(annotations) = there.get("annotations") {
        manifest["annotations"] = annotations.clone();
    }
    Encoded { manifest: manifest::json(&manifest), blobs }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(values: &[&str]) -> Encoded {
        let signature = |value: &&str| Signature {
            payload: Arc::from(&b"{}"[..]),
            value: value.as_bytes().into(),
        };
        let bundle = Bundle {
            digest: Digest::of(b""),
            name: "prod".into(),
            sequence: 1,
            document: String::new(),
            components: BTreeMap::new(),
            signatures: values.iter().map(signature).collect(),
        };
        manifest::encode_signatures(&bundle, None).expect("signatures")
    }

    #[test]
    fn what_others_signed_stays_as_it_is() {
        let mut there: Value = serde_json::from_slice(&signed(&["a"]).manifest).expect("JSON");
        there["layers"][0]["annotations"]["theirs"] = "x".into();
        there["annotations"] = json!({ "note": "y" });
        let there = manifest::json(&there);
        let all = beside(signed(&["a", "b"]), Some(&there));
        let read: Value = serde_json::from_slice(&all.manifest).expect("JSON");
        let layers = read["layers"].as_array().expect("layers");
        assert_eq!(layers.len(), 2, "{read}");
        assert_eq!(layers[1]["annotations"]["theirs"], "x");
        assert_eq!(read["annotations"]["note"], "y");
        let config: Digest = read["config"]["digest"].as_str().expect("one").parse().expect("one");
        let config: Value = serde_json::from_slice(&all.blobs[&config]).expect("JSON");
        assert_eq!(config["rootfs"]["diff_ids"].as_array().map(Vec::len), Some(2));

        for there in [None, Some(&b"no JSON"[..])] {
            let ours = signed(&["a"]);
            assert_eq!(beside(signed(&["a"]), there).manifest, ours.manifest);
        }
    }

    #[test]
    fn a_list_of_referrers_names_each_once() {
        let (one, other) = (Descriptor::of(MANIFEST, b"1"), Descriptor::of(MANIFEST, b"2"));
        let list = manifest::json(&listed(&other, None));
        let list = manifest::json(&listed(&one, Some(&list)));
        let again = listed(&one, Some(&list));
        let digests: Vec<_> =
            again["manifests"].as_array().into_iter().flatten().map(|one| &one["digest"]).collect();
        assert_eq!(digests, [&json!(one.digest), &json!(other.digest)]);
    }
}
