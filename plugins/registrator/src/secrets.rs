//! What is a secret: the one rule, for what becomes metadata, which everybody can read, and for
//! whatever the daemon and its commands show, log or record.
//!
//! A thing is secret by its name ([`names`]), or because of what stands in its value
//! ([`patterns`]): a password in a URL, a private key, a token of a known form. What is hidden is
//! replaced by [`HIDDEN`], and what was hidden stays a secret by the same rule, so that a stage
//! decides alike on a recorded container as on the real one.

mod names;
mod patterns;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use names::Name;

/// What stands in the place of a secret. URLs, headers and metadata may have it.
pub const HIDDEN: &str = "***";

/// Whether a named value is, or has in it, what not everybody may read. An empty one has
/// nothing.
pub fn is_secret(name: &str, value: &str) -> bool {
    by_name(name, value) || !patterns::found(value).is_empty()
}

/// Whether the whole value is secret because of its name.
pub fn by_name(name: &str, value: &str) -> bool {
    !value.trim().is_empty()
        && match names::judge(name) {
            Name::Secret => true,
            Name::Auth => !names::is_way_to_authenticate(value),
            Name::Key => !names::is_word(value),
            Name::Acl => patterns::is_uuid(value.trim()),
            Name::Plain => false,
        }
}

/// A named value for people and files, with what is secret in it hidden.
pub fn value<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if by_name(name, value) { Cow::Borrowed(HIDDEN) } else { text(value) }
}

/// A text for people and files, with what is secret in it hidden.
pub fn text(text: &str) -> Cow<'_, str> {
    let found = patterns::found(text);
    if found.iter().all(|one| &text[one.from..one.to] == HIDDEN) {
        return Cow::Borrowed(text);
    }
    let (mut shown, mut at) = (String::with_capacity(text.len()), 0);
    for one in found {
        shown.push_str(&text[at..one.from]);
        shown.push_str(HIDDEN);
        at = one.to;
    }
    shown.push_str(&text[at..]);
    Cow::Owned(shown)
}

/// The parts of a text that are secret, as they stand in it.
pub fn parts(text: &str) -> impl Iterator<Item = &str> {
    patterns::found(text).into_iter().map(|one| &text[one.from..one.to])
}
