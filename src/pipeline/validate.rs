//! What a stage returns is checked like a user's text.
//!
//! Only what the stage itself wrote is held against it: a field that it handed
//! on as it was is not. The rules are Consul's (its documentation of service
//! definitions), where breaking one would cost the service its registration.

use std::collections::BTreeMap;

use crate::service::Service;

/// Keys with this prefix are the daemon's own.
pub(crate) const RESERVED: &str = "wharfinger-";

const MAX_ID: usize = 512;
const MAX_META: usize = 64;

/// Check a service that takes the place of another.
///
/// # Errors
///
/// A sentence that names the service, the field and the fault.
pub(crate) fn replaced(before: &Service, after: &Service) -> Result<(), String> {
    check(Some(before), after)
}

/// Check a service that a stage made up.
///
/// # Errors
///
/// As for [`replaced`].
pub(crate) fn added(service: &Service) -> Result<(), String> {
    check(None, service)
}

fn check(before: Option<&Service>, after: &Service) -> Result<(), String> {
    let fault =
        |field: &str, fault: &str| Err(format!("service {:?}: {field}: {fault}", shown(&after.id)));
    for (field, old, new) in [
        ("id", before.map(|service| &service.id), &after.id),
        ("name", before.map(|service| &service.name), &after.name),
    ] {
        if old == Some(new) {
            continue;
        }
        if new.trim().is_empty() {
            return fault(field, "it is empty");
        }
        if new.len() > MAX_ID {
            return fault(field, "it is longer than 512 bytes");
        }
        if new.chars().any(char::is_control) {
            return fault(field, "it has a control character");
        }
    }
    if before.map(|service| &service.address) != Some(&after.address)
        && after.address.chars().any(|c| c.is_control() || c.is_whitespace())
    {
        return fault("address", "it has a space or a control character");
    }
    if before.is_none_or(|service| service.tags != after.tags)
        && after.tags.iter().any(|tag| tag.is_empty() || tag.chars().any(char::is_control))
    {
        return fault("tags", "a tag is empty or has a control character");
    }
    if before.is_none_or(|service| service.meta != after.meta) {
        let empty = BTreeMap::new();
        let old = before.map_or(&empty, |service| &service.meta);
        if let Err(reason) = meta(old, &after.meta) {
            return fault("meta", &reason);
        }
    }
    Ok(())
}

fn meta(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Result<(), String> {
    if new.len() > MAX_META && new.len() > old.len() {
        return Err(format!("{} pairs, of which Consul allows {MAX_META}", new.len()));
    }
    for (key, value) in new {
        if old.get(key) == Some(value) {
            continue;
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if key.is_empty() || key.len() > 128 || !key.chars().all(legal) {
            return Err(format!(
                "key {:?}: Consul allows 1 to 128 letters, digits, - and _",
                shown(key)
            ));
        }
        if key.starts_with(RESERVED) {
            return Err(format!("key {key:?}: the prefix {RESERVED} is reserved"));
        }
        if value.len() > 512 {
            return Err(format!("key {key:?}: a value longer than 512 bytes"));
        }
    }
    Ok(())
}

/// A text from a guest, short enough for a log line.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
