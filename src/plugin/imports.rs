//! What a file is and what it imports, found out before anything is compiled.

use wasmparser::{Encoding, Parser, Payload};

/// The contract's package and version.
const PACKAGE: &str = "wharfinger:pipeline/";
const VERSION: &str = "0.1.0";

/// Parts of WASI that every component of some toolchains imports, needed or
/// not. They are linked to implementations that give nothing away and touch
/// nothing. What is not in this list, such as sockets, is refused.
const INERT: [&str; 5] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/"];

/// What a component needs to be linked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Imports {
    /// It imports parts of WASI.
    pub(super) wasi: bool,
}

/// Why a file is no component that can be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidComponent(pub ComponentFault);

/// What is wrong with a file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComponentFault {
    /// It is something else.
    #[error("not a WebAssembly file")]
    NotWasm,
    /// It is a core module.
    #[error(
        "a core module, not a component: build it for the target wasm32-wasip2, or turn it into \
         a component with `wasm-tools component new`"
    )]
    CoreModule,
    /// It is damaged.
    #[error("a damaged component: {0}")]
    Damaged(String),
    /// It does not export a stage.
    #[error("a component that exports {found}; a stage exports {PACKAGE}stage@{VERSION}")]
    NotAStage {
        /// What it exports instead.
        found: String,
    },
    /// It imports what is not granted.
    #[error(
        "imports {0}, which is not granted: a stage may import {PACKAGE}logging@{VERSION} only"
    )]
    NotGranted(String),
}

/// Look at a file without compiling it.
pub(super) fn inspect(bytes: &[u8]) -> Result<Imports, InvalidComponent> {
    scan(bytes).map_err(InvalidComponent)
}

fn scan(bytes: &[u8]) -> Result<Imports, ComponentFault> {
    let damaged = |error: wasmparser::BinaryReaderError| ComponentFault::Damaged(error.to_string());
    if !bytes.starts_with(b"\0asm") {
        return Err(ComponentFault::NotWasm);
    }
    let (mut depth, mut imports, mut exports) = (0, Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(damaged)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(ComponentFault::CoreModule);
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.map_err(damaged)?.name.name.to_string());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export.map_err(damaged)?.name.name.to_string());
                }
            }
            _ => {}
        }
    }
    if !exports.contains(&format!("{PACKAGE}stage@{VERSION}")) {
        let found = if exports.is_empty() { "nothing".into() } else { exports.join(", ") };
        return Err(ComponentFault::NotAStage { found });
    }
    let contract = |name: &str| {
        name.strip_prefix(PACKAGE).is_some_and(|rest| {
            rest.strip_suffix(VERSION)
                .is_some_and(|interface| matches!(interface, "logging@" | "types@"))
        })
    };
    let inert =
        |name: &str| INERT.iter().any(|prefix| name.starts_with(prefix)) && name.contains("@0.2.");
    let mut wasi = false;
    for name in imports {
        if inert(&name) {
            wasi = true;
        } else if !contract(&name) {
            return Err(ComponentFault::NotGranted(name));
        }
    }
    Ok(Imports { wasi })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<Imports, ComponentFault>) {
        assert_eq!(scan(&wat::parse_str(text).expect("the text is WebAssembly")), expected);
    }

    fn stage(imports: &str) -> String {
        format!(
            r#"(component {imports} (instance)
                (export "wharfinger:pipeline/stage@0.1.0" (instance {})))"#,
            imports.matches("(import").count()
        )
    }

    #[test]
    fn what_a_file_is_is_said() {
        assert_eq!(scan(b"#!/bin/sh\n"), Err(ComponentFault::NotWasm));
        assert_eq!(scan(b""), Err(ComponentFault::NotWasm));
        check("(module)", Err(ComponentFault::CoreModule));
        check("(component)", Err(ComponentFault::NotAStage { found: "nothing".into() }));
        check(
            r#"(component (instance $i) (export "a:b/stage@0.1.0" (instance $i)))"#,
            Err(ComponentFault::NotAStage { found: "a:b/stage@0.1.0".into() }),
        );
        check(&stage(""), Ok(Imports { wasi: false }));
    }

    #[test]
    fn a_truncated_component_is_damaged() {
        let bytes = wat::parse_str(stage("(core module (func))")).expect("a component");
        for end in 8..bytes.len() {
            let fault = scan(&bytes[..end]).expect_err("a part is missing");
            assert!(
                matches!(fault, ComponentFault::Damaged(_) | ComponentFault::NotAStage { .. }),
                "{end}: {fault}"
            );
        }
    }

    #[test]
    fn an_import_is_granted_or_named() {
        let import = |name: &str| stage(&format!(r#"(import "{name}" (instance))"#));
        let refused =
            |name: &str| check(&import(name), Err(ComponentFault::NotGranted(name.into())));
        check(&import("wharfinger:pipeline/logging@0.1.0"), Ok(Imports { wasi: false }));
        check(&import("wasi:cli/environment@0.2.3"), Ok(Imports { wasi: true }));
        refused("wasi:sockets/tcp@0.2.3");
        refused("wasi:http/outgoing-handler@0.2.3");
        refused("wasi:cli/environment@0.3.0");
        refused("wharfinger:pipeline/http@0.1.0");
        refused("wharfinger:pipeline/logging@0.2.0");
    }
}
