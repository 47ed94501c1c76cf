//! The kind of a file and its imports, found out before anything is compiled.

mod parts;

use crate::stages::plugin::{
    grants::{Capability, Grants},
    version::Version,
};
use parts::outline;

/// The contract's package.
const PACKAGE: &str = "wharfinger:pipeline/";

/// Parts of WASI that every component of some toolchains imports, needed or
/// not. They are linked to implementations that give nothing away and touch
/// nothing. An import that is neither here nor a capability, such as sockets, is
/// refused.
const INERT: [&str; 5] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/"];

/// The imports that a component is linked with, and the numbers of its parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Imports {
    /// The contract's version.
    pub(super) version: Version,
    /// It imports parts of WASI.
    pub(super) wasi: bool,
    /// The capabilities that it imports and is granted.
    pub(super) capabilities: Vec<Capability>,
    /// The core instances that it is made of, those of its parts included.
    pub(super) instances: u32,
    /// The tables of the module that has the most.
    pub(super) tables: u32,
}

/// Why a file is no component that can be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComponentFault {
    /// There is nothing in it.
    #[error("an empty file; {}", wanted())]
    Empty,
    /// It is WebAssembly in its text form.
    #[error("WebAssembly in its text form; {}: make it with `wasm-tools parse`", wanted())]
    Text,
    /// It is something else.
    #[error("not a WebAssembly file: it begins with {found}, not with 00 61 73 6d; {}", wanted())]
    NotWasm {
        /// Its first bytes in hexadecimal.
        found: String,
    },
    /// It is a core module.
    #[error(
        "a core module, not a component; {}: build it for the target wasm32-wasip2, or turn it \
         into a component with `wasm-tools component new`",
        wanted()
    )]
    CoreModule,
    /// It is damaged.
    #[error("a damaged component: {0}")]
    Damaged(String),
    /// Its parts are made of more parts, and so on.
    #[error("made of {found} instances of components, of which a stage may have {limit}")]
    Sprawling {
        /// The number of instances, as far as they were counted.
        found: u64,
        /// The most that there may be.
        limit: u64,
    },
    /// Its parts cannot be counted.
    #[error("it instantiates components that it is handed, so that nobody knows how many")]
    Unbounded,
    /// It exports a stage of another version of the contract.
    #[error("a stage of the contract's version {found}; this program knows {}: {}",
        known(), way_out(.found))]
    UnknownVersion {
        /// The version that it was built against.
        found: String,
    },
    /// It exports a stage more than once, for several versions of the contract.
    #[error(
        "a stage of several versions of the contract, {}: it would have to be guessed which one is \
         meant, so build it against one", .0.join(" and ")
    )]
    SeveralVersions(Vec<String>),
    /// It does not export a stage.
    #[error("a component of another world: it exports {found}; {}", wanted())]
    NotAStage {
        /// Its exports.
        found: String,
    },
    /// It has imports that are not granted, or cannot be.
    #[error("imports {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; it imports "))]
    NotGranted(Vec<Refused>),
}

/// An import that is not granted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The operator could grant it.
    #[error("{import}, which is not granted: if it is to have it, add `{line}` to the stage")]
    Ungranted {
        /// The import.
        import: String,
        /// The line of the configuration that grants it.
        line: &'static str,
    },
    /// Nobody can grant it.
    #[error("{}, which no stage can be granted{}", .0, why_not(.0))]
    Ungrantable(String),
}

/// The remedy for a stage of a version that has no adapter.
fn way_out(found: &str) -> &'static str {
    let newest = Version::ALL.iter().filter_map(|version| numbers(version.number())).max();
    match numbers(found) {
        Some(numbers) if Some(numbers) > newest => {
            "it is of a version to come, so use a newer wharfinger, or build the stage against one of \
             these"
        }
        _ => "build the stage against one of these",
    }
}

/// A version as what it is compared by.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let release = version.split(['-', '+']).next()?;
    let numbers: Result<Vec<u64>, _> = release.split('.').map(str::parse).collect();
    numbers.ok()?.try_into().ok()
}

/// Why something cannot be granted, where it is of another version than what could be.
fn why_not(import: &str) -> String {
    let Some((name, version)) = import.split_once('@') else { return String::new() };
    if name.starts_with("wasi:") && !version.starts_with("0.2.") {
        return format!(
            ": it is of WASI {version}, and this program knows 0.2; build the stage for the target \
             wasm32-wasip2"
        );
    }
    if name.starts_with(PACKAGE) {
        return match Version::of(version) {
            None => format!(
                ": it is of the contract's version {version}; this program knows {}",
                known()
            ),
            Some(_) => format!(
                ": it is of the contract's version {version}, of which a stage of the same version \
                 may import logging and types"
            ),
        };
    }
    String::new()
}

fn wanted() -> String {
    let exports: Vec<_> =
        Version::ALL.iter().map(|it| format!("{PACKAGE}stage@{}", it.number())).collect();
    format!("wanted is a component that exports {}", exports.join(" or "))
}

/// The versions of the contract that there is an adapter for, for people.
fn known() -> String {
    Version::ALL.map(Version::number).join(", ")
}

/// Look at a file without compiling it.
pub(super) fn inspect(bytes: &[u8], grants: &Grants) -> Result<Imports, ComponentFault> {
    let Parts { version, imports, instances, tables } = parts(bytes)?;
    let mut found = Imports { version, instances, tables, ..Imports::default() };
    let mut refused = Vec::new();
    for name in imports {
        match admit(&name, version, grants) {
            Ok(Admitted::Contract) => {}
            Ok(Admitted::Wasi(capability)) => {
                found.wasi = true;
                found.capabilities.extend(capability);
            }
            Ok(Admitted::Own(capability)) => found.capabilities.push(capability),
            Err(reason) => refused.push(reason),
        }
    }
    found.capabilities.sort();
    found.capabilities.dedup();
    if refused.is_empty() { Ok(found) } else { Err(ComponentFault::NotGranted(refused)) }
}

/// The parts of a stage; an error if the file is none.
pub(super) fn parts(bytes: &[u8]) -> Result<Parts, ComponentFault> {
    recognise(bytes)?;
    let parts::Outline { imports, exports, instances, tables } = outline(bytes)?;
    let stages: Vec<_> = exports
        .iter()
        .filter_map(|name| name.strip_prefix(PACKAGE)?.strip_prefix("stage@"))
        .collect();
    match stages[..] {
        [] => {}
        [found] => {
            return match Version::of(found) {
                Some(version) => Ok(Parts { version, imports, instances, tables }),
                None => Err(ComponentFault::UnknownVersion { found: shown(found) }),
            };
        }
        _ => {
            let found = stages.into_iter().map(shown).collect();
            return Err(ComponentFault::SeveralVersions(found));
        }
    }
    let found = if exports.is_empty() { "nothing".into() } else { shown(&exports.join(", ")) };
    Err(ComponentFault::NotAStage { found })
}

/// The contract's version, the imports and the numbers of parts of a stage.
pub(super) struct Parts {
    /// The contract's version.
    pub(super) version: Version,
    /// Its imports, in its own order.
    pub(super) imports: Vec<String>,
    /// The core instances that it is made of, those of its parts included.
    pub(super) instances: u32,
    /// The tables of the module that has the most.
    pub(super) tables: u32,
}

/// Check by its first bytes that a file is WebAssembly in its binary form.
fn recognise(bytes: &[u8]) -> Result<(), ComponentFault> {
    if bytes.is_empty() {
        return Err(ComponentFault::Empty);
    }
    if bytes.starts_with(b"\0asm") {
        return Ok(());
    }
    let text = bytes.trim_ascii_start();
    if text.starts_with(b"(component") || text.starts_with(b"(module") || text.starts_with(b";;") {
        return Err(ComponentFault::Text);
    }
    let first = &bytes[..bytes.len().min(4)];
    let found: Vec<_> = first.iter().map(|byte| format!("{byte:02x}")).collect();
    Err(ComponentFault::NotWasm { found: found.join(" ") })
}

fn damaged(error: wasmparser::BinaryReaderError) -> ComponentFault {
    ComponentFault::Damaged(error.to_string())
}

/// A text from a component, short enough for a message and on one line.
pub(super) fn shown(text: &str) -> String {
    let head: String = text.chars().take(200).collect();
    crate::text::shown(&head.replace(char::is_control, " ")).into_owned()
}

pub(super) enum Admitted {
    Contract,
    /// A part of WASI, real if the capability is there, inert if not.
    Wasi(Option<Capability>),
    Own(Capability),
}

/// The meaning of an import of a stage of this version, under these grants.
pub(super) fn admit(name: &str, version: Version, grants: &Grants) -> Result<Admitted, Refused> {
    let number = version.number();
    if ["logging", "types"].iter().any(|part| name == format!("{PACKAGE}{part}@{number}")) {
        return Ok(Admitted::Contract);
    }
    if let Some(capability) = Capability::of_import(name) {
        return match (grants.has(capability), capability.is_inert_otherwise()) {
            (true, _) if capability == Capability::Kv => Ok(Admitted::Own(capability)),
            (true, _) => Ok(Admitted::Wasi(Some(capability))),
            (false, true) => Ok(Admitted::Wasi(None)),
            (false, false) => {
                Err(Refused::Ungranted { import: shown(name), line: capability.line() })
            }
        };
    }
    if INERT.iter().any(|prefix| name.starts_with(prefix)) && name.contains("@0.2.") {
        return Ok(Admitted::Wasi(None));
    }
    Err(Refused::Ungrantable(shown(name)))
}

#[cfg(test)]
mod tests;
