//! What a stage returns is checked like a user's text.
//!
//! Only what the stage itself wrote is held against it: a field that it handed
//! on as it was is not. The rules are Consul's (its documentation of service and
//! check definitions) where breaking one would cost the service its
//! registration, and the daemon's own where an entry could not be removed again
//! or would be taken for somebody else's.

mod address;
mod checks;
mod id;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::service::{Check, Service, Weights};

/// Keys with this prefix are the daemon's own.
pub(crate) const RESERVED: &str = "wharfinger-";
/// Keys with this prefix are Consul's own.
const CONSULS: &str = "consul-";

/// The bytes that a name, a tag and the like may have, unless it is said
/// otherwise.
const MAX_TEXT: usize = 512;
const MAX_TAGS: usize = 256;
const MAX_META: usize = 64;
const MAX_META_KEY: usize = 128;
const MAX_META_VALUE: usize = 512;
const MAX_CHECKS: usize = 64;
const MAX_NOTES: usize = 128;
const MAX_NOTE: usize = 16 << 10;
/// The largest weight that Consul takes.
const MAX_WEIGHT: u32 = 65_535;

/// Check a service that takes the place of another, on the host of this name.
///
/// # Errors
///
/// A sentence that names the service, the field and the fault.
pub(super) fn replaced(host: &str, before: &Service, after: &Service) -> Result<(), String> {
    check(host, Some(before), after)
}

/// Check a service that a stage made up.
///
/// # Errors
///
/// As for [`replaced`].
pub(super) fn added(host: &str, service: &Service) -> Result<(), String> {
    check(host, None, service)
}

/// The reason of a veto as one line of bounded length; a bad one is no ground to
/// register what the stage does not want.
pub(super) fn reason(text: &str) -> String {
    let mut text = text.replace(char::is_control, " ");
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}

type Fault = Result<(), String>;

fn check(host: &str, before: Option<&Service>, after: &Service) -> Fault {
    let named = |field: &str| {
        let place = format!("service {:?}: {field}: ", shown(&after.id));
        move |fault: String| place + &fault
    };
    macro_rules! changed {
        ($field:ident) => {
            before.is_none_or(|before| before.$field != after.$field)
        };
    }
    if changed!(id) {
        id::service(host, &after.id).map_err(named("id"))?;
    }
    if changed!(name) {
        text(&after.name).map_err(named("name"))?;
    }
    if changed!(address) && !after.address.is_empty() {
        address::address(&after.address).map_err(named("address"))?;
    }
    if changed!(tags) {
        let old = before.map_or(0, |before| before.tags.len());
        tags(&after.tags, old).map_err(named("tags"))?;
    }
    if changed!(meta) {
        let none = BTreeMap::new();
        let old = before.map_or(&none, |before| &before.meta);
        meta(old, &after.meta).map_err(named("meta"))?;
    }
    if changed!(checks) {
        let old = before.map_or(&[][..], |before| &before.checks);
        definitions(old, &after.checks).map_err(named("checks"))?;
    }
    if changed!(weights) {
        weights(after.weights).map_err(named("weights"))?;
    }
    if changed!(tagged_addresses) {
        tagged(&after.tagged_addresses).map_err(named("tagged-addresses"))?;
    }
    if changed!(attributes) {
        let none = BTreeMap::new();
        let old = before.map_or(&none, |before| &before.attributes);
        notes(old, &after.attributes).map_err(named("attributes"))?;
    }
    Ok(())
}

/// A name and the like: something to see, on one line, of bounded length.
fn text(text: &str) -> Fault {
    if text.trim().is_empty() {
        return Err("it is empty".into());
    }
    line(text)
}

fn line(text: &str) -> Fault {
    if text.len() > MAX_TEXT {
        return Err(format!("it is longer than {MAX_TEXT} bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err("it has a control character".into());
    }
    Ok(())
}

fn tags(tags: &[String], old: usize) -> Fault {
    if tags.len() > MAX_TAGS.max(old) {
        return Err(format!("{} tags; {MAX_TAGS} are allowed", tags.len()));
    }
    for tag in tags {
        // Configurations of load balancers travel in tags.
        if tag.len() > 8 * MAX_TEXT {
            return Err(format!("a tag is longer than {} bytes", 8 * MAX_TEXT));
        }
        if tag.trim().is_empty() || tag.chars().any(char::is_control) {
            return Err(format!("{:?}: it is empty or has a control character", shown(tag)));
        }
    }
    Ok(())
}

fn meta(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Fault {
    if new.len() > MAX_META.max(old.len()) {
        return Err(format!("{} pairs, of which Consul allows {MAX_META}", new.len()));
    }
    for (key, value) in new.iter().filter(|(key, value)| old.get(*key) != Some(value)) {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let fault = if key.is_empty() || key.len() > MAX_META_KEY || !key.chars().all(legal) {
            format!("Consul allows 1 to {MAX_META_KEY} letters, digits, - and _")
        } else if [RESERVED, CONSULS].iter().any(|prefix| key.starts_with(prefix)) {
            "the key's prefix is reserved".into()
        } else if value.len() > MAX_META_VALUE {
            format!("a value longer than {MAX_META_VALUE} bytes")
        } else if value.contains('\0') {
            "a value with a null character".into()
        } else {
            continue;
        };
        return Err(format!("key {:?}: {fault}", shown(key)));
    }
    match old.keys().find(|key| key.starts_with(RESERVED) && !new.contains_key(*key)) {
        Some(key) => Err(format!("key {key:?}: it is reserved and was taken away")),
        None => Ok(()),
    }
}

fn definitions(old: &[Check], new: &[Check]) -> Fault {
    if new.len() > MAX_CHECKS.max(old.len()) {
        return Err(format!("{} checks; {MAX_CHECKS} are allowed", new.len()));
    }
    for (index, check) in new.iter().enumerate().filter(|(_, check)| !old.contains(check)) {
        checks::check(check).map_err(|fault| format!("number {}: {fault}", index + 1))?;
    }
    let mut ids = BTreeSet::new();
    for id in new.iter().filter_map(|check| check.id.as_deref()) {
        if !ids.insert(id) && old.iter().filter(|check| check.id.as_deref() == Some(id)).count() < 2
        {
            return Err(format!("two of them have the id {:?}", shown(id)));
        }
    }
    Ok(())
}

fn weights(weights: Option<Weights>) -> Fault {
    match weights {
        Some(weights) if !(1..=MAX_WEIGHT).contains(&weights.passing) => {
            Err(format!("passing: Consul allows 1 to {MAX_WEIGHT}"))
        }
        Some(weights) if weights.warning > MAX_WEIGHT => {
            Err(format!("warning: Consul allows 0 to {MAX_WEIGHT}"))
        }
        _ => Ok(()),
    }
}

fn tagged(addresses: &BTreeMap<String, (String, u16)>) -> Fault {
    for (tag, (at, _)) in addresses {
        text(tag)
            .and_then(|()| address::address(at))
            .map_err(|fault| format!("{:?}: {fault}", shown(tag)))?;
    }
    Ok(())
}

/// Notes are not registered, but they are kept and shown to later stages.
fn notes(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Fault {
    if new.len() > MAX_NOTES.max(old.len()) {
        return Err(format!("{} notes; {MAX_NOTES} are allowed", new.len()));
    }
    for (key, value) in new.iter().filter(|(key, value)| old.get(*key) != Some(value)) {
        let named = |fault: String| format!("key {:?}: {fault}", shown(key));
        text(key).map_err(named)?;
        if key.starts_with(RESERVED) {
            return Err(named("the key's prefix is reserved".into()));
        }
        if value.len() > MAX_NOTE {
            return Err(named(format!("a value longer than {MAX_NOTE} bytes")));
        }
    }
    Ok(())
}

/// A text from a guest, short enough for a log line.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
