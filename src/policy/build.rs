//! From a configuration file to a bundle: what belongs to one host is refused, components become
//! digests, and the document is written in one form. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use toml::{Table, Value};

use super::{Bundle, Digest, manifest};
use crate::tables;

/// The tables that a policy may have.
const OURS: [&str; 4] = ["pipeline", "limits", "containers", "address"];
/// The keys of `[address]` that are true of one host only.
const OF_ONE_HOST: [&str; 2] = ["host-ipv4", "host-ipv6"];

/// Why no bundle can be made of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// It is no TOML.
    #[error("{0}: {1}")]
    Parse(String, String),
    /// Something in it is no part of a policy; every fault.
    #[error("{file}: {}", .faults.join("; "))]
    Invalid {
        /// The file.
        file: String,
        /// The faults, a text each.
        faults: Vec<String>,
    },
}

/// A file that is a policy, of whose components the sources are known, and not yet their digests.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    document: Table,
    /// The components, in the order of their stages.
    pub components: Vec<Wanted>,
}

/// A component that a stage wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The stage's place in the pipeline.
    index: usize,
    /// The stage's name.
    pub stage: String,
    /// Its place: a path, `oci://…`, or `https://…`.
    pub source: String,
    /// The digest that the file has to have, by the key `sha256`.
    pub digest: Option<Digest>,
}

impl Draft {
    /// Read the text of the file that is called `file`.
    ///
    /// # Errors
    ///
    /// It is no TOML, or it says what no policy can.
    pub fn parse(text: &str, file: &str) -> Result<Self, BuildError> {
        let mut document: Table =
            tables::read(text).map_err(|fault| BuildError::Parse(file.into(), fault))?;
        let mut faults = of_one_host(&document);
        let mut components = Vec::new();
        let stages = document.get_mut("pipeline").and_then(Value::as_array_mut);
        if stages.is_none() {
            faults.push("pipeline: it has no stage".into());
        }
        for (index, stage) in stages.into_iter().flatten().enumerate() {
            let Some(stage) = stage.as_table_mut() else { continue };
            let name = stage.get("name").and_then(Value::as_str).unwrap_or_default().to_string();
            match wanted(stage, index, &name) {
                Ok(wanted) => components.extend(wanted),
                Err(fault) => faults.push(format!("pipeline stage {name:?}: {fault}")),
            }
        }
        if components.len() > manifest::COMPONENTS {
            let most = manifest::COMPONENTS;
            faults.push(format!("pipeline: a bundle has at most {most} components"));
        }
        match faults.is_empty() {
            true => Ok(Self { document, components }),
            false => Err(BuildError::Invalid { file: file.into(), faults }),
        }
    }

    /// The bundle with these components, which stand in the order of [`Draft::components`].
    ///
    /// # Errors
    ///
    /// The name is none, or something is larger than it may be; the words say what.
    pub fn finish(
        mut self,
        name: &str,
        sequence: u64,
        contents: &[Arc<[u8]>],
    ) -> Result<Bundle, String> {
        manifest::name(name)?;
        let stages = self.document.get_mut("pipeline").and_then(Value::as_array_mut);
        let stages = stages.map(Vec::as_mut_slice).unwrap_or_default();
        let mut components = BTreeMap::new();
        for (wanted, bytes) in self.components.iter().zip(contents) {
            let digest = Digest::of(bytes);
            if bytes.len() as u64 > manifest::COMPONENT_SIZE {
                let most = manifest::COMPONENT_SIZE;
                return Err(format!("{}: a component has at most {most} bytes", wanted.source));
            }
            if let Some(Value::Table(stage)) = stages.get_mut(wanted.index) {
                stage.insert("file".into(), digest.to_string().into());
            }
            components.insert(digest, bytes.clone());
        }
        let document = toml::to_string(&self.document).map_err(|error| error.to_string())?;
        let sizes = components.values().map(|bytes| bytes.len() as u64);
        if sizes.sum::<u64>() + document.len() as u64 > manifest::WHOLE_SIZE {
            return Err(format!("a bundle has at most {} bytes", manifest::WHOLE_SIZE));
        }
        if document.len() as u64 > manifest::DOCUMENT_SIZE {
            return Err(format!("a policy has at most {} bytes", manifest::DOCUMENT_SIZE));
        }
        let digest = Digest::of(b"");
        let (name, signatures) = (name.to_string(), Vec::new());
        let bundle = Bundle { digest, name, sequence, document, components, signatures };
        complete(&bundle)?;
        let digest = Digest::of(&manifest::encode(&bundle).manifest);
        Ok(Bundle { digest, ..bundle })
    }
}

/// The file's settings that belong to one host, each with a hint.
fn of_one_host(document: &Table) -> Vec<String> {
    let others = document.keys().filter(|key| !OURS.contains(&key.as_str()));
    let mut faults: Vec<String> = others
        .map(|key| {
            format!(
                "{key}: it is no part of a policy, which has {}; what belongs to one host stays in \
                 the host's own file",
                OURS.join(", ")
            )
        })
        .collect();
    let address = document.get("address").and_then(Value::as_table);
    for key in OF_ONE_HOST {
        if address.is_some_and(|table| table.contains_key(key)) {
            let hint = "it is true of one host only; leave it to the host's own file";
            faults.push(format!("address.{key}: {hint}"));
        }
    }
    faults
}

/// The component that a stage names; its key `sha256`, which is for the builder alone, is removed.
fn wanted(stage: &mut Table, index: usize, name: &str) -> Result<Option<Wanted>, String> {
    let digest = match stage.remove("sha256") {
        None => None,
        Some(Value::String(text)) => {
            let whole = if text.contains(':') { text } else { format!("sha256:{text}") };
            Some(whole.parse::<Digest>().map_err(|error| format!("sha256: {error}"))?)
        }
        Some(_) => return Err("sha256: it is no text".into()),
    };
    let source = match stage.get("file") {
        None if digest.is_some() => return Err("sha256: there is no file that it is of".into()),
        None => return Ok(None),
        Some(Value::String(source)) => source.clone(),
        Some(_) => return Err("file: it is no text".into()),
    };
    if source.starts_with("http://") {
        return Err("file: http:// is not spoken; use https:// with sha256".into());
    }
    if source.starts_with("https://") && digest.is_none() {
        return Err(format!("file: {source} needs the key sha256 beside it"));
    }
    if source.starts_with("sha256:") {
        return Err("file: a digest says not where the component is; name a file".into());
    }
    Ok(Some(Wanted { index, stage: name.into(), source, digest }))
}

/// Whether the document names all components of a bundle, and no other file.
pub(super) fn complete(bundle: &Bundle) -> Result<(), String> {
    let text = &bundle.document;
    let document: Table = tables::read(text)?;
    if let Some(fault) = of_one_host(&document).into_iter().next() {
        return Err(fault);
    }
    let mut named = BTreeSet::new();
    for stage in stages(&document) {
        let Some(file) = stage.get("file") else { continue };
        let name = stage.get("name").and_then(Value::as_str).unwrap_or_default();
        let digest = file.as_str().and_then(|text| text.parse::<Digest>().ok());
        let Some(digest) = digest else {
            return Err(format!("stage {name:?}: file is {file}, not the digest of a component"));
        };
        if !bundle.components.contains_key(&digest) {
            return Err(format!("stage {name:?}: the component {digest} is not in the bundle"));
        }
        named.insert(digest);
    }
    match bundle.components.keys().find(|digest| !named.contains(digest)) {
        Some(digest) => Err(format!("no stage names the component {digest}")),
        None => Ok(()),
    }
}

/// The stages of a document.
pub(super) fn stages(document: &Table) -> impl Iterator<Item = &Table> {
    let all = document.get("pipeline").and_then(Value::as_array);
    all.into_iter().flatten().filter_map(Value::as_table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> String {
        Draft::parse(text, "w.toml").expect_err("it is no policy").to_string()
    }

    #[test]
    fn what_belongs_to_one_host_is_refused_by_name() {
        let stage = "[[pipeline]]\nname = 'a'\nbuiltin = 'registrator'\n";
        for table in [
            "host",
            "registry",
            "daemon",
            "listen",
            "cache",
            "decisions",
            "telemetry",
            "registrator",
            "guard",
            "lifecycle",
            "policy",
            "unheard-of",
        ] {
            let said = faults(&format!("[{table}]\n{stage}"));
            assert!(said.contains(&format!("{table}: it is no part of a policy")), "{said}");
        }
        for (text, fault) in [
            ("compat = 'registrator'\n", "compat: it is no part"),
            ("[address]\nhost-ipv4 = '10.0.0.1'\n", "address.host-ipv4: it is true of one host"),
            ("[limits]\n", "pipeline: it has no stage"),
            ("[[pipeline]]\nname = 'b'\nfile = 'https://x/y.wasm'\n", "needs the key sha256"),
            ("[[pipeline]]\nname = 'b'\nfile = 'http://x/y.wasm'\n", "http:// is not spoken"),
            ("[[pipeline]]\nname = 'b'\nsha256 = '00'\n", "stage \"b\": sha256: "),
            ("pipeline = ", "line 1"),
        ] {
            let said = faults(text);
            assert!(said.contains("w.toml") && said.contains(fault), "{text}: {said}");
        }
    }

    #[test]
    fn the_same_policy_is_the_same_bundle_however_it_is_written() {
        let one =
            "[limits]\ntags = 5\n[[pipeline]]\nname = 'a'\nfile = 'a.wasm'\nmode = 'monitor'\n";
        let other = "# note\n[[pipeline]]\nmode = \"monitor\"\nfile = './x/a.wasm'\nname = 'a'\n\
                     [limits]\ntags = 5\n";
        let bundle = |text: &str| {
            let draft = Draft::parse(text, "w.toml").expect(text);
            draft.finish("prod", 1, &[Arc::from(&b"code"[..])]).expect("a bundle")
        };
        assert_eq!(bundle(one), bundle(other));
        let file = format!("file = \"{}\"", Digest::of(b"code"));
        assert!(bundle(one).document.contains(&file), "{}", bundle(one).document);
    }
}
