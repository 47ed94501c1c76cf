//! Durations as Consul reads them.

use wharfinger_plugin::duration;

/// Whether Consul, which is written in Go, can read the duration and it makes
/// sense for a check.
pub(crate) fn is_valid(text: &str) -> bool {
    duration::parse(text).is_some_and(|duration| !duration.is_zero())
}
