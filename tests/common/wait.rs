//! Waiting for a state, instead of sleeping and hoping.

use std::panic::Location;
use std::time::{Duration, Instant};

/// The time between two looks.
pub const INTERVAL: Duration = Duration::from_millis(25);

/// Asks `probe` until it answers with `Ok`, and returns that.
///
/// Its `Err` describes the state that it saw instead; after `timeout` this
/// panics with the last one, in the name of the caller.
///
/// ```ignore
/// let web = wait::until(SECONDS_5, "web is registered", async || {
///     let services = consul.services().await;
///     services.get("web").cloned().ok_or(format!("{services:?}"))
/// })
/// .await;
/// ```
#[track_caller]
pub fn until<T>(
    timeout: Duration,
    what: impl Into<String>,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> impl Future<Output = T> {
    let caller = Location::caller();
    let what = what.into();
    async move {
        let start = Instant::now();
        let mut last = None;
        loop {
            let left = timeout.saturating_sub(start.elapsed());
            // A probe that hangs must not hang the test.
            match tokio::time::timeout(left, probe()).await {
                Ok(Ok(value)) => return value,
                Ok(Err(state)) => last = Some(state),
                Err(_) => {
                    last.get_or_insert_with(|| "no answer at all".into());
                }
            }
            if start.elapsed() >= timeout {
                let last = last.unwrap_or_default();
                panic!("{caller}: waited {timeout:?} until {what}; last state: {last}");
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

/// Checks again and again for `period` that `probe` answers with `Ok`: for what
/// must *not* happen.
#[track_caller]
pub fn holds(
    period: Duration,
    what: impl Into<String>,
    mut probe: impl AsyncFnMut() -> Result<(), String>,
) -> impl Future<Output = ()> {
    let caller = Location::caller();
    let what = what.into();
    async move {
        let start = Instant::now();
        loop {
            if let Err(state) = probe().await {
                let after = start.elapsed();
                panic!("{caller}: {what} did not hold after {after:?}; state: {state}");
            }
            if start.elapsed() >= period {
                return;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}
