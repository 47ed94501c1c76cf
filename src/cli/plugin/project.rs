//! A plugin's project: its name, and where its component is.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde_json::Value;

use super::{failure::Failure, template::stamp::Stamp};
use crate::{files, tables};

/// The script by which a project says how it is built.
pub(super) const SCRIPT: &str = "build.sh";

/// Folders of a project that have nothing to do with what is in its component.
const BESIDE: [&str; 8] =
    ["build", "cases", "dist", "node_modules", "target", "test", "tests", "__pycache__"];
/// Files of a project that are looked at.
const MOST_SOURCES: usize = 10_000;

/// A plugin's project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Project {
    /// Its folder.
    pub(super) folder: PathBuf,
    /// Its name by its manifest, else by its folder.
    pub(super) name: String,
}

impl Project {
    /// The project in a folder.
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        let folder = fs::canonicalize(folder)
            .map_err(|error| Failure::new(format!("cannot open {}: {error}", folder.display())))?;
        let name = manifest_name(&folder)
            .or_else(|| folder.file_name()?.to_str().map(str::to_string))
            .unwrap_or_else(|| "plugin".into());
        Ok(Self { folder, name })
    }

    /// Where the finished component is.
    pub(super) fn component(&self) -> PathBuf {
        self.folder.join("dist").join(format!("{}.wasm", self.name.replace('-', "_")))
    }

    /// The component that was built: the one of the project's name, or the only
    /// one.
    pub(super) fn built(&self) -> Result<PathBuf, Failure> {
        let expected = self.component();
        if expected.is_file() {
            return Ok(expected);
        }
        let entries = fs::read_dir(self.folder.join("dist")).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "wasm"))
            .collect();
        match found.pop() {
            Some(only) if found.is_empty() => Ok(only),
            _ => Err(Failure::new(format!("there is no component {}", expected.display()))
                .hint("run `wharfinger plugin build` first, or name the file with --component")),
        }
    }

    /// A source that was changed after a component was built, so that what is tested is not what is
    /// written.
    pub(super) fn newer_source(&self, component: &Path) -> Option<PathBuf> {
        let built = fs::metadata(component).and_then(|file| file.modified()).ok()?;
        self.sources()?.into_iter().find(|(_, changed, _)| *changed > built).map(|(path, ..)| path)
    }

    /// The sources, with when they were changed and how large they are; none if there are too many to
    /// look at.
    pub(super) fn sources(&self) -> Option<BTreeSet<(PathBuf, SystemTime, u64)>> {
        let (mut folders, mut looked) = (vec![self.folder.clone()], 0);
        let mut found = BTreeSet::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                looked += 1;
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let Ok(metadata) = entry.metadata() else { continue };
                if looked > MOST_SOURCES {
                    return None;
                }
                if metadata.is_dir() && !name.starts_with('.') && !BESIDE.contains(&&*name) {
                    folders.push(entry.path());
                }
                let is_source = !name.starts_with('.') && !name.ends_with(".md");
                if metadata.is_file() && is_source {
                    found.insert((entry.path(), metadata.modified().ok()?, metadata.len()));
                }
            }
        }
        Some(found)
    }

    /// The script that builds it.
    pub(super) fn script(&self) -> Result<PathBuf, Failure> {
        let script = self.folder.join(SCRIPT);
        if script.is_file() {
            return Ok(script);
        }
        Err(Failure::new(format!(
            "{} is no plugin's project: it has no {SCRIPT}",
            self.folder.display()
        ))
        .hint(
            "make a project with `wharfinger plugin new NAME --lang LANGUAGE`, or write a \
                 build.sh that puts the component where its first argument says",
        ))
    }
}

/// The name in the manifest of whatever language it is.
fn manifest_name(folder: &Path) -> Option<String> {
    let read = |name: &str| files::read_text(&folder.join(name), files::TEXT).ok();
    let toml = |name: &str, table: &str| {
        let manifest: toml::Table = tables::read(&read(name)?).ok()?;
        manifest.get(table)?.get("name")?.as_str().map(str::to_string)
    };
    let json = |name: &str| {
        let manifest: Value = serde_json::from_slice(read(name)?.as_bytes()).ok()?;
        // A scope such as @team/ is no part of a file's name.
        manifest["name"].as_str()?.rsplit('/').next().map(str::to_string)
    };
    toml("Cargo.toml", "package")
        .or_else(|| json("package.json"))
        .or_else(|| toml("pyproject.toml", "project"))
        .or_else(|| module_name(&read("go.mod")?))
        // In C there is no manifest.
        .or_else(|| Stamp::read(folder).map(|stamp| stamp.name))
}

/// The last part of a Go module's path.
fn module_name(manifest: &str) -> Option<String> {
    let path = manifest.lines().find_map(|line| line.trim().strip_prefix("module "))?;
    path.trim().trim_matches('"').rsplit('/').next().map(str::to_string)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_source_that_was_changed_after_the_build_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let project = Project::open(folder.path()).expect("a project");
        let write = |path: &str, age: u64| {
            let path = project.folder.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(&path, "").expect("it is written");
            let at = SystemTime::now() - Duration::from_secs(age);
            let file = fs::File::options().write(true).open(&path).expect("it is there");
            file.set_modified(at).expect("its time is set");
            path
        };
        let component = write("dist/p.wasm", 100);
        write("src/plugin.js", 200);
        // What is beside the sources counts for nothing.
        for beside in ["README.md", "cases/a/expected.json", "node_modules/x.js", ".venv/x", ".x"] {
            write(beside, 0);
        }
        assert_eq!(project.newer_source(&component), None);
        let source = write("src/deep/naming.js", 50);
        assert_eq!(project.newer_source(&component), Some(source));
        assert_eq!(project.newer_source(&project.folder.join("dist/none.wasm")), None);
    }

    #[test]
    fn the_name_is_the_manifests_else_the_folders() {
        for (file, content, expected) in [
            ("Cargo.toml", "[package]\nname = \"owner-label\"\n", "owner-label"),
            ("package.json", r#"{"name": "@team/owner-label"}"#, "owner-label"),
            ("pyproject.toml", "[project]\nname = \"owner-label\"\n", "owner-label"),
            ("go.mod", "module example.com/team/owner-label\n\ngo 1.24\n", "owner-label"),
            ("plugin.c", "", "in-a-folder"),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let folder = folder.path().join("in-a-folder");
            fs::create_dir(&folder).expect("a folder");
            fs::write(folder.join(file), content).expect("a manifest");
            let project = Project::open(&folder).expect("a project");
            assert_eq!(project.name, expected);
            let file = format!("dist/{}.wasm", expected.replace('-', "_"));
            assert!(project.component().ends_with(file));
            assert!(project.script().is_err());
        }
    }

    #[test]
    fn what_was_built_is_found_if_there_is_no_doubt() {
        let folder = tempfile::tempdir().expect("a folder");
        let project = Project::open(folder.path()).expect("a project");
        let failure = project.built().expect_err("nothing was built");
        assert!(failure.hint.is_some_and(|hint| hint.contains("plugin build")));
        fs::create_dir(folder.path().join("dist")).expect("a folder");
        let one = project.folder.join("dist/one.wasm");
        fs::write(&one, "").expect("a file");
        assert_eq!(project.built(), Ok(one));
        fs::write(project.folder.join("dist/two.wasm"), "").expect("a file");
        assert!(project.built().is_err());
        fs::write(project.component(), "").expect("a file");
        assert_eq!(project.built(), Ok(project.component()));
    }
}
