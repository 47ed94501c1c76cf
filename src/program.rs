//! The program: read the command line, start the log, run, and say by the exit
//! code how it went.

use std::{io::Write as _, process::ExitCode};

use crate::{
    cli::{self, BadUsage, Invocation},
    config::{Config, LogFormat},
    daemon::app::BadConfig,
    privileges,
    stages::plugin,
    telemetry::{self, event},
    text,
};
use tokio::runtime;
use tracing::{Level, error, info};

/// The command could not be carried out.
const FAILURE: u8 = 1;
/// The configuration cannot be used; the `EX_CONFIG` of sysexits(3).
const BAD_CONFIG: u8 = 78;

/// Do what the command line of this process says.
pub fn main() -> ExitCode {
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(error) => {
            match error.to_stdout {
                // That nobody reads it to its end is no fault.
                true => drop(writeln!(std::io::stdout(), "{}", error.message)),
                false => drop(writeln!(std::io::stderr(), "{}", text::lines(&error.shown()))),
            }
            return ExitCode::from(error.code);
        }
    };
    if let Invocation::Compile = invocation {
        return match plugin::compile_child() {
            Ok(()) => ExitCode::SUCCESS,
            Err(reason) => {
                // The daemon reads it and logs it.
                eprintln!("{reason}");
                ExitCode::from(FAILURE)
            }
        };
    }
    match &invocation {
        Invocation::Run(args) => {
            let of_file = || Config::daemon(args.offer.config.as_deref()?)?.log_format;
            let form = args.log_format.or_else(of_file).unwrap_or(LogFormat::Text);
            telemetry::start(form, Level::INFO);
        }
        // What it has to say is its output.
        Invocation::Plugin(_) => telemetry::start_for_command(Level::WARN),
        _ => telemetry::start_for_command(Level::INFO),
    }
    if invocation.needs_docker() {
        privileges::raise();
    }
    let bad_usage = invocation.usage_code();
    // The daemon's loop and its connections share a thread; what is beside them has others (`daemon/beside`).
    let runtime = match &invocation {
        Invocation::Run(_) => runtime::Builder::new_current_thread(),
        _ => runtime::Builder::new_multi_thread(),
    };
    match block_on(runtime, cli::run(invocation)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let words = format!("{error:#}");
            if error.is::<BadUsage>() {
                // What may be meant, and the next step, stand on lines of their own.
                let mut lines = words.lines();
                let words = lines.next().unwrap_or_default();
                error!(event = event::FAILED, reason = words, "{words}");
                lines.for_each(|line| info!(event = event::FAILED, reason = line, "{line}"));
            } else {
                error!(event = event::FAILED, reason = words, "{words}");
            }
            ExitCode::from(match error {
                _ if error.is::<BadConfig>() => BAD_CONFIG,
                _ if error.is::<BadUsage>() => bad_usage,
                _ => FAILURE,
            })
        }
    }
}

fn block_on<T>(
    mut runtime: runtime::Builder,
    future: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    // Two libraries speak TLS; both use the one provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = runtime.enable_all().build()?;
    let result = runtime.block_on(future);
    // A name server may keep a thread waiting long after nobody wants its answer.
    runtime.shutdown_background();
    result
}
