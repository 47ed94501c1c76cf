//! The daemon's log. It goes to the standard error; what a command prints goes
//! to the standard output.

use tracing::Level;
use tracing_subscriber::{EnvFilter, fmt};

use crate::cli::LogFormat;

/// Write the log in this form from now on. `WHARFINGER_LOG` says how much, such
/// as `debug` or `info,wharfinger::reconcile=debug`; without it, `level` does.
pub fn start(form: LogFormat, level: Level) {
    let filter = EnvFilter::builder()
        .with_env_var("WHARFINGER_LOG")
        .with_default_directive(level.into())
        .from_env_lossy();
    let log = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match form {
        LogFormat::Json => log.json().flatten_event(true).init(),
        LogFormat::Text => {
            let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            let colour = terminal && std::env::var_os("NO_COLOR").is_none();
            log.with_ansi(colour).init();
        }
    }
}
