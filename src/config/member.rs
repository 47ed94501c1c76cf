//! `[fleet]`: whether the daemon registers itself in Consul, so that the others see it.

use serde::{Deserialize, Serialize};

/// The most characters of a service's name; a DNS label has no more.
const MOST: usize = 63;

/// Whether the daemon registers itself, and as what.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct FleetConfig {
    /// Whether it does; without this it does where `[policy]` names a source.
    pub register: Option<bool>,
    /// The name of the service, the same on all hosts.
    pub service: String,
}

impl Default for FleetConfig {
    fn default() -> Self {
        Self { register: None, service: "wharfinger".into() }
    }
}

impl FleetConfig {
    /// Whether the daemon registers itself, with or without a policy.
    #[must_use]
    pub fn registers(&self, has_policy: bool) -> bool {
        self.register.unwrap_or(has_policy)
    }

    /// What makes no sense, with its key.
    pub(super) fn fault(&self) -> Option<String> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let edge = self.service.starts_with('-') || self.service.ends_with('-');
        let bad = self.service.is_empty() || self.service.len() > MOST || edge;
        (bad || !self.service.chars().all(fits)).then(|| {
            format!(
                "fleet.service: {:?} is no name that DNS serves: letters, digits and dashes, at \
                 most {MOST}",
                self.service
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_one_that_dns_serves_and_nothing_is_registered_unasked() {
        let bare = FleetConfig::default();
        assert!(!bare.registers(false) && bare.registers(true));
        assert!(!FleetConfig { register: Some(false), ..bare.clone() }.registers(true));
        let long = "a".repeat(64);
        for (service, fits) in [
            ("wharfinger", true),
            ("Wharf-1", true),
            (&long[1..], true),
            ("", false),
            (&long, false),
            ("-a", false),
            ("a-", false),
            ("a.b", false),
            ("a/b", false),
            ("\u{e9}", false),
        ] {
            let fault = FleetConfig { service: service.into(), ..bare.clone() }.fault();
            assert_eq!(fault.is_none(), fits, "{service}: {fault:?}");
        }
    }
}
