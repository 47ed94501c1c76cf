//! `wharfinger plugin upgrade`: a project that an older program made, brought to the contract and the
//! templates of this one. What nobody has written in is replaced; what an author has written stays, if
//! not in its place then beside it.

mod by_hand;
mod made;
mod plan;

use std::{
    fmt::Write as _,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use super::{Report, failure::Failure, project::Project, template};
use by_hand::ByHand;
use made::Made;
use plan::{Deed, Step};

/// Bring a plugin's project to the contract and the templates of this program.
///
/// The contract, its bindings, the SDK and what builds the project are replaced, and so is every
/// file in which nothing was changed since it was made. What was changed stays as it is; where it has
/// to give way, it is kept beside as FILE.yours. What is left to do by hand is said, with file and line.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Keys of --json: name, lang, from and to (versions of the contract), steps (file, deed: add, replace, edit or remove,
yours: where what you had written is kept), left (files that are as they were), by_hand (file, line, what).")]
pub(super) struct UpgradeArgs {
    /// The project's folder.
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,

    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn upgrade(args: &UpgradeArgs) -> Result<Report, Failure> {
    let project = Project::open(&args.folder)?;
    let made = Made::read(&project)?;
    let files = template::project(&made.wanted());
    let plan = plan::plan(&project.folder, &made, &files)?;
    if !args.dry_run {
        for step in &plan.steps {
            carry_out(&project.folder, step).map_err(|(path, error)| {
                Failure::new(format!("cannot write {}: {error}", path.display()))
                    .hint("nothing is lost; mend it, and run the command again")
            })?;
        }
    }
    Ok(report(&made, &plan, args.dry_run))
}

/// Do one step. What an author has written is kept before its place is taken.
fn carry_out(folder: &Path, step: &Step) -> Result<(), (PathBuf, io::Error)> {
    let path = folder.join(&step.path);
    if let Some(yours) = &step.yours {
        let kept = folder.join(yours);
        fs::copy(&path, &kept).map_err(|error| (kept, error))?;
    }
    let done = match &step.deed {
        Deed::Remove => fs::remove_file(&path).map(|()| remove_empty(folder, &path)),
        Deed::Add(content) | Deed::Replace(content) | Deed::Edit(content) => {
            replace(&path, content)
        }
    };
    done.map_err(|error| (path, error))
}

/// Put a file into its place when it is whole.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().expect("a file is in a folder");
    fs::create_dir_all(folder)?;
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut new, content)?;
    let usual = if content.starts_with(b"#!") { 0o755 } else { 0o644 };
    let mode = fs::metadata(path).map_or(usual, |old| old.permissions().mode() | (usual & 0o111));
    new.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    new.persist(path)?;
    Ok(())
}

/// Remove the folders in which nothing is left.
fn remove_empty(root: &Path, path: &Path) {
    let empty = |folder: &&Path| *folder != root && fs::remove_dir(folder).is_ok();
    let _ = path.ancestors().skip(1).take_while(empty).count();
}

fn report(made: &Made, plan: &plan::Plan, dry_run: bool) -> Report {
    let to = super::embedded::CONTRACT;
    let mut text = format!("{}: a plugin in {}", made.name.kebab(), made.language);
    text += &match (plan.steps.is_empty(), made.contract == to, dry_run) {
        (true, ..) => format!(", which is as this program makes it (contract {to})\n"),
        (false, true, _) => format!(" of contract {to}\n"),
        (false, false, false) => format!(", from contract {} to {to}\n", made.contract),
        (false, false, true) => {
            format!(", which would go from contract {} to {to}\n", made.contract)
        }
    };
    for step in &plan.steps {
        let _ = write!(text, "  {:8} {}", step.deed.done(), step.path);
        text += &match &step.yours {
            Some(yours) => format!("  (what you had written is in {yours})\n"),
            None => "\n".to_string(),
        };
    }
    for path in &plan.left {
        let _ = writeln!(text, "  {:8} {path}", "yours");
    }
    if !plan.by_hand.is_empty() {
        text += "\nleft to you:\n";
        for ByHand { file, line, what } in &plan.by_hand {
            let _ = writeln!(text, "  {file}:{line}: {what}");
        }
    }
    if !plan.steps.is_empty() && !dry_run {
        text += "\nnext: look at the change, then `wharfinger plugin build` and `wharfinger plugin test`\n";
    }
    let steps = plan
        .steps
        .iter()
        .map(|step| json!({ "file": step.path, "deed": step.deed.name(), "yours": step.yours }));
    let by_hand = plan
        .by_hand
        .iter()
        .map(|ByHand { file, line, what }| json!({ "file": file, "line": line, "what": what }));
    let json = json!({
        "name": made.name.kebab(),
        "lang": made.language,
        "from": made.contract,
        "to": to,
        "steps": steps.collect::<Vec<_>>(),
        "left": plan.left,
        "by_hand": by_hand.collect::<Vec<_>>(),
    });
    Report::good(text, json)
}
