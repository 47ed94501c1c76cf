//! `wharfinger plugin`: the commands for the author of a plugin, from an empty
//! folder to a component that is tested and measured.
//!
//! A command returns a [`Report`] or a [`Failure`]. Both are printed here, as
//! text for people or, with `--json`, as one JSON object on the standard output.
//! The keys of that object are part of the program's interface: `--help` of a
//! command names them.

mod bench;
mod build;
mod cases;
mod check;
mod compare;
mod embedded;
mod failure;
mod input;
mod inspect;
mod junit;
mod new;
mod project;
mod pull;
mod push;
mod render;
mod run;
mod template;
mod test;
mod trial;
mod upgrade;
mod workbench;

use std::{ffi::OsString, io::Write as _, path::PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::text;

/// The flags of `plugin` and its commands.
#[derive(Debug, Clone, Args)]
pub struct PluginArgs {
    #[command(subcommand)]
    command: Command,

    /// Print one JSON object instead of text, also of an error.
    #[arg(long, global = true)]
    json: bool,

    /// The folder for compiled components; an empty one for none.
    #[arg(long, global = true, value_name = "FOLDER", env = "WHARFINGER_CACHE_DIR", value_parser = super::flags::folder)]
    cache_dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    New(new::NewArgs),
    Upgrade(upgrade::UpgradeArgs),
    Build(build::BuildArgs),
    Inspect(inspect::InspectArgs),
    Check(check::CheckArgs),
    Run(run::RunArgs),
    Test(test::TestArgs),
    Bench(bench::BenchArgs),
    Push(push::PushArgs),
    Pull(pull::PullArgs),
}

/// What a command has to say.
#[derive(Debug)]
struct Report {
    /// For people.
    text: String,
    /// For programs.
    json: Value,
    /// The exit code.
    code: u8,
}

impl Report {
    fn good(text: String, json: Value) -> Self {
        Self { text, json, code: 0 }
    }
}

/// A command that is done: what it prints, and its exit code.
#[derive(Debug)]
pub struct Done {
    stdout: String,
    stderr: String,
    code: u8,
}

impl Done {
    /// Print it, as far as somebody listens, and tell the exit code.
    pub fn print(self) -> u8 {
        let _ = std::io::stdout().write_all(self.stdout.as_bytes());
        let _ = std::io::stderr().write_all(self.stderr.as_bytes());
        self.code
    }
}

/// Carry out a command. Nothing is printed yet, but for what the build of a
/// project says meanwhile.
pub async fn plugin(args: &PluginArgs) -> Done {
    let cache = args.cache_dir.as_deref();
    let result = match &args.command {
        Command::New(args) => new::new(args),
        Command::Upgrade(args) => upgrade::upgrade(args),
        Command::Build(own) => build::build(own, args.json, cache).await,
        Command::Inspect(args) => inspect::inspect(args, cache).await,
        Command::Check(args) => check::check(args, cache).await,
        Command::Run(args) => run::run(args, cache).await,
        Command::Test(args) => test::test(args, cache).await,
        Command::Bench(args) => bench::bench(args, cache).await,
        Command::Push(args) => push::push(args).await,
        Command::Pull(args) => pull::pull(args).await,
    };
    match (result, args.json) {
        (Ok(report), false) => Done::of(text::lines(&report.text), String::new(), report.code),
        (Ok(report), true) => Done::of(pretty(&report.json), String::new(), report.code),
        (Err(failure), false) => Done::of(String::new(), failure.to_string(), failure.code),
        (Err(failure), true) => Done::of(pretty(&failure.json()), String::new(), failure.code),
    }
}

impl Done {
    fn of(stdout: String, stderr: String, code: u8) -> Self {
        Self { stdout, stderr, code }
    }
}

/// JSON as people can read it, with a line break at the end.
fn pretty(json: &Value) -> String {
    text::json(&format!("{json:#}\n")).into_owned()
}

/// A fault of the command line in JSON, if it is one of these commands with
/// `--json`.
pub(super) fn usage_error(words: &[OsString], error: &clap::Error) -> Option<String> {
    let ours = words.get(1).is_some_and(|word| word == "plugin");
    let asked = words.iter().take_while(|word| *word != "--").any(|word| word == "--json");
    let message = || json!({ "error": { "message": error.to_string().trim_end() } });
    (ours && asked && error.use_stderr()).then(|| format!("{:#}", message()))
}
