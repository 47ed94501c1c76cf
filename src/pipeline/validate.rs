//! A stage's answer is checked like a user's text.
//!
//! Only what the stage itself wrote is held against it: a field that it handed
//! on as it was is not. The rules are Consul's (its documentation of service and
//! check definitions) where breaking one would cost the service its
//! registration, and the daemon's own where an entry could not be removed again
//! or would be taken for somebody else's.

pub(super) mod address;
pub(super) mod checks;
mod further;
pub(super) mod id;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::Bounds;
use crate::model::few::{Few, Pairs};
use crate::model::service::{Check, Field, Service, Weights};

/// Keys with this prefix are the daemon's own.
pub(crate) const RESERVED: &str = "wharfinger-";
/// Keys with this prefix are Consul's own.
pub(super) const CONSULS: &str = "consul-";

/// The bytes that a name, a tag and the like may have, unless it is said
/// otherwise.
const MAX_TEXT: usize = 512;
pub(super) const MAX_META: usize = 64;
const MAX_META_KEY: usize = 128;
const MAX_META_VALUE: usize = 512;
const MAX_NOTES: usize = 128;
const MAX_NOTE: usize = 16 << 10;
/// The largest weight that Consul takes.
const MAX_WEIGHT: u32 = 65_535;

/// Check a service that takes the place of another, on the host of this name.
///
/// # Errors
///
/// A sentence that names the service, the field and the fault.
pub(super) fn replaced(
    host: &str,
    bounds: &Bounds,
    before: &Service,
    after: &Service,
) -> Result<(), String> {
    check(host, bounds, Some(before), after)
}

/// Check a service that a stage made up.
///
/// # Errors
///
/// As for [`replaced`].
pub(super) fn added(host: &str, bounds: &Bounds, service: &Service) -> Result<(), String> {
    check(host, bounds, None, service)
}

/// The reason of a veto as one line of bounded length; a bad one is no ground to
/// register what the stage does not want.
pub(crate) fn veto_reason(text: &str) -> String {
    let mut text = text.replace(deceives, " ");
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}

pub(super) type Fault = Result<(), String>;

fn check(host: &str, bounds: &Bounds, before: Option<&Service>, after: &Service) -> Fault {
    // Each field has its rule here; those without one can have any value.
    let Service {
        id,
        name,
        address,
        port,
        protocol: _,
        tags: own_tags,
        meta: own_meta,
        checks,
        weights: own_weights,
        enable_tag_override: _,
        tagged_addresses,
        origin: _,
        further: more,
        attributes,
    } = after;
    let named = |field: Field| {
        let place = format!("service {:?}: {}: ", shown(id), field.key());
        move |fault: String| place + &fault
    };
    macro_rules! changed {
        ($field:ident) => {
            before.is_none_or(|before| before.$field != after.$field)
        };
    }
    if changed!(id) {
        id::service(host, id).map_err(named(Field::Id))?;
    }
    if changed!(name) {
        text(name).map_err(named(Field::Name))?;
    }
    if changed!(address) && !address.is_empty() {
        address::address(address).map_err(named(Field::Address))?;
    }
    if changed!(tags) {
        let old = before.map_or(0, |before| before.tags.len());
        tags(own_tags, bounds.tags.max(old)).map_err(named(Field::Tags))?;
    }
    if changed!(meta) {
        let none = Pairs::default();
        let old = before.map_or(&none, |before| &before.meta);
        meta(old, own_meta).map_err(named(Field::Meta))?;
    }
    if changed!(checks) {
        let old = before.map_or(&[][..], |before| &before.checks);
        definitions(id, old, checks, bounds.checks).map_err(named(Field::Checks))?;
    }
    if changed!(weights) {
        weights(*own_weights).map_err(named(Field::Weights))?;
    }
    if changed!(tagged_addresses) {
        tagged(tagged_addresses).map_err(named(Field::TaggedAddresses))?;
    }
    // Some of its rules hold ports against each other.
    let of_port = before.is_none_or(|before| before.port != *port) && !more.is_empty();
    if changed!(further) || of_port {
        further::further(after).map_err(|(field, fault)| named(field)(fault))?;
    }
    if changed!(attributes) {
        let none = Pairs::default();
        let old = before.map_or(&none, |before| &before.attributes);
        notes(old, attributes).map_err(named(Field::Attributes))?;
    }
    Ok(())
}

/// A name and the like: something to see, on one line, of bounded length.
pub(super) fn text(text: &str) -> Fault {
    if text.trim().is_empty() {
        return Err("it is empty".into());
    }
    line(text)
}

fn line(text: &str) -> Fault {
    if text.len() > MAX_TEXT {
        return Err(format!("it is longer than {MAX_TEXT} bytes"));
    }
    seen(text)
}

/// That a text is what people and programs see of it: it breaks no line and turns none round.
fn seen(text: &str) -> Fault {
    match text.chars().find(|c| deceives(*c)) {
        Some(c) if c.is_control() => Err("it has a control character".into()),
        Some(c) => Err(format!("it has the character {c:?}, which nobody sees")),
        None => Ok(()),
    }
}

/// Controls; separators of lines and paragraphs; marks that turn the direction of writing; and
/// what has no width, but for the joiners that some scripts need. Source: Unicode's properties
/// `Cc`, `Zl`, `Zp`, `Bidi_Control` and `Cf`.
pub(super) fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn tags(tags: &[String], most: usize) -> Fault {
    if tags.len() > most {
        return Err(format!("{} tags; {most} are allowed (limits.tags)", tags.len()));
    }
    tags.iter().try_for_each(|one| tag(one))
}

pub(super) fn tag(tag: &str) -> Fault {
    // Configurations of load balancers travel in tags.
    if tag.len() > 8 * MAX_TEXT {
        return Err(format!("a tag is longer than {} bytes", 8 * MAX_TEXT));
    }
    let fault = match tag.trim() {
        "" => Err("it is empty".into()),
        _ => seen(tag),
    };
    fault.map_err(|fault: String| format!("{:?}: {fault}", shown(tag)))
}

fn meta(old: &Pairs, new: &Pairs) -> Fault {
    if new.len() > MAX_META.max(old.len()) {
        return Err(format!("{} pairs, of which Consul allows {MAX_META}", new.len()));
    }
    for (key, value) in new.iter().filter(|(key, value)| old.get(*key) != Some(value)) {
        pair(key, value)?;
    }
    match old.keys().find(|key| key.starts_with(RESERVED) && !new.contains_key(*key)) {
        Some(key) => Err(format!("key {key:?}: it is reserved and was taken away")),
        None => Ok(()),
    }
}

/// A pair of metadata.
pub(super) fn pair(key: &str, value: &str) -> Fault {
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
        return Ok(());
    };
    Err(format!("key {:?}: {fault}", shown(key)))
}

fn definitions(service: &str, old: &[Check], new: &[Check], most: usize) -> Fault {
    let most = most.max(old.len());
    if new.len() > most {
        return Err(format!("{} checks; {most} are allowed (limits.checks)", new.len()));
    }
    for (index, check) in new.iter().enumerate().filter(|(_, check)| !old.contains(check)) {
        checks::check(service, check).map_err(|fault| format!("number {}: {fault}", index + 1))?;
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

pub(super) fn weights(weights: Option<Weights>) -> Fault {
    let Some(Weights { passing, warning }) = weights else { return Ok(()) };
    if !(1..=MAX_WEIGHT).contains(&passing) {
        return Err(format!("passing: Consul allows 1 to {MAX_WEIGHT}"));
    }
    if warning > MAX_WEIGHT {
        return Err(format!("warning: Consul allows 0 to {MAX_WEIGHT}"));
    }
    Ok(())
}

fn tagged(addresses: &Few<(String, u16)>) -> Fault {
    for (tag, (at, _)) in addresses {
        text(tag)
            .and_then(|()| address::address(at))
            .map_err(|fault| format!("{:?}: {fault}", shown(tag)))?;
    }
    Ok(())
}

/// Notes are not registered, but they are kept and shown to later stages.
fn notes(old: &Pairs, new: &Pairs) -> Fault {
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

/// A fault of what has this key.
fn named_in(key: &str, fault: &str) -> String {
    format!("key {:?}: {fault}", shown(key))
}

/// A stranger's text, short enough for a log line.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
