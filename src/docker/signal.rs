//! Signals by their names.

/// The signal that `docker stop` sends unless the container says otherwise.
pub(super) const SIGTERM: i64 = 15;

/// The number of a signal that is given by number or by name, with or without
/// `SIG`. The names are those that images give as `STOPSIGNAL`.
pub(super) fn number(text: &str) -> Option<i64> {
    let name = text.trim().to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    if let Some(offset) = name.strip_prefix("RTMIN+") {
        return offset.parse().ok().map(|offset: i64| 34 + offset);
    }
    Some(match name {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "ABRT" => 6,
        "KILL" => 9,
        "USR1" => 10,
        "USR2" => 12,
        "TERM" => SIGTERM,
        "WINCH" => 28,
        "PWR" => 30,
        "RTMIN" => 34,
        other => return other.parse().ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_a_name_or_a_number() {
        for (text, expected) in [
            ("SIGTERM", Some(15)),
            ("quit", Some(3)),
            ("28", Some(28)),
            ("SIGRTMIN+3", Some(37)),
            ("nonsense", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }
}
