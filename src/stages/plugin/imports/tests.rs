use crate::stages::plugin::imports::*;

fn scan(bytes: &[u8]) -> Result<Imports, ComponentFault> {
    inspect(bytes, &Grants::default())
}

fn parse(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the text is WebAssembly")
}

fn check(text: &str, expected: Result<Imports, ComponentFault>) {
    assert_eq!(scan(&parse(text)), expected);
}

fn stage_of(version: &str, imports: &str) -> String {
    format!(
        r#"(component {imports} (instance)
            (export "wharfinger:pipeline/stage@{version}" (instance {})))"#,
        imports.matches("(import").count()
    )
}

fn stage(imports: &str) -> String {
    stage_of("0.1.0", imports)
}

#[test]
fn what_a_file_is_is_said() {
    assert_eq!(scan(b""), Err(ComponentFault::Empty));
    assert_eq!(scan(b"#!/bin/sh\n"), Err(ComponentFault::NotWasm { found: "23 21 2f 62".into() }));
    assert_eq!(scan(b"\0"), Err(ComponentFault::NotWasm { found: "00".into() }));
    assert_eq!(scan(b"\n  (component)"), Err(ComponentFault::Text));
    assert_eq!(scan(b";; a comment\n(module)"), Err(ComponentFault::Text));
    check("(module)", Err(ComponentFault::CoreModule));
    check("(component)", Err(ComponentFault::NotAStage { found: "nothing".into() }));
    check(
        r#"(component (instance $i) (export "a:b/stage@0.1.0" (instance $i)))"#,
        Err(ComponentFault::NotAStage { found: "a:b/stage@0.1.0".into() }),
    );
    check(&stage(""), Ok(Imports::default()));
}

#[test]
fn a_stage_of_another_version_is_told_from_another_world() {
    for version in ["0.1.1", "0.2.1", "0.2.0-rc.1", "0.3.0", "1.0.0"] {
        let expected = ComponentFault::UnknownVersion { found: version.into() };
        let words = expected.to_string();
        assert!(words.contains(version) && words.contains("knows 0.1.0"), "{words}");
        check(&stage_of(version, ""), Err(expected));
    }
}

#[test]
fn a_version_to_come_is_told_from_one_that_never_was() {
    for (version, newer) in [
        ("0.2.1", true),
        ("0.3.0", true),
        ("0.3.0-rc.1", true),
        ("1.0.0", true),
        ("0.1.1", false),
        ("0.0.9", false),
        ("0.1", false),
        ("x", false),
    ] {
        let words = ComponentFault::UnknownVersion { found: version.into() }.to_string();
        assert_eq!(words.contains("a newer wharfinger"), newer, "{words}");
        assert!(words.contains("build the stage against one of these"), "{words}");
    }
}

#[test]
fn a_stage_of_several_versions_is_none_of_them() {
    for versions in [["0.1.0", "0.2.0"], ["0.2.0", "0.1.0"], ["0.2.0", "0.3.0"]] {
        let exports: String = versions
            .iter()
            .map(|version| {
                format!(r#"(export "wharfinger:pipeline/stage@{version}" (instance 0))"#)
            })
            .collect();
        let found = versions.map(String::from).to_vec();
        let fault = ComponentFault::SeveralVersions(found);
        assert!(fault.to_string().contains(&versions.join(" and ")), "{fault}");
        check(&format!("(component (instance) {exports})"), Err(fault));
    }
}

#[test]
fn what_is_of_another_version_says_so() {
    for (name, part) in [
        ("wasi:cli/environment@0.3.0", "of WASI 0.3.0"),
        ("wasi:clocks/system-clock@0.3.0-rc-2025-09-16", "of WASI 0.3.0-rc"),
        ("wasi:http/handler@0.3.0", "of WASI 0.3.0"),
        ("wharfinger:pipeline/logging@0.2.0", "of the contract's version 0.2.0"),
        ("wharfinger:pipeline/types@0.3.0", "version 0.3.0; this program knows 0.1.0, 0.2.0"),
    ] {
        let bytes = parse(&stage(&format!(r#"(import "{name}" (instance))"#)));
        let words = scan(&bytes).expect_err("it is refused").to_string();
        assert!(words.contains(name) && words.contains(part), "{words}");
    }
    let words = Refused::Ungrantable("wasi:sockets/tcp@0.2.3".into()).to_string();
    assert!(words.ends_with("which no stage can be granted"), "{words}");
}

#[test]
fn a_stage_imports_what_is_of_its_own_version() {
    for (version, found) in [("0.1.0", Version::V0_1_0), ("0.2.0", Version::V0_2_0)] {
        let import = format!(r#"(import "wharfinger:pipeline/logging@{version}" (instance))"#);
        let expected = Imports { version: found, ..Imports::default() };
        check(&stage_of(version, &import), Ok(expected));
        let other = if version == "0.1.0" { "0.2.0" } else { "0.1.0" };
        let words = scan(&parse(&stage_of(other, &import))).expect_err("it is of another version");
        assert!(words.to_string().contains("of which a stage of the same version"), "{words}");
    }
}

#[test]
fn every_message_says_what_is_wanted() {
    for fault in [
        scan(b""),
        scan(b"(component)"),
        scan(b"hello"),
        scan(&parse("(module)")),
        scan(&parse("(component)")),
    ] {
        let words = fault.expect_err("it is no stage").to_string();
        assert!(words.contains("exports wharfinger:pipeline/stage@0.1.0"), "{words}");
    }
}

#[test]
fn a_truncated_component_is_damaged() {
    let bytes = parse(&stage("(core module (func))"));
    for end in 8..bytes.len() {
        let fault = scan(&bytes[..end]).expect_err("a part is missing");
        assert!(
            matches!(fault, ComponentFault::Damaged(_) | ComponentFault::NotAStage { .. }),
            "{end}: {fault}"
        );
    }
}

#[test]
fn core_instances_are_counted_at_every_depth() {
    let inner = "(component (core module $m) (core instance (instantiate $m)) \
                 (core instance (instantiate $m)))";
    let text = stage(&format!(
        "(core module $m) (core instance (instantiate $m)) (core instance (export \"x\" \
         (instance 0))) {inner}"
    ));
    // What only gathers exports is none.
    let text = text.replace("(core instance (export \"x\" (instance 0)))", "");
    check(&text, Ok(Imports { instances: 3, ..Imports::default() }));
}

#[test]
fn an_import_is_granted_or_named() {
    let import = |name: &str| stage(&format!(r#"(import "{name}" (instance))"#));
    let refused = |name: &str| {
        check(
            &import(name),
            Err(ComponentFault::NotGranted(vec![Refused::Ungrantable(name.into())])),
        );
    };
    let wasi = || Ok(Imports { wasi: true, ..Imports::default() });
    check(&import("wharfinger:pipeline/logging@0.1.0"), Ok(Imports::default()));
    check(&import("wasi:cli/environment@0.2.3"), wasi());
    check(&import("wasi:clocks/wall-clock@0.2.3"), wasi());
    check(&import("wasi:random/random@0.2.3"), wasi());
    refused("wasi:sockets/tcp@0.2.3");
    refused("wasi:cli/environment@0.3.0");
    refused("wharfinger:pipeline/http@0.1.0");
    refused("wharfinger:pipeline/logging@0.2.0");
    refused("wharfinger:host/kv@0.2.0");
}

#[test]
fn a_capability_is_there_if_it_is_granted_and_its_line_is_said_if_not() {
    let all = Grants {
        clock: true,
        random: true,
        http: vec!["https://a.example/".parse().expect("an origin")],
        kv: Some("teams".parse().expect("a prefix")),
        ..Grants::default()
    };
    for (name, capability, line) in [
        ("wasi:clocks/wall-clock@0.2.3", Capability::Clock, None),
        ("wasi:random/random@0.2.3", Capability::Random, None),
        ("wasi:http/outgoing-handler@0.2.3", Capability::Http, Some("grant.http = [\"https://")),
        ("wharfinger:host/kv@0.1.0", Capability::Kv, Some("grant.kv = \"")),
    ] {
        let bytes = parse(&stage(&format!(r#"(import "{name}" (instance))"#)));
        let found = inspect(&bytes, &all).expect("it is granted");
        assert_eq!(found.capabilities, [capability], "{name}");
        match line {
            None => assert_eq!(scan(&bytes).expect("it is inert").capabilities, []),
            Some(line) => {
                let words = scan(&bytes).expect_err("it is not granted").to_string();
                assert!(words.contains(name) && words.contains(line), "{words}");
            }
        }
    }
}
