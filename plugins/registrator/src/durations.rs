//! Durations as Consul reads them.

/// Whether Consul, which is written in Go, can read the duration and it makes
/// sense for a check.
pub(crate) fn is_valid(text: &str) -> bool {
    go_parse_duration::parse_duration(text).is_ok_and(|nanoseconds| nanoseconds > 0)
}
