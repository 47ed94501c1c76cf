//! Durations as Consul writes them: decimal numbers with a unit each, such as
//! `300ms`, `10s` or `1h30m`.

use std::time::Duration;

/// Read a duration; none if it is none, or below zero.
pub fn parse(text: &str) -> Option<Duration> {
    // The parser panics on some texts of letters that no unit has.
    let legal = |c: char| c.is_ascii_digit() || "+-.hmsnu".contains(c);
    if !text.chars().all(legal) {
        return None;
    }
    let nanoseconds = go_parse_duration::parse_duration(text).ok()?;
    nanoseconds.try_into().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse("10s"), Some(Duration::from_secs(10)));
        assert_eq!(parse("1m30.5s"), Some(Duration::from_millis(90_500)));
        assert_eq!(parse("0"), Some(Duration::ZERO));
        for wrong in ["", "10", "s", "-1s", "10 s", "ten"] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
