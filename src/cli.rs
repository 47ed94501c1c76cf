//! The command line: registrator's, and ours beside it.
//!
//! registrator is written in Go, whose flags have one dash, stand before the
//! registry's URI and may be written `-flag=value`. They are turned into the
//! same flags with two dashes before anything else looks at them.

mod apply;
mod check;
mod completions;
mod dispatch;
mod explain;
mod go_flags;
mod output;
mod plan;
mod plugin;
mod status;
mod record;
mod replay;
mod target;

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::host::Compat;

pub use apply::{ApplyArgs, apply};
pub use check::{CheckArgs, check};
pub use completions::{CompletionsArgs, completions};
pub use dispatch::run;
pub use explain::{ExplainArgs, ExplainOutput, explain};
pub use output::{CHANGES, Color, ColorArgs, Printed, print, stdout, width};
pub use plan::{PlanArgs, PlanOutput, plan};
pub use plugin::{Done, PluginArgs, plugin};
pub use record::{RecordArgs, record};
pub use replay::{ReplayArgs, ReplayOutput, replay};
pub use status::{StatusArgs, status};
pub use target::TargetArgs;

/// Keeps Consul's catalog true to the containers that run on a host.
#[derive(Debug, Parser)]
#[command(
    name = "wharfinger",
    disable_version_flag = true,
    args_conflicts_with_subcommands = true,
    override_usage = "wharfinger [options] <registry URI>\n       wharfinger <command> [options]"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Invocation>,

    #[command(flatten)]
    run: RunArgs,

    /// Print the version and end.
    #[arg(long)]
    version: bool,
}

/// What to do: the commands, which are told apart here and carried out in [`run`].
#[derive(Debug, Subcommand)]
pub enum Invocation {
    /// Print the version.
    #[command(skip)]
    Version,
    /// Run with a configuration file; what the plain command does otherwise.
    Run(Box<RunArgs>),
    /// Show what the daemon would do, without doing it.
    Plan(Box<PlanArgs>),
    /// Say why a container's services are what they are, or why there are none.
    Explain(Box<ExplainArgs>),
    /// Write the running containers with what becomes of them to a file.
    Record(Box<RecordArgs>),
    /// Show what another pipeline would make of recorded containers.
    Replay(ReplayArgs),
    /// Show what the bulk guard of the running daemon holds, or carry it out.
    Apply(ApplyArgs),
    /// Show how the stages of the running daemon fare.
    Status(StatusArgs),
    /// Load a configuration and say what is wrong with it.
    Check(Box<CheckArgs>),
    /// Make, look at, test and measure plugins.
    Plugin(Box<PluginArgs>),
    /// Print a script by which a shell completes the words of this program.
    Completions(CompletionsArgs),
    /// Compile a component from the standard input to the standard output; the
    /// daemon's own.
    #[command(name = crate::plugin::COMPILE_COMMAND, hide = true)]
    Compile,
}

impl Invocation {
    /// Whether it opens Docker's socket.
    pub fn needs_docker(&self) -> bool {
        matches!(self, Self::Run(_) | Self::Plan(_) | Self::Explain(_) | Self::Record(_))
    }
}

/// The flags that decide what is registered.
#[derive(Debug, Clone, Args)]
pub struct OfferArgs {
    /// IP for ports mapped to the host.
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<String>,

    /// Use the containers' own addresses and ports instead of published ones.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    pub internal: bool,

    /// Only register containers that have SERVICE_NAME set.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    pub explicit: bool,

    /// Tags for all services, separated by commas; a Go template over what
    /// `docker inspect` prints.
    #[arg(long, value_name = "TAGS", default_value = "")]
    pub tags: String,

    /// Let the template of --tags call out with httpGet.
    #[arg(long)]
    pub allow_http_get: bool,

    /// Use the IP that is stored in this label of the container.
    #[arg(
        long = "useIpFromLabel",
        alias = "use-ip-from-label",
        value_name = "LABEL",
        default_value = ""
    )]
    pub use_ip_from_label: String,

    /// The host name that service IDs begin with; the machine's own if not
    /// given.
    #[arg(long, value_name = "NAME", env = "WHARFINGER_HOSTNAME")]
    pub hostname: Option<String>,

    /// The address of a host name, in the place of its resolution.
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = resolution)]
    pub resolve: Vec<(String, String)>,

    /// Whose rules hold where registrator's behaviour is a bug: none or
    /// registrator.
    #[arg(long, value_name = "WHOSE")]
    pub compat: Option<Compat>,

    /// Do not mark services as the daemon's own in their metadata.
    #[arg(long)]
    pub no_provenance: bool,

    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "WHARFINGER_CONFIG")]
    pub config: Option<PathBuf>,

    /// The folder for compiled components; an empty one for none.
    /// [default: wharfinger in the user's folder for caches]
    #[arg(long, value_name = "FOLDER", env = "WHARFINGER_CACHE_DIR", value_parser = folder)]
    pub cache_dir: Option<PathBuf>,
}

/// The flags of the daemon.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub offer: OfferArgs,

    /// Containers that docker inspect recorded in this file, in the place of
    /// Docker's. Can be given several times.
    #[arg(long, value_name = "FILE")]
    pub containers: Vec<PathBuf>,

    /// Remove dangling services that registrator left behind on this host. Those
    /// that the daemon registered itself are always removed.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    pub cleanup: bool,

    /// Deregister exited services "always" or "on-success".
    #[arg(long, value_name = "WHEN", default_value = "always")]
    pub deregister: String,

    /// Seconds between two resyncs; 0 for none.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub resync: u64,

    /// Attempts to reach the registry at start after the first; -1 for no end.
    /// [default: -1, or 0 under --compat registrator]
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pub retry_attempts: Option<i64>,

    /// Milliseconds between two attempts.
    #[arg(
        long,
        value_name = "MILLISECONDS",
        default_value_t = 2000,
        allow_negative_numbers = true
    )]
    pub retry_interval: i64,

    /// TTL for services in seconds; 0 for no expiry.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub ttl: u64,

    /// Seconds between two refreshes of services' TTLs.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub ttl_refresh: u64,

    /// Confirm beforehand whatever the start takes out of the catalog, however
    /// much it is.
    #[arg(long)]
    pub confirm: bool,

    /// Where other commands reach the daemon; `none` for nowhere. Without it,
    /// /run/wharfinger/control.sock or the like.
    #[arg(long, value_name = "PATH", env = "WHARFINGER_CONTROL")]
    pub control: Option<PathBuf>,

    /// The form of the log: text or json.
    #[arg(long, value_name = "FORM", default_value = "text", env = "WHARFINGER_LOG_FORMAT")]
    pub log_format: LogFormat,

    /// Where services are registered: consul://, consul-tls://, consul-unix://,
    /// consulkv://<host>:<port>/<prefix>, consulkv-unix://<socket>:/<prefix> or
    /// memory://.
    #[arg(value_name = "registry URI")]
    pub uri: Option<String>,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs)]
pub enum LogFormat {
    Text,
    Json,
}

/// A command line that cannot be used.
#[derive(Debug)]
pub struct UsageError {
    /// What to print.
    pub message: String,
    /// The exit code: registrator's for the same fault, or 0 where help was
    /// asked for.
    pub code: u8,
    /// Whether it belongs on the standard output: help of our own commands, and
    /// what a program has asked for with `--json`. registrator's help does not.
    pub to_stdout: bool,
}

impl UsageError {
    fn new(message: String, code: u8) -> Self {
        Self { message, code, to_stdout: false }
    }

    fn of(words: &[OsString], error: &clap::Error) -> Self {
        let code = u8::try_from(error.exit_code()).unwrap_or(2);
        if let Some(message) = plugin::usage_error(words, error) {
            return Self { message, code, to_stdout: true };
        }
        let to_stdout = go_flags::is_of_our_own(words) && !error.use_stderr();
        Self { message: error.to_string(), code, to_stdout }
    }
}

/// Read a command line, whose first word is the program's name.
///
/// # Errors
///
/// It cannot be used, or help is asked for.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Invocation, UsageError> {
    let words = go_flags::to_long(words.into_iter().collect(), &Cli::command())
        .map_err(|message| UsageError::new(message, 2))?;
    let cli = Cli::try_parse_from(&words).map_err(|error| UsageError::of(&words, &error))?;
    if cli.version {
        return Ok(Invocation::Version);
    }
    let args = match cli.command {
        None => Box::new(cli.run),
        Some(Invocation::Run(args)) => args,
        Some(other) => return Ok(other),
    };
    if args.uri.is_none() && args.offer.config.is_none() {
        let usage = Cli::command().render_help();
        let message = format!("Missing required argument for registry URI.\n\n{usage}");
        return Err(UsageError::new(message, 2));
    }
    args.check().map_err(|message| UsageError::new(message, 1))?;
    Ok(Invocation::Run(args))
}

impl RunArgs {
    /// Rules over several flags. The words are registrator's.
    fn check(&self) -> Result<(), String> {
        if !matches!(self.deregister.as_str(), "always" | "on-success") {
            return Err("-deregister must be \"always\" or \"on-success\"".into());
        }
        if self.retry_interval <= 0 {
            return Err("-retry-interval must be greater than 0".into());
        }
        if self.retry_attempts.is_some_and(|attempts| attempts < -1) {
            return Err("-retry-attempts must be -1 or greater".into());
        }
        if (self.ttl == 0) != (self.ttl_refresh == 0) {
            return Err("-ttl and -ttl-refresh must be specified together or not at all".into());
        }
        if self.ttl > 0 && self.ttl <= self.ttl_refresh {
            return Err("-ttl must be greater than -ttl-refresh".into());
        }
        Ok(())
    }
}

impl OfferArgs {
    /// The flags that have a value, by their long names, for the stages.
    pub fn flags(&self, compat: Compat) -> BTreeMap<String, String> {
        let on = |flag: bool| flag.then(|| "true".to_string());
        let text = |text: &str| (!text.is_empty()).then(|| text.to_string());
        [
            ("ip", self.ip.clone()),
            ("internal", on(self.internal)),
            ("explicit", on(self.explicit)),
            ("tags", text(&self.tags)),
            ("useIpFromLabel", text(&self.use_ip_from_label)),
            ("hostname", self.hostname.clone()),
            ("compat", Some(compat.to_string())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_string(), value?)))
        .collect()
    }
}

/// A folder, or nothing, which stands for none.
fn folder(text: &str) -> Result<PathBuf, std::convert::Infallible> {
    Ok(text.into())
}

fn resolution(text: &str) -> Result<(String, String), String> {
    let (name, address) =
        text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=ADDRESS"))?;
    address.parse::<std::net::IpAddr>().map_err(|_| format!("{address:?} is not an IP address"))?;
    Ok((name.to_string(), address.to_string()))
}

#[cfg(test)]
mod tests;
