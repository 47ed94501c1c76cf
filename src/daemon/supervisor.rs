//! Notifies systemd where it has started the daemon as a unit of the type `notify`: that it runs,
//! how it is, and, where the unit has a watchdog, that the loop still answers. Source:
//! sd_notify(3) and sd_watchdog_enabled(3).

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::reconcile::Handle;

/// The time between two looks at how the daemon is.
const PERIOD: Duration = Duration::from_secs(5);
/// The same while it is not ready.
const SOON: Duration = Duration::from_millis(500);

/// Whether somebody wants to be told.
#[must_use]
pub fn is_there() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty())
}

/// Tell of the loop until `stop`. It runs once it answers. One that hangs answers nothing, and
/// then nothing is told, so that a watchdog takes note.
pub async fn report(handle: Handle, stop: CancellationToken) {
    let watchdog = sd_notify::watchdog_enabled();
    // Half of the time is what sd_watchdog_enabled(3) asks for.
    let period = watchdog.map_or(PERIOD, |limit| PERIOD.min(limit / 2));
    let tell_all = async {
        let mut said = None;
        while let Ok(overview) = handle.overview().await {
            let words = match overview.not_ready() {
                Some(why) => format!("not ready: {why}"),
                None => "ready".to_string(),
            };
            let mut states = Vec::new();
            if said.is_none() {
                states.push(NotifyState::Ready);
            }
            if watchdog.is_some() {
                states.push(NotifyState::Watchdog);
            }
            if said.as_ref() != Some(&words) {
                states.push(NotifyState::Status(&words));
            }
            tell(&states);
            said = Some(words);
            // Whoever has just started it looks.
            sleep(if overview.not_ready().is_some() { period.min(SOON) } else { period }).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = tell_all => {}
    }
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "the supervisor is not told");
    }
}
