//! How a project was made: by its stamp, or, of one from before there were stamps, by what is in it.

use std::{collections::HashSet, path::Path};

use crate::{
    cli::plugin::{
        embedded,
        failure::Failure,
        project::{Project, SCRIPT},
        template::{
            self, Name, Purpose, Wanted,
            stamp::{self, Stamp},
        },
    },
    files,
};

/// How a project was made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) language: &'static str,
    pub(super) name: Name,
    purpose: Option<Purpose>,
    blank: bool,
    /// The version of the contract that it is of.
    pub(super) contract: String,
    stamp: Option<Stamp>,
    /// What programs wrote that left no stamp.
    earlier: HashSet<&'static str>,
}

impl Made {
    /// How the project was made.
    pub(super) fn read(project: &Project) -> Result<Self, Failure> {
        let folder = &project.folder;
        let strange = |what: &str| {
            Failure::new(format!("{}: {what}", folder.display()))
                .hint("it has to be a project that `wharfinger plugin new` has made")
        };
        let stamp = Stamp::read(folder);
        let found = stamp.as_ref().map_or_else(
            || language(folder),
            |stamp| embedded::languages().into_iter().find(|known| *known == stamp.language),
        );
        let language = found.ok_or_else(|| strange("it is not known in which language it is"))?;
        let name = stamp.as_ref().map(|stamp| stamp.name.clone()).or_else(|| component(folder));
        let name = name.ok_or_else(|| strange("its build.sh names no component in dist/"))?;
        let name = Name::parse(&name).map_err(Failure::new)?;
        let purpose = stamp.as_ref().and_then(|stamp| stamp.purpose.as_deref());
        let purpose = purpose.map(Purpose::parse).transpose().map_err(Failure::new)?;
        let blank = stamp.as_ref().is_some_and(|stamp| stamp.blank);
        let contract = contract(folder).ok_or_else(|| strange("it has no contract in wit/"))?;
        if version(&contract) > version(embedded::CONTRACT) {
            return Err(Failure::new(format!(
                "it is of version {contract} of the contract, and this program makes {}",
                embedded::CONTRACT
            ))
            .hint("take the program that made it, or a later one"));
        }
        let earlier = embedded::earlier().lines().filter(|line| !line.starts_with('#')).collect();
        Ok(Self { language, name, purpose, blank, contract, stamp, earlier })
    }

    /// What a new one would be made of.
    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted {
            language: self.language,
            name: &self.name,
            purpose: self.purpose.as_ref(),
            blank: self.blank,
        }
    }

    /// Whether nothing was written in a file since it was made.
    pub(super) fn is_untouched(&self, path: &str, content: &[u8]) -> bool {
        match &self.stamp {
            Some(stamp) => stamp.files.get(path) == Some(&stamp::digest(content)),
            None => std::str::from_utf8(content).is_ok_and(|text| {
                let mut text = self.name.without(text);
                if path == "Cargo.lock" {
                    // The name's place in it follows from the name.
                    text = template::sorted_lock(&text);
                }
                let digest = stamp::digest(text.as_bytes());
                self.earlier.contains(digest.as_str())
            }),
        }
    }

    /// Whether it was made with this file.
    pub(super) fn had(&self, path: &str) -> bool {
        self.stamp.as_ref().is_some_and(|stamp| stamp.files.contains_key(path))
    }
}

/// The language of a project by what is in it.
fn language(folder: &Path) -> Option<&'static str> {
    let signs = [
        ("Cargo.toml", "rust"),
        ("go.mod", "go"),
        ("tsconfig.json", "typescript"),
        ("package.json", "javascript"),
        ("pyproject.toml", "python"),
        ("bindings/stage_component.h", "c"),
    ];
    let found = signs.iter().find(|(file, _)| folder.join(file).is_file());
    found.map(|(_, language)| *language)
}

/// The name of the component that the script makes, as that of a plugin.
fn component(folder: &Path) -> Option<String> {
    let script = files::read_text(&folder.join(SCRIPT), files::TEXT).ok()?;
    let (_, rest) = script.split_once("/dist/")?;
    Some(rest.split_once(".wasm")?.0.replace('_', "-"))
}

/// The version of the contract in a project.
fn contract(folder: &Path) -> Option<String> {
    let own = folder.join("wit");
    let versions = std::fs::read_dir(&own).ok()?.flatten().map(|entry| entry.path());
    let found = versions.chain([own.clone()]).filter_map(|folder| {
        let text = files::read_text(&folder.join("pipeline.wit"), files::TEXT).ok()?;
        let (_, rest) = text.split_once("package wharfinger:pipeline@")?;
        Some(rest.split_once(';')?.0.to_string())
    });
    found.max_by_key(|found| version(found))
}

/// A version as numbers, in their order.
fn version(text: &str) -> Vec<u32> {
    text.split('.').map(|part| part.parse().unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_project_without_a_stamp_tells_what_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        let made = || Made::read(&Project::open(folder.path()).expect("a project"));
        write("build.sh", "output=$project/dist/owner_label.wasm ;;\n");
        assert!(made().expect_err("no language").message.contains("in which language"));
        write("package.json", "{}");
        assert!(made().expect_err("no contract").message.contains("no contract in wit/"));
        write("wit/pipeline.wit", "package wharfinger:pipeline@0.1.0;");
        let found = made().expect("it is known");
        assert_eq!((found.language, found.name.kebab()), ("javascript", "owner-label"));
        assert_eq!((found.contract.as_str(), found.blank), ("0.1.0", false));
        write("tsconfig.json", "{}");
        assert_eq!(made().expect("it is known").language, "typescript");
        write("wit/pipeline.wit", "package wharfinger:pipeline@0.10.0;");
        assert!(made().expect_err("a later one").message.contains("0.10.0"));
        write("build.sh", "true\n");
        assert!(made().expect_err("no name").message.contains("names no component"));
    }
}
