//! Lists the files that `wharfinger plugin new` writes, so that the program has
//! them in itself: the examples, the SDK's sources and the contract. And asks the
//! linker for a smaller program, where it is known to understand that.

use std::{
    env,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use miniz_oxide::deflate::compress_to_vec;

/// Folders of which every file is embedded.
const FOLDERS: [&str; 4] = ["plugins/blank", "plugins/examples", "plugins/sdk", "wit"];
/// Single files.
const FILES: [&str; 2] = ["plugins/Cargo.toml", "plugins/earlier.txt"];
/// How hard it is tried to make them small, of ten.
const LEVEL: u8 = 9;
/// What a build leaves behind.
const PRODUCTS: [&str; 8] = [
    "target",
    "build",
    "dist",
    "node_modules",
    ".venv",
    "__pycache__",
    ".pytest_cache",
    ".mypy_cache",
];

/// All functions of libraries are found at the start, so that the table of their addresses can be written no
/// more. Rust says it by itself but where it is told to call functions without a table, as `.cargo/config.toml`
/// does.
const SEALED: &str = "-z,now";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let linux = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    let flags = linux.then(|| linker_flags().into_iter().chain(without_symbols()).chain([SEALED]));
    for flag in flags.into_iter().flatten() {
        println!("cargo::rustc-link-arg-bins=-Wl,{flag}");
    }
    let root =
        PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("Cargo says where the crate is"));
    let mut files: Vec<PathBuf> = FILES.iter().map(PathBuf::from).collect();
    for folder in FOLDERS {
        if root.join(folder).is_dir() {
            walk(&root, Path::new(folder), &mut files)?;
        }
    }
    files.sort();
    let (mut code, mut whole) = (String::from("static FILES: &[Part] = &[\n"), Vec::new());
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
        let path = file.to_str().expect("the names of our own files are plain text");
        let start = whole.len();
        whole.extend(fs::read(root.join(file))?);
        let _ = writeln!(code, "    Part {{ path: {path:?}, place: {start}..{} }},", whole.len());
    }
    code.push_str("];\n");
    let out = PathBuf::from(env::var("OUT_DIR").expect("Cargo says where the output goes"));
    // Together they take a fifth of the room.
    fs::write(out.join("embedded.deflate"), compress_to_vec(&whole, LEVEL))?;
    fs::write(out.join("embedded.rs"), code)
}

/// The files below a folder. Cargo looks at a folder with all that is in it, so
/// that only those are watched where no build leaves anything.
fn walk(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<bool> {
    let mut pure = true;
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name();
        let path = folder.join(&name);
        if PRODUCTS.iter().any(|product| name == *product) {
            pure = false;
        } else if root.join(&path).is_dir() {
            // Also one that a link leads to: an example has the contract so.
            pure &= walk(root, &path, files)?;
        } else {
            files.push(path);
        }
    }
    if pure {
        println!("cargo::rerun-if-changed={}", folder.display());
    }
    Ok(pure)
}

/// What is shipped has no symbols, which are a quarter of it. Cargo's own `strip` does not reach a
/// package for which a profile says something else, and what is worked with is better off with them.
fn without_symbols() -> Option<&'static str> {
    env::var("OPT_LEVEL").is_ok_and(|level| level != "0").then_some("-s")
}

/// What makes the program smaller by a tenth. Rust's own linker, which is the default
/// on this target, can fold functions of the same code, and the C library from 2.36
/// on reads relocations in a compact form.
fn linker_flags() -> Vec<&'static str> {
    let own_choice = env::var_os("RUSTC_LINKER").is_some()
        || env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("link"));
    let target = env::var("TARGET").unwrap_or_default();
    if own_choice || target != "x86_64-unknown-linux-gnu" || env::var("HOST") != Ok(target) {
        return Vec::new();
    }
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = said(Command::new(rustc).args(["--print", "sysroot"]));
    let linker = "lib/rustlib/x86_64-unknown-linux-gnu/bin/gcc-ld/ld.lld";
    if !sysroot.is_some_and(|sysroot| Path::new(&sysroot).join(linker).exists()) {
        return Vec::new();
    }
    let library = said(Command::new("getconf").arg("GNU_LIBC_VERSION")).unwrap_or_default();
    let version = library.strip_prefix("glibc 2.").and_then(|minor| minor.parse::<u32>().ok());
    match version {
        Some(36..) => vec!["--icf=all", "-z,pack-relative-relocs"],
        _ => vec!["--icf=all"],
    }
}

/// What a command prints, if it can be run and ends well.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_string())
}
