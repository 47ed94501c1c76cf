//! The configurations that the documents and packages show.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Every block of TOML in every document, and every configuration that is there as a file.
pub fn documented() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for path in files(root) {
        let name = path.strip_prefix(root).expect("a file of it").display().to_string();
        let text = || fs::read_to_string(&path).expect("a text");
        if name.ends_with(".md") {
            let text = text();
            let blocks = text.split("\n```toml\n").skip(1);
            for (n, block) in blocks.enumerate() {
                let block = block.split("\n```").next().unwrap_or_default();
                found.push((format!("{name}, block {}", n + 1), block.to_string()));
            }
        } else if name.starts_with("packaging/") && name.ends_with(".toml")
            || name.starts_with("tests/fixtures/fleet/") && name.ends_with(".toml")
        {
            found.push((name.clone(), text()));
        }
    }
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let foreign = ["target", "node_modules", "dist", ".git", ".venv"].contains(&name);
        if path.is_dir() && !foreign {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}
