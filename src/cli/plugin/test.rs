//! `wharfinger plugin test`: every case of a project, held against what is
//! expected.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use serde_json::{Value, json};

use super::{
    Report,
    cases::{Case, Tried, Verdict},
    failure::Failure,
    input::LimitArgs,
    junit,
    project::Project,
    render,
    workbench::Workbench,
};

/// The time of one call: a test is about what comes out. How long that may take
/// is what `bench` is about.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Run a plugin's cases, and say what is not as expected.
///
/// A case is a folder cases/<case>/ with container.json (what `docker inspect`
/// prints), case.toml if need be (settings, start, [host], [grant]), and
/// expected.json, which --update writes. Settings of all cases can stand in
/// settings.toml beside cases/.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
A stage is also asked about its own work, which has to stay as it is: a name that has its prefix
does not get it again. settles = false in case.toml says that this is not so of a case.

Keys of case.toml: settings (a table), start (registrator or candidates), settles, [host] with hostname, ip,
internal, explicit and tags, [grant] as in a stage of the configuration file, and for a plugin that
wants them [agent] with node, datacenter, version and node-meta, and [engine] with kind and version.

Exit code: 0 if every case is as expected, 1 if one is not, 2 for a fault of the command line.

Keys of --json: component, newer_source (a file that was changed after it was built), passed, updated, failed, cases (name, result: passed, updated, differs,
unrecorded, unsettled or broken, differences (path, expected, found), error, time_us, memory).")]
pub(super) struct TestArgs {
    /// The project's folder, which has the folder cases/.
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,

    /// The component [default: the one that `build` makes].
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,

    /// Write what comes out as what is expected. Look at the change before you
    /// keep it.
    #[arg(long)]
    update: bool,

    /// Write the result as JUnit's XML, for CI.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Only cases whose names contain this.
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,

    #[command(flatten)]
    limits: LimitArgs,
}

pub(super) async fn test(args: &TestArgs, cache: Option<&Path>) -> Result<Report, Failure> {
    let project = Project::open(&args.folder)?;
    let component = match &args.component {
        Some(file) => file.clone(),
        None => project.built()?,
    };
    let mut cases = Case::all(&project)?;
    if let Some(part) = &args.filter {
        cases.retain(|case| case.name.contains(part));
        if cases.is_empty() {
            return Err(Failure::new(format!("no case has {part:?} in its name")));
        }
    }
    let bench = Workbench::new(cache, 1, args.limits.limits(TIMEOUT)?, None)?;
    // As long as it is there, its code is, whatever settings the cases have.
    let component_file = component.as_path();
    let _kept = bench.describe(component_file, &super::inspect::nowhere()).await?;
    let mut tried = Vec::new();
    for case in &cases {
        tried.push(case.run(&bench, component_file, args.update).await);
    }
    if let Some(file) = &args.junit {
        let document = junit::document(&project.name, &tried);
        fs::write(file, document)
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", file.display())))?;
    }
    // One that is named may be of any sources.
    let newer = args.component.is_none().then(|| project.newer_source(component_file)).flatten();
    Ok(report(component_file, &tried, newer.as_deref()))
}

fn report(component: &Path, tried: &[Tried], newer: Option<&Path>) -> Report {
    let count =
        |wanted: fn(&Verdict) -> bool| tried.iter().filter(|one| wanted(&one.verdict)).count();
    let passed = count(|verdict| matches!(verdict, Verdict::Passed));
    let updated = count(|verdict| matches!(verdict, Verdict::Updated));
    let failed = tried.len() - passed - updated;
    let mut text: String = tried.iter().map(lines).collect();
    text += &format!("{passed} passed, {failed} failed");
    if updated > 0 {
        text += &format!(", {updated} written: look at the change before you keep it");
    }
    text.push('\n');
    if count(|verdict| matches!(verdict, Verdict::Unrecorded)) > 0 {
        text +=
            "next: `wharfinger plugin test --update` writes expected.json where there is none\n";
    }
    if let Some(source) = newer {
        text += &format!(
            "note: {} is newer than {}: `wharfinger plugin build` takes it over\n",
            source.display(),
            component.display()
        );
    }
    let json = json!({
        "newer_source": newer.map(|source| source.display().to_string()),
        "component": component.display().to_string(),
        "passed": passed,
        "updated": updated,
        "failed": failed,
        "cases": tried.iter().map(one).collect::<Vec<_>>(),
    });
    Report { text, json, code: u8::from(failed > 0) }
}

fn lines(tried: &Tried) -> String {
    let time = tried.time.map(render::time).unwrap_or_default();
    let head =
        |word: &str| format!("{word:5} {}  {time}", tried.name).trim_end().to_string() + "\n";
    match &tried.verdict {
        Verdict::Passed => head("ok"),
        Verdict::Updated => head("new"),
        Verdict::Unrecorded => head("FAIL") + "      it has no expected.json\n",
        Verdict::Broken(fault) => head("FAIL") + &render::indented("      ", fault),
        Verdict::Unsettled(changes) => changes.iter().fold(
            head("FAIL") + "      asked about its own work, the stage changes it again:\n",
            |text, one| text + &render::indented("      ", one),
        ),
        Verdict::Differs(differences) => differences
            .iter()
            .fold(head("FAIL"), |text, one| text + &render::indented("      ", &one.to_string())),
    }
}

fn one(tried: &Tried) -> Value {
    let (result, differences, error) = match &tried.verdict {
        Verdict::Passed => ("passed", Vec::new(), None),
        Verdict::Updated => ("updated", Vec::new(), None),
        Verdict::Unrecorded => ("unrecorded", Vec::new(), None),
        Verdict::Broken(fault) => ("broken", Vec::new(), Some(fault.clone())),
        Verdict::Unsettled(changes) => ("unsettled", Vec::new(), Some(changes.join("; "))),
        Verdict::Differs(all) => ("differs", all.iter().map(|one| one.json()).collect(), None),
    };
    json!({
        "name": tried.name,
        "result": result,
        "differences": differences,
        "error": error,
        "time_us": tried.time.map(|time| time.as_micros() as u64),
        "memory": tried.memory.as_u64(),
    })
}
