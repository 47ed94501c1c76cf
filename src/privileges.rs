//! Docker's socket belongs to root, and the image's user is not root. So the
//! image's binary may have the one capability that opens the socket all the
//! same. It is only permitted, not effective, so that the binary also runs where
//! it is taken away.

use caps::{CapSet, Capability};

use crate::telemetry::event;

/// Raise the capability that opens Docker's socket, if this process may. Threads
/// that are started later inherit it.
pub fn raise() {
    let wanted = Capability::CAP_DAC_OVERRIDE;
    if matches!(caps::has_cap(None, CapSet::Permitted, wanted), Ok(true))
        && let Err(error) = caps::raise(None, CapSet::Effective, wanted)
    {
        tracing::warn!(
            event = event::CAPABILITY_MISSING,
            reason = %error,
            "cannot use the capability that opens Docker's socket"
        );
    }
}
