//! What is to be done with each file of a project: values, and nothing is written yet.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    by_hand::{self, ByHand},
    made::Made,
};
use crate::{
    cli::plugin::{
        embedded,
        failure::Failure,
        template::{Written, part::Part, stamp},
    },
    files,
};

/// The most that a file of a project may have that is compared.
const MOST: u64 = 16 << 20;
/// Folders of nothing but machinery, in which an older project can have what there is no more.
const FOLDERS: [&str; 4] = ["bindings", "contract", "vendor", "wit"];
/// A manifest and the lock file that belongs to it: one is not replaced without the other.
const PAIRS: [(&str, &str); 2] =
    [("package-lock.json", "package.json"), ("Cargo.lock", "Cargo.toml")];

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// In this order; the last is the stamp.
    pub(super) steps: Vec<Step>,
    /// The files that an author has changed, and that stay.
    pub(super) left: Vec<String>,
    /// What a person has to change.
    pub(super) by_hand: Vec<ByHand>,
}

/// What is to be done with one file.
#[derive(Debug)]
pub(super) struct Step {
    /// Its path in the project.
    pub(super) path: String,
    pub(super) deed: Deed,
    /// Where what its author has written in it is kept.
    pub(super) yours: Option<String>,
}

/// What is done, with the new content.
#[derive(Debug)]
pub(super) enum Deed {
    Add(Vec<u8>),
    Replace(Vec<u8>),
    /// An author's file gets the new version's name in its imports.
    Edit(Vec<u8>),
    Remove,
}

impl Deed {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "add",
            Self::Replace(_) => "replace",
            Self::Edit(_) => "edit",
            Self::Remove => "remove",
        }
    }

    pub(super) fn done(&self) -> &'static str {
        match self {
            Self::Add(_) => "new",
            Self::Replace(_) => "replaced",
            Self::Edit(_) => "edited",
            Self::Remove => "removed",
        }
    }
}

/// What is to be done with a project, of which a new one would have these files.
pub(super) fn plan(folder: &Path, made: &Made, new: &[Written]) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    let untouched = |path: &str| -> Result<bool, Failure> {
        Ok(read(folder, path)?.is_none_or(|old| made.is_untouched(path, &old)))
    };
    for file in new.iter().filter(|file| file.path != stamp::FILE) {
        let path = file.path.as_str();
        let part = Part::of(path);
        let Some(old) = read(folder, path)? else {
            // What its author has removed stays away.
            if part == Part::Machinery || part == Part::Frame && !made.had(path) {
                plan.push(path, Deed::Add(file.content.clone()), None);
            }
            continue;
        };
        if old == file.content {
            continue;
        }
        let pair = PAIRS.iter().find(|(lock, _)| *lock == path);
        let alone = pair.is_some_and(|(_, manifest)| !untouched(manifest).unwrap_or_default());
        if made.is_untouched(path, &old) && !alone {
            plan.push(path, Deed::Replace(file.content.clone()), None);
        } else if part == Part::Machinery {
            let yours = free(folder, path);
            plan.push(path, Deed::Replace(file.content.clone()), Some(yours));
        } else {
            plan.left.push(path.to_string());
        }
    }
    remove_old(folder, made, new, &mut plan)?;
    authors_own(folder, made, new, &mut plan)?;
    if let Some(new) = new.iter().find(|file| file.path == stamp::FILE) {
        let old = read(folder, stamp::FILE)?;
        if old.as_deref() != Some(&new.content) {
            let content = new.content.clone();
            let deed = if old.is_some() { Deed::Replace(content) } else { Deed::Add(content) };
            plan.push(stamp::FILE, deed, None);
        }
    }
    Ok(plan)
}

impl Plan {
    fn push(&mut self, path: &str, deed: Deed, yours: Option<String>) {
        self.steps.push(Step { path: path.to_string(), deed, yours });
    }
}

/// The contract's old files, as far as nobody has written in them.
fn remove_old(folder: &Path, made: &Made, new: &[Written], plan: &mut Plan) -> Result<(), Failure> {
    for path in FOLDERS.iter().flat_map(|below| walk(folder, below)) {
        let still = new.iter().any(|file| file.path == path) || path.contains(".yours");
        let Some(old) = read(folder, &path)?.filter(|_| !still) else { continue };
        if made.is_untouched(&path, &old) {
            plan.push(&path, Deed::Remove, None);
        } else {
            plan.left.push(path);
        }
    }
    Ok(())
}

/// What an author has written: the new version's name in imports, and what is to be done by hand.
fn authors_own(
    folder: &Path,
    made: &Made,
    new: &[Written],
    plan: &mut Plan,
) -> Result<(), Failure> {
    if made.contract == embedded::CONTRACT {
        return Ok(());
    }
    let taken: BTreeSet<_> = plan.steps.iter().map(|step| step.path.clone()).collect();
    let sources = ["src", "test", "tests", "."].iter().flat_map(|below| match *below {
        "." => top(folder),
        below => walk(folder, below),
    });
    let same = |path: &str, text: &str| {
        new.iter().any(|file| file.path == path && file.content == text.as_bytes())
    };
    for path in sources.filter(|path| !taken.contains(path)).collect::<BTreeSet<_>>() {
        let Some(Ok(text)) = read(folder, &path)?.map(String::from_utf8) else { continue };
        if same(&path, &text) || Part::of(&path) == Part::Machinery {
            continue;
        }
        let text = match by_hand::renamed(&path, &text, &made.contract) {
            Some(edited) => {
                plan.left.retain(|left| *left != path);
                plan.push(&path, Deed::Edit(edited.clone().into_bytes()), None);
                edited
            }
            None => text,
        };
        plan.by_hand.extend(by_hand::found(made.language, &path, &text));
    }
    Ok(())
}

/// A file of the project; none if there is none. What lies elsewhere, by a link, is not touched.
fn read(folder: &Path, path: &str) -> Result<Option<Vec<u8>>, Failure> {
    let file = folder.join(path);
    let fault = |error: io::Error| Failure::new(format!("cannot read {}: {error}", file.display()));
    match fs::canonicalize(&file) {
        Ok(real) if !real.starts_with(folder) => Err(Failure::new(format!(
            "{} is a link to {}, outside of the project",
            file.display(),
            real.display()
        ))
        .hint("put what it leads to into the project, and run the command again")),
        Ok(_) => files::read(&file, MOST).map(Some).map_err(fault),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            outside(folder, path).map(|()| None)
        }
        Err(error) => Err(fault(error)),
    }
}

/// Whether a file that is not there would be made in the project, and not where a link leads to.
fn outside(folder: &Path, path: &str) -> Result<(), Failure> {
    let there = folder.join(path);
    let nearest = there.ancestors().skip(1).find_map(|above| fs::canonicalize(above).ok());
    match nearest {
        Some(real) if real.starts_with(folder) => Ok(()),
        _ => Err(Failure::new(format!("{} would be outside of the project", there.display()))
            .hint("put what the link leads to into the project, and run the command again")),
    }
}

/// A name beside a file that is not taken.
fn free(folder: &Path, path: &str) -> String {
    let names = (1..).map(|n| match n {
        1 => format!("{path}.yours"),
        n => format!("{path}.yours-{n}"),
    });
    let mut free = names.filter(|name| !folder.join(name).exists());
    free.next().expect("there is always a number more")
}

/// The files directly in the project's folder.
fn top(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.path().is_file());
    files.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The files below a folder of the project, by their paths in it, but for what builds leave.
fn walk(folder: &Path, below: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(below)];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(folder.join(&next)).into_iter().flatten().flatten() {
            let name = next.join(entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && entry.file_name() != "__pycache__" => {
                    folders.push(name)
                }
                Ok(kind) if kind.is_file() => found.extend(name.to_str().map(String::from)),
                _ => {}
            }
        }
    }
    found.sort();
    found
}
