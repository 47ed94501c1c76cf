//! The program as it is shipped: small, and hard to misuse.

use std::{fs, path::Path, process::Command};

use crate::common::{daemon::Daemon, root};

/// A bare host of the engine has 13.8 MB.
const MOST_BYTES: u64 = 25_000_000;

#[test]
fn the_program_is_small_and_sealed() {
    let program = Daemon::binary();
    // At a place that differs from start to start, and after that nothing of the tables by which it finds
    // functions and values can be written.
    assert!(elf(program, "--file-header").contains("DYN"), "it is at one place always");
    assert!(elf(program, "--segments").contains("GNU_RELRO"), "its tables can be written");
    let dynamic = elf(program, "--dynamic");
    assert!(dynamic.contains("NOW"), "{dynamic}");
    // What the tests are otherwise run with is compiled fast and is large.
    if !program.starts_with(root().join("dist")) {
        return;
    }
    let size = fs::metadata(program).expect("the program is there").len();
    assert!(
        size < MOST_BYTES,
        "{} has {size} bytes (where RUSTFLAGS is set, the flags of .cargo/config.toml are not)",
        program.display()
    );
    let sections = elf(program, "--sections");
    assert!(!sections.contains(".symtab"), "it has symbols, which are a quarter of it: {sections}");
}

/// What binutils, which come with any C compiler, say of a program.
fn elf(program: &Path, what: &str) -> String {
    let output = Command::new("readelf").arg("--wide").arg(what).arg(program).output();
    let output = output.expect("readelf, of binutils, is installed");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
