//! The outline of a component's file, without running anything of it: for its
//! author and for the operator who is to decide what it is granted.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::stages::plugin::{
    LoadError, file,
    grants::{Capability, Grants},
    hex,
    imports::{self, Admitted, Refused},
    version::Version,
};

/// The outline of a component, by its file alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The contract's version that it was built against.
    pub contract: &'static str,
    /// The versions after that one, and what a stage of each of them does, as words after "it".
    pub later: Vec<(&'static str, &'static str)>,
    /// The size of the file in bytes.
    pub size: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub digest: String,
    /// The core instances that it is made of.
    pub instances: u32,
    /// Its imports, in its own order.
    pub imports: Vec<Import>,
}

/// Something that a component imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The interface, on one line.
    pub name: String,
    /// The meaning for a stage that imports it.
    pub meaning: Meaning,
}

/// The meaning of an import: what a stage gets for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// It is part of the contract.
    Contract,
    /// Something that gives nothing away.
    Inert,
    /// Something that gives nothing away, unless it is granted by this line.
    InertUnless(&'static str),
    /// Nothing: the component is refused, unless it is granted by this line.
    Needs(&'static str),
    /// Nothing: the component is refused.
    Refused,
}

impl Outline {
    /// Look at a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no stage of a version of the contract that this
    /// program knows.
    pub fn of(path: &Path) -> Result<Self, LoadError> {
        let bytes = file::read(path)?;
        let parts =
            imports::parts(&bytes).map_err(|fault| LoadError::Invalid(path.into(), fault))?;
        let import = |name: &String| Import {
            name: imports::shown(name),
            meaning: meaning(name, parts.version),
        };
        Ok(Self {
            contract: parts.version.number(),
            later: parts.version.later(),
            size: bytes.len() as u64,
            digest: hex(&Sha256::digest(&bytes)),
            instances: parts.instances,
            imports: parts.imports.iter().map(import).collect(),
        })
    }

    /// The contract's package and world, as a WIT file names them.
    pub fn world(&self) -> String {
        format!("wharfinger:pipeline/stage-component@{}", self.contract)
    }
}

fn meaning(name: &str, version: Version) -> Meaning {
    let capability = Capability::of_import(name);
    match (imports::admit(name, version, &Grants::default()), capability) {
        (Ok(Admitted::Contract), _) => Meaning::Contract,
        (Ok(_), Some(capability)) => Meaning::InertUnless(capability.line()),
        (Ok(_), None) => Meaning::Inert,
        (Err(Refused::Ungranted { line, .. }), _) => Meaning::Needs(line),
        (Err(Refused::Ungrantable(_)), _) => Meaning::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_says_what_it_takes_to_get_it() {
        for (name, expected) in [
            ("wharfinger:pipeline/logging@0.1.0", Meaning::Contract),
            ("wharfinger:pipeline/types@0.1.0", Meaning::Contract),
            ("wasi:cli/environment@0.2.3", Meaning::Inert),
            ("wasi:clocks/wall-clock@0.2.0", Meaning::InertUnless("grant.clock = true")),
            ("wasi:random/random@0.2.0", Meaning::InertUnless("grant.random = true")),
            ("wharfinger:host/kv@0.1.0", Meaning::Needs(r#"grant.kv = "PREFIX""#)),
            ("wasi:sockets/tcp@0.2.0", Meaning::Refused),
            ("wharfinger:pipeline/logging@0.2.0", Meaning::Refused),
        ] {
            assert_eq!(meaning(name, Version::V0_1_0), expected, "{name}");
        }
        let http = meaning("wasi:http/outgoing-handler@0.2.0", Version::V0_2_0);
        assert!(matches!(http, Meaning::Needs(line) if line.starts_with("grant.http")), "{http:?}");
    }
}
