//! The place of content in a registry: `oci://host[:port]/repository[:tag|@sha256:…]`.

use std::{fmt, str::FromStr};

use crate::policy::Digest;

/// A place in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The registry's `host[:port]`.
    pub registry: String,
    /// The repository.
    pub repository: String,
    /// The manifest in the repository.
    pub target: Target,
}

/// The tag or digest of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The one that a tag names now.
    Tag(String),
    /// The one with this digest.
    Digest(Digest),
}

/// A text that names no place in a registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no place in a registry: {reason}")]
pub struct BadReference {
    text: String,
    reason: &'static str,
}

impl Reference {
    /// The same place by the digest of what is there.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { target: Target::Digest(digest), ..self.clone() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => out.write_str(tag),
            Self::Digest(digest) => digest.fmt(out),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if matches!(self.target, Target::Tag(_)) { ':' } else { '@' };
        write!(out, "oci://{}/{}{sign}{}", self.registry, self.repository, self.target)
    }
}

impl FromStr for Reference {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, BadReference> {
        let bad = |reason| BadReference { text: text.chars().take(200).collect(), reason };
        let rest =
            text.strip_prefix("oci://").ok_or_else(|| bad("wanted oci://HOST/REPOSITORY"))?;
        let (registry, path) =
            rest.split_once('/').ok_or_else(|| bad("wanted oci://HOST/REPOSITORY"))?;
        let (path, target) = match path.split_once('@') {
            Some((path, digest)) => {
                let wanted = "behind the @ stands no sha256: with 64 hexadecimal digits";
                let digest = digest.parse().map_err(|_| bad(wanted))?;
                // A tag beside a digest says nothing.
                let path = path.split_once(':').map_or(path, |(path, _)| path);
                (path, Target::Digest(digest))
            }
            None => {
                let (path, tag) = path.split_once(':').unwrap_or((path, "latest"));
                (path, Target::Tag(tag.into()))
            }
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let host = |c: char| plain(c) || ":[]".contains(c);
        let is_url = || url::Url::parse(&format!("https://{registry}/")).is_ok();
        if registry.is_empty() || !registry.chars().all(host) || !is_url() {
            return Err(bad("the host is none"));
        }
        let part = |part: &str| {
            let begins = part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
            begins && part.chars().all(|c| plain(c) && !c.is_ascii_uppercase())
        };
        if path.len() > 255 || !path.split('/').all(part) {
            return Err(bad("the repository is none: wanted a-z, 0-9, '.', '_', '-' and '/'"));
        }
        let is_tag = |tag: &str| {
            let begins = tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            begins && tag.len() <= 128 && tag.chars().all(plain)
        };
        match &target {
            Target::Tag(tag) if !is_tag(tag) => Err(bad("the tag is none")),
            _ => Ok(Self { registry: registry.into(), repository: path.into(), target }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_nothing_else() {
        let digest = Digest::of(b"");
        for (text, expected) in [
            ("oci://r.example/a/b:1".to_string(), "oci://r.example/a/b:1".to_string()),
            ("oci://localhost:5000/a".into(), "oci://localhost:5000/a:latest".into()),
            (format!("oci://[::1]:5000/a:x@{digest}"), format!("oci://[::1]:5000/a@{digest}")),
        ] {
            let read: Reference = text.parse().expect(&text);
            assert_eq!(read.to_string(), expected);
            assert_eq!(read.pinned(digest).target, Target::Digest(digest));
        }
        for bad in [
            "r.example/a",
            "oci://",
            "oci://r",
            "oci:///a",
            "oci://r/",
            "oci://r/A",
            "oci://r/../a",
            "oci://r/a/",
            "oci://r/a:",
            "oci://r/a:../b",
            "oci://r/a:-x",
            "oci://r/a@sha256:00",
            "oci://u@r/a",
            "oci://u:p@r/a",
            "oci://a:b:c/a",
            "oci://[::1/a",
            "oci://r:99999/a",
            "oci://r/a?x",
            "oci://r/a#x",
            "oci://r/a b",
            "https://r/a",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }
}
