//! A single component in a registry, in the form that other tools read: one layer of
//! `application/wasm`, with a config that says what the component imports and exports.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use super::OciError;
use crate::policy::{
    Digest,
    manifest::{
        self, COMPONENT, COMPONENT_SIZE, Descriptor, Encoded, MANIFEST, Manifest, Reader, TITLE,
    },
};

const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// The layer's media type before there was a common one.
const OLDER: &str = "application/vnd.wasm.content.layer.v1+wasm";

/// A component, and what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The file.
    pub bytes: Arc<[u8]>,
    /// The name of the file, for tools that write one.
    pub title: String,
    /// The names of its imports.
    pub imports: Vec<String>,
    /// The names of its exports.
    pub exports: Vec<String>,
}

/// The blobs and the manifest of a component.
pub(super) fn encode(component: &Component) -> Encoded {
    let digest = Digest::of(&component.bytes);
    let config = json!({
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [digest],
        "component": { "imports": component.imports, "exports": component.exports },
    });
    let config: Arc<[u8]> = manifest::json(&config).into();
    let layer = Descriptor { digest, ..Descriptor::of(COMPONENT, &[]) };
    let layer = Descriptor { size: component.bytes.len() as u64, ..layer };
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MANIFEST.into()),
        artifact_type: None,
        config: Descriptor::of(CONFIG, &config),
        layers: vec![layer.with(TITLE, &*component.title)],
        subject: None,
    };
    let blobs =
        BTreeMap::from([(manifest.config.digest, config), (digest, component.bytes.clone())]);
    Encoded { manifest: manifest::json(&manifest), blobs }
}

/// The one layer of a manifest, which is the component.
pub(super) fn layer(bytes: &[u8], reader: &Reader<'_>) -> Result<Descriptor, OciError> {
    let manifest: Manifest = reader.json("the manifest", bytes)?;
    match &manifest.layers[..] {
        [one] if [COMPONENT, OLDER].contains(&one.media_type.as_str()) => {
            reader.bounded("the component", one.size, COMPONENT_SIZE)?;
            Ok(one.clone())
        }
        others => {
            let kinds: Vec<_> =
                others.iter().take(4).map(|one| format!("{:?}", one.media_type)).collect();
            let kinds = if kinds.is_empty() { "none".into() } else { kinds.join(", ") };
            let reason = format!("a component is one layer of {COMPONENT:?}, and here is {kinds}");
            Err(reader.invalid("the manifest", reason).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_found_in_what_is_written() {
        let bytes: Arc<[u8]> = Arc::from(&b"\0asm"[..]);
        let component = Component {
            bytes: bytes.clone(),
            title: "a.wasm".into(),
            imports: vec!["wasi:io/poll@0.2.0".into()],
            exports: vec!["a:b/c@0.1.0".into()],
        };
        let reader = Reader { file: "oci://r/a" };
        let encoded = encode(&component);
        let found = layer(&encoded.manifest, &reader).expect("a component");
        assert_eq!((found.digest, found.size), (Digest::of(&bytes), 4));
        let text = String::from_utf8(encoded.manifest).expect("text");
        for (from, to, fault) in [
            ("\"size\":4", "\"size\":10737418240", "10737418240 bytes"),
            (COMPONENT, "text/plain", "a component is one layer"),
            ("\"layers\":[", "\"layers\":[],\"lay\":[", "a component is one layer"),
            ("\"config\":", "\"conf\":", "missing field `config`"),
        ] {
            let said = layer(text.replace(from, to).as_bytes(), &reader).expect_err(from);
            assert!(said.to_string().contains(fault), "{said}");
        }
        let twice = text.replace(
            "\"layers\":[{",
            &format!(
                "\"layers\":[{{\"mediaType\":{COMPONENT:?},\"digest\":\"{}\",\"size\":1}},{{",
                Digest::of(b"x")
            ),
        );
        assert!(layer(twice.as_bytes(), &reader).is_err(), "{twice}");
    }
}
