//! Durations as Consul reads them.

/// Whether Consul, which is written in Go, can read the duration and it makes
/// sense for a check.
pub(crate) fn is_valid(text: &str) -> bool {
    // The parser panics on some texts of letters that no unit has.
    let legal = |c: char| c.is_ascii_digit() || "+-.hmsnu".contains(c);
    text.chars().all(legal)
        && go_parse_duration::parse_duration(text).is_ok_and(|nanoseconds| nanoseconds > 0)
}
