//! The contact of an answering server with its leader. Any server may be asked, and one that has lost its
//! leader may be behind by any time.

use reqwest::{Response, header::HeaderMap};

/// A server's contact with its leader, by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registry) struct Contact {
    /// Whether it knows one; none if it does not say.
    leader: Option<bool>,
    /// The time since it has heard of it, in milliseconds.
    ago: Option<u64>,
}

impl Contact {
    /// That of an answer.
    pub(in crate::registry) fn of(response: &Response) -> Self {
        Self::said(response.headers())
    }

    fn said(headers: &HeaderMap) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            leader: header("X-Consul-KnownLeader").map(|known| known == "true"),
            ago: header("X-Consul-LastContact").and_then(|ago| ago.parse().ok()),
        }
    }

    /// Whether nothing speaks against its having a leader that it has heard of within so many
    /// milliseconds.
    pub(in crate::registry) fn is_led(self, within: u64) -> bool {
        self.leader != Some(false) && self.ago.is_none_or(|ago| ago <= within)
    }

    /// The same, and it says that it has one.
    pub(in crate::registry) fn says_led(self, within: u64) -> bool {
        self.leader == Some(true) && self.is_led(within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_a_leader_or_long_without_a_word_of_it_is_not_believed() {
        for (leader, ago, led, says) in [
            (Some("true"), Some("0"), true, true),
            (Some("true"), Some("2000"), true, true),
            (Some("true"), Some("2001"), false, false),
            (Some("true"), None, true, true),
            (None, Some("10"), true, false),
            (None, None, true, false),
            (Some("false"), Some("0"), false, false),
            (Some("nonsense"), None, false, false),
            (Some("true"), Some("nonsense"), true, true),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [("x-consul-knownleader", leader), ("x-consul-lastcontact", ago)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().expect("a value"));
                }
            }
            let contact = Contact::said(&headers);
            let found = (contact.is_led(2000), contact.says_led(2000));
            assert_eq!(found, (led, says), "{leader:?} {ago:?}");
        }
    }
}
