//! Lists the files that `wharfinger plugin new` writes, so that the program has
//! them in itself: the examples, the SDK's sources and the contract.

use std::{
    env,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

/// Folders of which every file is embedded.
const FOLDERS: [&str; 3] = ["plugins/examples", "plugins/sdk", "wit"];
/// Single files.
const FILES: [&str; 1] = ["plugins/Cargo.toml"];
/// What a build leaves behind.
const PRODUCTS: [&str; 7] =
    ["target", "build", "dist", "node_modules", ".venv", "__pycache__", ".pytest_cache"];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let root =
        PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("Cargo says where the crate is"));
    let mut files: Vec<PathBuf> = FILES.iter().map(PathBuf::from).collect();
    for folder in FOLDERS {
        if root.join(folder).is_dir() {
            walk(&root, Path::new(folder), &mut files)?;
        }
    }
    files.sort();
    let mut code = String::from("static FILES: &[File] = &[\n");
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
        let path = file.to_str().expect("the names of our own files are plain text");
        let from = root.join(file);
        let _ = writeln!(
            code,
            "    File {{ path: {path:?}, content: include_bytes!({:?}) }},",
            from.display().to_string()
        );
    }
    code.push_str("];\n");
    let out = PathBuf::from(env::var("OUT_DIR").expect("Cargo says where the output goes"));
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
