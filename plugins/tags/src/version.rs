//! The version that an image's tag says.

/// A version such as `1.27.3`, of which the end may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    whole: String,
    numbers: Vec<String>,
}

impl Version {
    /// Read a tag such as `1.27.3-alpine` or `v2`: up to three numbers, and
    /// what follows them after a hyphen, a plus or an underscore.
    pub(crate) fn parse(tag: &str) -> Option<Self> {
        let tag = tag.strip_prefix('v').unwrap_or(tag);
        let numbers = tag.split(['-', '+', '_']).next().unwrap_or_default();
        let numbers: Vec<String> = numbers.split('.').map(String::from).collect();
        let number = |text: &String| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (numbers.len() <= 3 && numbers.iter().all(number))
            .then(|| Self { whole: tag.into(), numbers })
    }

    /// The text with the version's parts in their places; none if it wants a
    /// part that the version does not have.
    pub(crate) fn fill(&self, text: &str) -> Option<String> {
        let mut filled = text.replace("{version}", &self.whole);
        for (index, place) in ["{major}", "{minor}", "{patch}"].into_iter().enumerate() {
            if filled.contains(place) {
                filled = filled.replace(place, self.numbers.get(index)?);
            }
        }
        Some(filled)
    }
}

/// What is wrong with a text for [`Version::fill`].
pub(crate) fn fault(text: &str) -> Option<String> {
    let filled = Version::parse("1.2.3")?.fill(text)?;
    let fault = if filled.contains(['{', '}']) {
        "the places are {major}, {minor}, {patch} and {version}"
    } else if filled == text {
        "it has no place for the version"
    } else {
        return None;
    };
    Some(format!("versions: {text:?}: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tag: &str, text: &str, expected: Option<&str>) {
        let filled = Version::parse(tag).and_then(|version| version.fill(text));
        assert_eq!(filled.as_deref(), expected, "{tag} {text}");
    }

    #[test]
    fn versions_have_parts() {
        check("1.27.3-alpine", "v{major}", Some("v1"));
        check("1.27.3-alpine", "{major}.{minor}", Some("1.27"));
        check("1.27.3-alpine", "version={version}", Some("version=1.27.3-alpine"));
        check("v2", "{major}", Some("2"));
        check("v2", "{major}.{minor}", None);
        for other in ["latest", "alpine-3", "1.2.3.4", "1.", "v", ""] {
            check(other, "{version}", None);
        }
    }

    #[test]
    fn texts_have_places() {
        assert_eq!(fault("v{major}.{minor}.{patch}"), None);
        assert!(fault("v").is_some_and(|fault| fault.contains("no place")));
        assert!(fault("{mayor}").is_some_and(|fault| fault.contains("the places are")));
    }
}
