//! The signals that end the daemon.

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::telemetry::event;

/// The time from a signal to the process's end, whatever still hangs then. It is a
/// little longer than all grace periods together, and shorter than what `docker stop`
/// and systemd wait for.
const LAST: Duration = Duration::from_secs(9);

/// A token that is cancelled by SIGTERM or SIGINT. They are waited for on a thread of its
/// own, so that they are heard even if no other makes progress.
pub(super) fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (ready, heard) = std::sync::mpsc::channel();
    let token = stop.clone();
    #[expect(clippy::disallowed_methods, reason = "what still runs by then does not end by itself")]
    let listen = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let waited = runtime.and_then(|runtime| {
            runtime.block_on(async {
                let mut terminate = signal(SignalKind::terminate())?;
                let mut interrupt = signal(SignalKind::interrupt())?;
                // Whoever started this may have given up.
                let _ = ready.send(Ok(()));
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                Ok(())
            })
        });
        if let Err(error) = waited {
            let _ = ready.send(Err(error));
            return;
        }
        token.cancel();
        std::thread::sleep(LAST);
        // The log itself may be what hangs.
        let say = || {
            error!(
                event = event::ABANDONED,
                reason = "it has not ended in time",
                "not everything has ended in time; ending without it"
            );
        };
        std::thread::spawn(say);
        std::thread::sleep(Duration::from_millis(200));
        std::process::exit(1);
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(listen)
        .context("cannot start a thread that listens to signals")?;
    heard.recv()?.context("cannot listen to signals")?;
    Ok(stop)
}
