//! Components that are written by hand, for what no compiler would make.

/// What a core module needs to be a stage, apart from two functions: it describes
/// itself with empty texts. Address 1024 and the 3 KiB behind it stay zero.
const FRAME: &str = r#"
    (import "wharfinger:pipeline/logging@0.1.0" "log" (func $log (param i32 i32 i32)))
    (memory (export "memory") 2)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (local $at i32)
        (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
        (global.set $free (i32.add (local.get $at) (local.get 3)))
        (local.get $at))
    (global $free (mut i32) (i32.const 65536))
    (func (export "wharfinger:pipeline/stage@0.1.0#describe") (result i32) (i32.const 1024))
"#;

/// Keeps the one service that is proposed: at 512 there is `ok`, with a list of
/// one verdict at 1024, where there are zeros, which mean `keep`.
pub const KEEP: &str = "(i32.store (i32.const 516) (i32.const 1024))
    (i32.store (i32.const 520) (i32.const 1))
    (i32.const 512)";

/// The versions of the contract that stages can be written against here.
pub const VERSIONS: [&str; 2] = ["0.1.0", "0.2.0"];

/// A stage whose `process` has this body, beside these other parts of its core
/// module. The body returns the address of the result.
pub fn stage(parts: &str, process: &str) -> Vec<u8> {
    stage_validating(parts, "(i32.const 1024)", process)
}

/// The same of this version of the contract.
pub fn stage_of(version: &str, parts: &str, process: &str) -> Vec<u8> {
    component(version, &module(parts, "(i32.const 1024)", process))
}

/// The facts that a stage can want, in the order of the contract's flags.
pub const FACTS: [&str; 4] = ["image", "setup", "agent", "engine"];

/// A stage of version 0.2.0 that wants these facts. Its description is at 8192, where the flags are
/// the 37th byte.
pub fn stage_wanting(wants: &[&str], process: &str) -> Vec<u8> {
    let bit = |(n, fact): (usize, &&str)| u8::from(wants.contains(fact)) << n;
    let flags: u8 = FACTS.iter().enumerate().map(bit).sum();
    let parts = format!(r#"(data (i32.const {}) "\{flags:02x}")"#, 8192 + 36);
    let module = module(&parts, "(i32.const 1024)", process);
    let describe = r#"stage@0.1.0#describe") (result i32) (i32.const "#;
    let elsewhere = module.replace(&format!("{describe}1024)"), &format!("{describe}8192)"));
    assert_ne!(elsewhere, module, "the frame has a description");
    component("0.2.0", &elsewhere)
}

/// A stage whose `validate-settings`, too, has a body of its own.
pub fn stage_validating(parts: &str, validate: &str, process: &str) -> Vec<u8> {
    component(VERSIONS[0], &module(parts, validate, process))
}

/// The core module of a stage of the first version.
fn module(parts: &str, validate: &str, process: &str) -> String {
    format!(
        r#"(core module $main {FRAME} {parts}
            (func (export "wharfinger:pipeline/stage@0.1.0#validate-settings")
                (param i32 i32) (result i32) {validate})
            (func (export "wharfinger:pipeline/stage@0.1.0#process")
                (param i32) (result i32) {process}))"#
    )
}

/// The component of a core module that is written against a version of the contract.
fn component(version: &str, module: &str) -> Vec<u8> {
    let frame = match version {
        "0.1.0" => "frame.wat".to_string(),
        _ => format!("frame-{version}.wat"),
    };
    let frame = super::root().join("tests/fixtures/components").join(frame);
    let frame = std::fs::read_to_string(frame).expect("the fixture is there");
    let module = module.replace(VERSIONS[0], version);
    wat::parse_str(frame.replace(";; The module stands here.", &module))
        .unwrap_or_else(|error| panic!("{error}"))
}
