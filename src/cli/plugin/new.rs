//! `wharfinger plugin new`: a project that builds and passes its own tests.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use super::{
    Report, embedded,
    failure::Failure,
    template::{self, Name, Purpose, Wanted, Written},
};

/// Make a new plugin: a whole project that builds and passes its own tests.
///
/// Nothing that is there already is overwritten.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Keys of --json: name, lang, purpose (none if it is the example's), blank, dir, files (paths within dir), next (commands).")]
pub(super) struct NewArgs {
    /// The plugin's name: lowercase letters, digits and hyphens.
    name: String,

    #[arg(long, value_name = "LANGUAGE", help = languages())]
    lang: String,

    /// What the plugin is for, in a sentence: it stands in its description, its manifest and its
    /// README.
    #[arg(long, value_name = "TEXT")]
    purpose: Option<String>,

    /// Make one that keeps every service as it is, without the example's rule, settings and cases.
    #[arg(long)]
    blank: bool,

    /// The folder for the project [default: the plugin's name].
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(super) fn new(args: &NewArgs) -> Result<Report, Failure> {
    let name = Name::parse(&args.name).map_err(Failure::new)?;
    let language = language(&args.lang)?;
    let folder = args.dir.clone().unwrap_or_else(|| name.kebab().into());
    if is_taken(&folder) {
        return Err(Failure::new(format!("{} is there already, and not empty", folder.display()))
            .hint("choose another folder with --dir; nothing was written"));
    }
    let purpose = args.purpose.as_deref().map(Purpose::parse).transpose().map_err(Failure::new)?;
    let wanted = Wanted { language, name: &name, purpose: purpose.as_ref(), blank: args.blank };
    let files = template::project(&wanted);
    write(&folder, &files).map_err(|(path, error)| {
        Failure::new(format!("cannot write {}: {error}", path.display()))
    })?;
    let shown = folder.display().to_string();
    let steps = template::next_steps(&shown, &name);
    let kind = if args.blank { "a blank plugin" } else { "a plugin" };
    let (named, count) = (name.kebab(), files.len());
    let mut text = format!("{named}: {kind} in {language}, {count} files in {shown}\n\n");
    let width = steps.iter().map(|(command, _)| command.len()).max().unwrap_or_default();
    for (command, why) in &steps {
        text += &format!("  {command:width$}  # {why}\n");
    }
    let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
    let json = json!({
        "name": name.kebab(),
        "lang": language,
        "purpose": purpose.as_ref().map(Purpose::sentence),
        "blank": args.blank,
        "dir": shown,
        "files": paths,
        "next": template::steps_json(&steps),
    });
    Ok(Report::good(text, json))
}

/// The help of `--lang`: the languages of the examples.
fn languages() -> String {
    format!("The language it is written in: {}", embedded::languages().join(", "))
}

/// A language by its name or what its files end in.
fn language(text: &str) -> Result<&'static str, Failure> {
    let wanted = text.to_ascii_lowercase();
    let known = embedded::languages();
    let is = |language: &&&str| {
        **language == wanted || embedded::ending(language) == Some(wanted.as_str())
    };
    known.iter().find(is).copied().ok_or_else(|| {
        Failure::new(format!("there is no example in {text:?}: there are {}", known.join(", ")))
            .hint(
                "a plugin can be in any language that makes components of wit/v0.2.0/pipeline.wit",
            )
    })
}

/// Whether there is something that would be overwritten or mixed with.
fn is_taken(folder: &Path) -> bool {
    match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

fn write(folder: &Path, files: &[Written]) -> Result<(), (PathBuf, io::Error)> {
    for file in files {
        let path = folder.join(&file.path);
        write_one(&path, file).map_err(|error| (path, error))?;
    }
    Ok(())
}

fn write_one(path: &Path, file: &Written) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    // Whatever came there in the meantime stays.
    let mut new = fs::File::create_new(path)?;
    io::Write::write_all(&mut new, &file.content)?;
    if file.is_script() {
        let mode = new.metadata()?.permissions().mode() | 0o111;
        new.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = Written { path: "a/run.sh".into(), content: b"#!/bin/sh\n".to_vec() };
        assert!(!is_taken(folder.path()) && !is_taken(&folder.path().join("none")));
        write(folder.path(), std::slice::from_ref(&file)).expect("it is written");
        let mode = fs::metadata(folder.path().join("a/run.sh")).expect("it is there");
        assert_eq!(mode.permissions().mode() & 0o100, 0o100);
        assert!(is_taken(folder.path()));
        let (path, error) = write(folder.path(), &[file]).expect_err("it is there already");
        assert!(path.ends_with("a/run.sh") && error.kind() == io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_language_is_known_by_its_name_or_its_files_ending() {
        for (text, expected) in [
            ("rs", "rust"),
            ("JS", "javascript"),
            ("ts", "typescript"),
            ("py", "python"),
            ("c", "c"),
            ("go", "go"),
        ] {
            assert_eq!(language(text), Ok(expected));
        }
        let help = languages();
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/policies.md");
        let page = fs::read_to_string(page).expect("it is there");
        let named =
            page.lines().find(|line| line.contains("plugin new") && line.contains("--lang"));
        let named = named.expect("a line that shows it");
        for known in embedded::languages() {
            assert_eq!(language(known), Ok(known));
            assert!(embedded::ending(known).is_some() && help.contains(known), "{known}: {help}");
            assert!(named.contains(known), "{known}: {named}");
        }
    }

    #[test]
    fn an_unknown_language_is_refused_with_those_that_there_are() {
        let failure = language("cobol").expect_err("there is none");
        assert!(failure.message.contains("\"cobol\""), "{failure:?}");
    }
}
