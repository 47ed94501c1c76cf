//! The files that new projects are made of. They are part of the program, so
//! that it needs nothing but itself to make one; packed, since most runs make none.

use std::{ops::Range, sync::LazyLock};

/// A file of this repository.
#[derive(Debug, Clone, Copy)]
pub(super) struct File {
    /// Its path in the repository.
    pub(super) path: &'static str,
    pub(super) content: &'static [u8],
}

/// A file's part of all of them.
struct Part {
    path: &'static str,
    place: Range<usize>,
}

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The content of all files, one after the other.
static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let packed = include_bytes!(concat!(env!("OUT_DIR"), "/embedded.deflate"));
    miniz_oxide::inflate::decompress_to_vec(packed).expect("the build script has packed it")
});

impl Part {
    fn content(&self) -> &'static [u8] {
        &WHOLE[self.place.clone()]
    }
}

/// Where the examples are, a folder for each language.
const EXAMPLES: &str = "plugins/examples/";

/// Where those of blank projects are.
const BLANK: &str = "plugins/blank/";

/// The languages, sorted: the folders with a build script.
pub(super) fn languages() -> Vec<&'static str> {
    let language = |file: &Part| file.path.strip_prefix(EXAMPLES)?.strip_suffix("/build.sh");
    FILES.iter().filter_map(language).filter(|name| !name.contains('/')).collect()
}

/// What the sources of a language's example end in, by the one that the component begins with.
pub(super) fn ending(language: &str) -> Option<&'static str> {
    example(language).iter().find_map(|file| {
        let name = file.path.strip_prefix("src/").unwrap_or(file.path);
        let (stem, ending) = name.split_once('.')?;
        matches!(stem, "plugin" | "lib").then_some(ending)
    })
}

/// The files of a language's example, by their paths within it.
pub(super) fn example(language: &str) -> Vec<File> {
    below(&format!("{EXAMPLES}{language}/"))
}

/// What a blank project has of its own in a language, by its paths within the project. All have the
/// same case.
pub(super) fn blank(language: &str) -> Vec<File> {
    let mut files = below(&format!("{BLANK}{language}/"));
    files.extend(below(&format!("{BLANK}all/")));
    files
}

/// The digests of what programs wrote that left no stamp in a project.
pub(super) fn earlier() -> &'static str {
    std::str::from_utf8(single("plugins/earlier.txt")).expect("it is a list of digests")
}

/// The files of the SDK for Rust, by their paths within it.
pub(super) fn sdk() -> Vec<File> {
    below("plugins/sdk/")
}

/// The version of the contract that the SDK for Rust is of.
pub(super) const CONTRACT: &str = "0.2.0";

/// That version, and the interfaces of the host, by their paths below `wit/`.
pub(super) fn contract() -> Vec<File> {
    let own = format!("v{CONTRACT}/");
    let mut files = below("wit/");
    files.retain(|file| file.path.starts_with(&own) || file.path.starts_with("host-"));
    files
}

/// The manifest of the workspace that the SDK is part of.
pub(super) fn workspace() -> &'static [u8] {
    single("plugins/Cargo.toml")
}

fn single(path: &str) -> &'static [u8] {
    let found = FILES.iter().find(|file| file.path == path);
    found.expect("the build script embeds it").content()
}

fn below(folder: &str) -> Vec<File> {
    let file =
        |part: &Part| Some(File { path: part.path.strip_prefix(folder)?, content: part.content() });
    FILES.iter().filter_map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_and_the_contract_are_whole_and_no_build_product_is_among_them() {
        let has = |files: &[File], path: &str| files.iter().any(|file| file.path == path);
        assert!(has(&sdk(), "Cargo.toml") && has(&sdk(), "src/lib.rs"));
        assert!(
            has(&contract(), "v0.2.0/pipeline.wit") && has(&contract(), "host-v0.1.0/host.wit")
        );
        assert!(!has(&contract(), "v0.1.0/pipeline.wit"), "one is enough to begin with");
        let glue = sdk().into_iter().find(|file| file.path == "src/glue.rs").expect("its bindings");
        let glue = String::from_utf8_lossy(glue.content);
        assert!(glue.contains(&format!("wit/v{CONTRACT}\"")), "{glue}");
        for file in FILES {
            let product = ["/target/", "/node_modules/", "/dist/", ".wasm"]
                .iter()
                .any(|part| file.path.contains(part));
            assert!(!product, "{}", file.path);
        }
        let size: usize = FILES.iter().map(|file| file.place.len()).sum();
        assert!(size < 2 << 20, "{size} bytes are a lot for a program");
    }
}
