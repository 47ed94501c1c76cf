//! `wharfinger plugin build`: the project's own script makes the component, and
//! what it has made is looked at before it counts.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use clap::Args;
use serde_json::json;

use super::{
    Report,
    failure::Failure,
    inspect::{self, Looked},
    project::{Project, SCRIPT},
    render,
};
use crate::text;

/// How often `--watch` looks at the sources.
const LOOK: Duration = Duration::from_millis(300);

/// How often in a row it builds what was changed during a build.
const MOST_AGAIN: u32 = 2;

/// How much of what the script says last is part of the error.
const LAST_LINES: usize = 20;

/// Build a plugin's project to a component, dist/<name>.wasm.
///
/// The project's build.sh does the work: it is run in the project's folder, and
/// gets the path of the component as its argument. It finds the language's tools
/// or says how to get them. What it has made takes the place of the last build
/// only if it is a component that Wharfinger can use.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Keys of --json: file, size, digest, plugin (name, version, summary).")]
pub(super) struct BuildArgs {
    /// The project's folder.
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,

    /// Build it again whenever a source changes, until it is ended.
    #[arg(long)]
    watch: bool,
}

pub(super) async fn build(
    args: &BuildArgs,
    json: bool,
    cache: Option<&Path>,
) -> Result<Report, Failure> {
    let project = Project::open(&args.folder)?;
    match (args.watch, json) {
        (false, _) => once(&project, json, cache).await,
        (true, false) => watch(&project, cache).await,
        (true, true) => Err(Failure::new("--watch goes on and on, and --json is one object")
            .hint("leave one of them out")),
    }
}

/// Build whenever a source has changed. A build that fails is told of, and the component of the
/// last good one stays.
async fn watch(project: &Project, cache: Option<&Path>) -> Result<Report, Failure> {
    let mut again = 0;
    loop {
        let Some(sources) = project.sources() else {
            return Err(Failure::new(format!("{} has too many files", project.folder.display())));
        };
        match once(project, false, cache).await {
            Ok(report) => {
                let _ = io::stdout().write_all(text::lines(&report.text).as_bytes());
            }
            Err(failure) => {
                let _ = io::stderr().write_all(failure.to_string().as_bytes());
            }
        }
        // What was changed while it was built is built after it; but a script may itself write sources,
        // and must not be run for ever.
        let known = project.sources();
        again = if known.as_ref() == Some(&sources) { 0 } else { again + 1 };
        if (1..=MOST_AGAIN).contains(&again) {
            continue;
        }
        again = 0;
        let _ = writeln!(io::stdout(), "waiting for a source to change");
        while project.sources() == known {
            tokio::time::sleep(LOOK).await;
        }
    }
}

async fn once(project: &Project, json: bool, cache: Option<&Path>) -> Result<Report, Failure> {
    let script = project.script()?;
    let file = project.component();
    let unwritable =
        |error: io::Error| Failure::new(format!("cannot write {}: {error}", file.display()));
    // Beside its place, and under its own name, which some tools take over.
    let beside = file.with_extension(format!("{}.build", std::process::id()));
    fs::create_dir_all(&beside).map_err(unwritable)?;
    let made = beside.join(file.file_name().unwrap_or_default());
    let looked = match run(&script, project, &made, json) {
        Ok(()) => look(&made, cache).await,
        Err(failure) => Err(failure),
    };
    let moved = looked.and_then(|looked| {
        fs::rename(&made, &file).map_err(unwritable)?;
        Ok(looked)
    });
    // It holds nothing but what was not good enough.
    let _ = fs::remove_dir_all(&beside);
    Ok(report(&file, &moved?))
}

/// Run the script. What it says is passed on; with `json`, the standard output is
/// not its place.
fn run(script: &Path, project: &Project, made: &Path, json: bool) -> Result<(), Failure> {
    let failed =
        |error: io::Error| Failure::new(format!("cannot run {}: {error}", script.display()));
    let stdout = match json {
        true => io::stderr().as_fd().try_clone_to_owned().map_err(failed)?.into(),
        false => Stdio::inherit(),
    };
    let mut child = Command::new("sh")
        .arg(script)
        .arg(made)
        .current_dir(&project.folder)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let last = child.stderr.take().map(pass_on).unwrap_or_default();
    let status = child.wait().map_err(failed)?;
    if !status.success() {
        let said = last.last().map_or("it said nothing".into(), |line| line.trim().to_string());
        let failure = Failure::new(format!("{SCRIPT} ended with {status}: {said}"))
            .hint("what it said above names what is missing or wrong; then build again");
        return Err(Failure { faults: if json { last } else { Vec::new() }, ..failure });
    }
    if !made.is_file() {
        return Err(Failure::new(format!("{SCRIPT} ended well and made no {}", made.display()))
            .hint("it has to write the component to the path that is its first argument"));
    }
    Ok(())
}

/// Pass a stream on to the standard error, and keep its last lines.
fn pass_on(stream: impl io::Read) -> Vec<String> {
    let mut last = Vec::new();
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        let _ = io::stderr().write_all(&line);
        let text = String::from_utf8_lossy(&line).trim_end().to_string();
        if !text.is_empty() {
            last.push(text);
        }
        if last.len() > LAST_LINES {
            last.remove(0);
        }
        line.clear();
    }
    last
}

async fn look(made: &Path, cache: Option<&Path>) -> Result<Looked, Failure> {
    inspect::look(made, cache).await.map_err(|failure| Failure {
        message: format!("{SCRIPT} made a file that cannot be used: {}", failure.message),
        ..failure
    })
}

fn report(file: &Path, looked: &Looked) -> Report {
    let Looked { outline, identity, .. } = looked;
    let size = render::size(outline.size);
    let text = format!(
        "{}\n  {} {}, {size}, sha256:{}\n",
        file.display(),
        identity.name,
        identity.version,
        outline.digest
    );
    let json = json!({
        "file": file.display().to_string(),
        "size": outline.size,
        "digest": format!("sha256:{}", outline.digest),
        "plugin": {
            "name": identity.name,
            "version": identity.version,
            "summary": identity.summary,
        },
    });
    Report::good(text, json)
}
