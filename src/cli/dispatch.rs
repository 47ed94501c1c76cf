//! From what is wanted to the command that does it, and to the exit code.

use tracing::info;

use super::{Color, Invocation, Printed};
use crate::daemon::app;
use crate::telemetry::event;

/// Something waits for a decision.
const WAITING: u8 = 2;

/// Do what is wanted, print what it has to say, and tell the exit code.
///
/// # Errors
///
/// It could not be done.
pub async fn run(invocation: Invocation) -> anyhow::Result<u8> {
    match invocation {
        Invocation::Version | Invocation::Compile => {
            println!("v{}", env!("CARGO_PKG_VERSION"));
            Ok(0)
        }
        Invocation::Run(args) => {
            let version = env!("CARGO_PKG_VERSION");
            info!(event = event::STARTING, version, "Starting wharfinger v{version} ...");
            app::run(*args).await.map(|()| 0)
        }
        Invocation::Plan(args) => show(&super::plan(&args).await?, args.color.color),
        Invocation::Explain(args) => show(&super::explain(&args).await?, args.color.color),
        Invocation::Record(args) => super::record(&args).await.map(|()| 0),
        Invocation::Replay(args) => super::replay(&args).await,
        Invocation::Check(args) => show(&super::check(&args).await?, Color::Auto),
        Invocation::Apply(args) => tell(super::apply(&args).await?),
        Invocation::Status(args) => tell(super::status(&args).await?),
        Invocation::Health(args) => show(&super::health(&args).await?, Color::Never),
        Invocation::Decisions(args) => super::decisions(&args),
        Invocation::Config(args) => {
            let words = std::env::args_os().collect();
            show(&super::config(&args, words)?, Color::Never)
        }
        Invocation::Plugin(args) => Ok(super::plugin(&args).await.print()),
        Invocation::Policy(args) => show(&super::policy(&args).await?, Color::Auto),
        Invocation::Rollout(args) => show(&super::rollout(&args).await?, Color::Auto),
        Invocation::Fleet(args) => show(&super::fleet(&args).await?, Color::Auto),
        Invocation::Completions(args) => {
            print!("{}", super::completions(&args));
            Ok(0)
        }
    }
}

fn show(printed: &Printed, color: Color) -> anyhow::Result<u8> {
    super::print(&printed.text, color)?;
    Ok(printed.code)
}

/// Print what a running daemon tells. Its parts were shown when they were put together.
fn tell((text, waits): (String, bool)) -> anyhow::Result<u8> {
    super::print(&text, Color::Auto)?;
    Ok(if waits { WAITING } else { 0 })
}
