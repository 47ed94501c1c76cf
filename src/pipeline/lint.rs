//! The parts of a service that will not work although it can be registered.

use crate::model::service::{CheckKind, Service};

/// The longest label of DNS.
const LONGEST_LABEL: usize = 63;
/// Consul's limits of metadata.
const MOST_META: usize = 64;
const LONGEST_KEY: usize = 128;
const LONGEST_VALUE: usize = 512;

/// The facts that bear on whether a check can run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lint {
    /// The daemon reports to TTL checks.
    pub heartbeat: bool,
}

/// The parts that will not work, a sentence each, but for what a
/// [`Survey`](super::Survey) finds. The service is as it will be registered, with its
/// marks.
pub fn lint(service: &Service, lint: Lint) -> Vec<String> {
    let mut found = Vec::new();
    if service.meta.len() > MOST_META {
        let count = service.meta.len();
        found.push(format!(
            "{count} keys of metadata, the marks included; Consul allows {MOST_META}"
        ));
    }
    for (key, value) in &service.meta {
        if key.len() > LONGEST_KEY {
            found.push(format!("metadata {key:?}: Consul allows {LONGEST_KEY} bytes of a key"));
        }
        if value.len() > LONGEST_VALUE {
            found.push(format!("metadata {key:?}: Consul allows {LONGEST_VALUE} bytes of a value"));
        }
    }
    if service.address.is_empty() {
        found.push("it has no address, so that Consul gives that of its node".into());
    }
    for check in &service.checks {
        if let CheckKind::Ttl { ttl } = &check.kind
            && !lint.heartbeat
            && !is_mirror(check.id.as_deref())
        {
            found.push(format!(
                "somebody has to report to its TTL check within {ttl}, or it is critical; the \
                 daemon does with lifecycle.heartbeat"
            ));
        }
    }
    found
}

/// Whether it is the check by which Docker's health is said; the daemon always
/// reports to it.
fn is_mirror(id: Option<&str>) -> bool {
    id.is_some_and(|id| id.starts_with("wharfinger-health:"))
}

/// Why Consul's DNS cannot serve a name.
pub(super) fn dns_fault(name: &str) -> Option<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() {
        return Some("it is empty".into());
    }
    if let Some(c) = name.chars().find(|c| !legal(*c)) {
        return Some(format!("{c:?} is neither a letter, a digit nor a hyphen"));
    }
    if name.len() > LONGEST_LABEL {
        return Some(format!("it has {} characters; {LONGEST_LABEL} are allowed", name.len()));
    }
    (name.starts_with('-') || name.ends_with('-'))
        .then(|| "it begins or ends with a hyphen".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_of_dns() {
        for (name, served) in [
            ("web", true),
            ("Web-1", true),
            ("my_app", false),
            ("a.b", false),
            ("-a", false),
            ("a-", false),
            ("", false),
            (&"a".repeat(63), true),
            (&"a".repeat(64), false),
        ] {
            assert_eq!(dns_fault(name).is_none(), served, "{name:?}: {:?}", dns_fault(name));
        }
    }
}
