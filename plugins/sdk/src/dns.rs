//! Names that DNS can serve.
//!
//! Consul answers for `<service>.service.<domain>` and `<tag>.<service>…`, so
//! that a service's name, and a tag, is one label: at most 63 letters, digits
//! and hyphens, with no hyphen at either end. Source: RFC 1123, section 2.1,
//! and Consul's documentation of its DNS interface.

/// The longest label.
pub const MAX_LABEL: usize = 63;
/// The longest name of several labels, without the final dot.
pub const MAX_NAME: usize = 253;

/// Whether the text is one label. Capital letters are legal in DNS.
pub fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_LABEL
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether the text is labels with dots between them.
pub fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME && text.split('.').all(is_label)
}

/// A label in lower case from any text: what is neither a letter nor a digit
/// becomes a hyphen, of several in a row one. What is too long is cut and gets
/// a digest of the whole as its end, so that two long names stay two. Empty if
/// the text has no letter and no digit of ASCII.
pub fn label(text: &str) -> String {
    let mut label = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            label.push(c.to_ascii_lowercase());
        } else if !label.is_empty() && !label.ends_with('-') {
            label.push('-');
        }
    }
    label.truncate(label.trim_end_matches('-').len());
    if label.len() > MAX_LABEL {
        let digest = format!("-{:08x}", digest(&label));
        label.truncate(MAX_LABEL - digest.len());
        label.truncate(label.trim_end_matches('-').len());
        label += &digest;
    }
    label
}

/// `<prefix>-<name>`; a name that already begins so stays.
pub fn prefixed(prefix: &str, name: &str) -> String {
    match name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')) {
        Some(rest) if !rest.is_empty() => name.to_string(),
        _ => format!("{prefix}-{name}"),
    }
}

/// `<name>-<suffix>`; a name that already ends so stays.
pub fn suffixed(name: &str, suffix: &str) -> String {
    match name.strip_suffix(suffix).and_then(|rest| rest.strip_suffix('-')) {
        Some(rest) if !rest.is_empty() => name.to_string(),
        _ => format!("{name}-{suffix}"),
    }
}

/// FNV-1a in 32 bits, which never changes: names depend on it.
fn digest(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(label(text), expected, "{text:?}");
        assert_eq!(label(expected), expected, "{text:?}, a second time");
        assert!(expected.is_empty() || is_label(expected), "{expected:?}");
    }

    #[test]
    fn any_text_becomes_a_label() {
        check("web", "web");
        check("Shop_Web.v2", "shop-web-v2");
        check("--a//b--", "a-b");
        check("größe", "gr-e");
        check("___", "");
        check("", "");
        check(&"a".repeat(63), &"a".repeat(63));
    }

    #[test]
    fn long_names_stay_apart() {
        let (one, two) = (label(&("a".repeat(70) + "x")), label(&("a".repeat(70) + "y")));
        assert_eq!((one.len(), two.len()), (63, 63));
        assert_ne!(one, two);
        check(&one, &one);
        assert_eq!(label(&format!("{}-b{}", "a".repeat(53), "c".repeat(20))).len(), 62);
    }

    #[test]
    fn labels_and_names_are_told_from_others() {
        for label in ["a", "A-1", "0"] {
            assert!(is_label(label), "{label}");
        }
        for other in ["", "-a", "a-", "a_b", "a.b", "ä"] {
            assert!(!is_label(other), "{other}");
        }
        assert!(is_name("com.example.web") && !is_name("com..web") && !is_name("a.b_c"));
    }

    #[test]
    fn a_prefix_or_a_suffix_is_added_once() {
        assert_eq!(prefixed("shop", "web"), "shop-web");
        assert_eq!(prefixed("shop", "shop-web"), "shop-web");
        assert_eq!(prefixed("shop", "shop-"), "shop-shop-");
        assert_eq!(prefixed("shop", "shopping"), "shop-shopping");
        assert_eq!(suffixed("web", "staging"), "web-staging");
        assert_eq!(suffixed("web-staging", "staging"), "web-staging");
        assert_eq!(suffixed("staging", "staging"), "staging-staging");
    }
}
