//! Whose a file of a project is: its author's, or that of the program that made the project.

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::plugin) enum Part {
    /// The contract in a language's form, and what builds the project. Nobody writes in it, and
    /// another version of the contract brings another one.
    Machinery,
    /// What a project of each purpose has, and what its author may well have changed.
    Frame,
    /// What the plugin does, its cases, tests and words.
    Author,
}

/// Folders and files of the first kind.
const MACHINERY: [&str; 21] = [
    "bindings/",
    "contract/",
    "types/",
    "vendor/",
    "wit/",
    "build.sh",
    "bundle.js",
    "cargo-wasm.sh",
    "engine.js",
    "lines.js",
    "make-component.js",
    "make_component.py",
    "src/guard.js",
    "src/guard.py",
    "src/verdict.js",
    "src/verdict.py",
    "src/verdict.ts",
    "still.c",
    "verdict.c",
    "verdict.h",
    "wasi.wat",
];

/// Files of the second kind.
const FRAME: [&str; 15] = [
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "go.mod",
    "jsconfig.json",
    "json.c",
    "json.h",
    "package-lock.json",
    "package.json",
    "pyproject.toml",
    "requirements-go.txt",
    "requirements.txt",
    "text.c",
    "text.h",
    "tsconfig.json",
];

impl Part {
    /// Whose the file of this path is.
    pub(in crate::cli::plugin) fn of(path: &str) -> Self {
        let is = |known: &&str| match known.ends_with('/') {
            true => path.starts_with(*known),
            false => path == *known,
        };
        if MACHINERY.iter().any(is) {
            Self::Machinery
        } else if FRAME.contains(&path) {
            Self::Frame
        } else {
            Self::Author
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plugin::embedded;

    #[test]
    fn every_path_of_the_lists_is_one_of_an_example() {
        let paths: Vec<_> = embedded::languages()
            .into_iter()
            .flat_map(embedded::example)
            .map(|file| file.path)
            .collect();
        for known in MACHINERY.iter().chain(&FRAME).filter(|known| **known != "vendor/") {
            let there =
                |path: &&str| path == known || path.starts_with(known) && known.ends_with('/');
            assert!(paths.iter().any(there), "{known}");
        }
        assert_eq!(Part::of("vendor/wharfinger-plugin/src/lib.rs"), Part::Machinery);
        for own in
            ["README.md", "src/lib.rs", "plugin.c", "cases/a/container.json", "src/naming.js"]
        {
            assert_eq!(Part::of(own), Part::Author, "{own}");
        }
    }
}
