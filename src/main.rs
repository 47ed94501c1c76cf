//! The program: read the command line, start the log, run, and say by the exit
//! code how it went.

use std::process::ExitCode;

use tracing::{Level, error, info};
use wharfinger::{
    app::{self, BadConfig},
    cli::{self, Invocation, LogFormat},
    plugin, telemetry,
};

/// What was wanted could not be done.
const FAILURE: u8 = 1;
/// Something waits for a decision.
const WAITING: u8 = 2;
/// The configuration cannot be used; the `EX_CONFIG` of sysexits(3).
const BAD_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(error) => {
            match error.json {
                Some(json) => println!("{json}"),
                None => eprintln!("{}", error.message),
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
    let (form, level) = match &invocation {
        Invocation::Run(args) => (args.log_format, Level::INFO),
        // What it has to say is its output.
        Invocation::Plugin(_) => (LogFormat::Text, Level::WARN),
        _ => (LogFormat::Text, Level::INFO),
    };
    telemetry::start(form, level);
    let done = |()| ExitCode::SUCCESS;
    let told = |(text, waits): (String, bool)| {
        print!("{text}");
        ExitCode::from(if waits { WAITING } else { 0 })
    };
    let result = match invocation {
        Invocation::Version | Invocation::Compile => {
            println!("v{}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
        Invocation::Run(args) => {
            info!("Starting wharfinger v{} ...", env!("CARGO_PKG_VERSION"));
            privileges::raise();
            block_on(app::run(*args)).map(done)
        }
        Invocation::Plan(args) => {
            block_on(cli::plan(&args)).map(|text| println!("{text}")).map(done)
        }
        Invocation::Check(args) => {
            block_on(cli::check(&args)).map(|text| print!("{text}")).map(done)
        }
        Invocation::Plugin(args) => {
            block_on(async { Ok(cli::plugin(&args).await) }).map(|done| done.print())
        }
        Invocation::Completions(args) => {
            print!("{}", cli::completions(&args));
            Ok(ExitCode::SUCCESS)
        }
        Invocation::Apply(args) => block_on(async { Ok(cli::apply(&args).await?) }).map(told),
        Invocation::Status(args) => block_on(async { Ok(cli::status(&args).await?) }).map(told),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            error!("{error:#}");
            let bad_config = error.downcast_ref::<BadConfig>().is_some();
            ExitCode::from(if bad_config { BAD_CONFIG } else { FAILURE })
        }
    }
}

fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    // Two libraries speak TLS; both use the one provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(future)
}

mod privileges {
    //! Docker's socket belongs to root. The image's user is not root, so the
    //! image's binary may have the one capability that opens the socket all
    //! the same. It is only permitted, not effective, so that the binary also
    //! runs where it is taken away; threads inherit it from here.

    use caps::{CapSet, Capability};

    pub(super) fn raise() {
        let wanted = Capability::CAP_DAC_OVERRIDE;
        if matches!(caps::has_cap(None, CapSet::Permitted, wanted), Ok(true))
            && let Err(error) = caps::raise(None, CapSet::Effective, wanted)
        {
            tracing::warn!(%error, "cannot use the capability that opens Docker's socket");
        }
    }
}
