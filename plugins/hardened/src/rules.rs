//! What a container may not be.

use schemars::JsonSchema;
use serde::Deserialize;
use wharfinger_plugin::{Container, Setup};
use wildmatch::WildMatch;

use crate::Settings;

/// A rule by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Rule {
    /// Its processes begin as root.
    Root,
    /// It has every capability and the devices of the host.
    Privileged,
    /// It has capabilities beyond the engine's own choice.
    Capabilities,
    /// It sees files of the host.
    Mounts,
    /// It can write to files of the host.
    WritableMounts,
    /// It can write to the files of its image.
    WritableRoot,
    /// Its image is named without a digest, so that the name may mean another one tomorrow.
    Digest,
    /// It is in the host's network.
    HostNetwork,
}

/// A rule that a container breaks.
#[derive(Debug)]
pub(crate) struct Breach {
    pub(crate) rule: Rule,
    pub(crate) reason: String,
}

impl Rule {
    /// Its word for figures.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Privileged => "privileged",
            Self::Capabilities => "capabilities",
            Self::Mounts => "mounts",
            Self::WritableMounts => "writable-mounts",
            Self::WritableRoot => "writable-root",
            Self::Digest => "digest",
            Self::HostNetwork => "host-network",
        }
    }

    /// How a container breaks it.
    pub(crate) fn breach(
        self,
        settings: &Settings,
        container: &Container,
        setup: &Setup,
    ) -> Option<Breach> {
        let reason = match self {
            Self::Root => is_root(&setup.user).then(|| "it runs as root".to_string()),
            Self::Privileged => setup.privileged.then(|| "it is privileged".into()),
            Self::Capabilities => capabilities(settings, setup),
            Self::Mounts => mounts(settings, setup, false),
            Self::WritableMounts => mounts(settings, setup, true),
            Self::WritableRoot => {
                (!setup.read_only_root).then(|| "it can write to its root".into())
            }
            Self::Digest => digest(container),
            Self::HostNetwork => {
                (container.network_mode == "host").then(|| "it is in the host's network".into())
            }
        };
        reason.map(|reason| Breach { rule: self, reason })
    }
}

/// Whether a user is root, by name or number; a group may follow.
fn is_root(user: &str) -> bool {
    let user = user.split(':').next().unwrap_or_default().trim();
    // Engines read a number as one, so that 00 is root as well.
    user.is_empty() || user == "root" || user.parse() == Ok(0_u32)
}

fn capabilities(settings: &Settings, setup: &Setup) -> Option<String> {
    let plain = |name: &str| {
        let name = name.trim().to_uppercase();
        name.strip_prefix("CAP_").map(String::from).unwrap_or(name)
    };
    let allowed: Vec<_> = settings.allow_capabilities.iter().map(|one| plain(one)).collect();
    let given = setup.added_capabilities.iter().map(|one| plain(one));
    let beyond: Vec<_> = given.filter(|one| !allowed.contains(one)).collect();
    (!beyond.is_empty()).then(|| format!("it has {}", beyond.join(", ")))
}

/// The first file of the host that it sees, or may write to. Volumes are the engine's and no
/// files of the host.
fn mounts(settings: &Settings, setup: &Setup, writable: bool) -> Option<String> {
    let allowed = |source: &str| {
        // `/etc/ssl/../shadow` is like `/etc/ssl/*`, and another file.
        let plain = !source.split('/').any(|part| part == "..");
        plain && settings.allow_mounts.iter().any(|one| WildMatch::new(one).matches(source))
    };
    let bound = setup.mounts.iter().filter(|one| !matches!(&*one.kind, "volume" | "tmpfs"));
    let mut seen = bound.filter(|one| (one.writable || !writable) && !allowed(&one.source));
    let what = if writable { "can write to" } else { "sees" };
    seen.next().map(|one| format!("it {what} {} of the host, as {}", one.source, one.target))
}

fn digest(container: &Container) -> Option<String> {
    // One that is given by its identifier is what it is.
    let image = &container.image;
    let pinned = image.contains("@sha256:") || image.starts_with("sha256:");
    (!pinned).then(|| format!("its image {image} is named without a digest"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_many_names() {
        for user in ["", "root", "0", "0:0", "root:1000", "00", "0:app", " root"] {
            assert!(is_root(user), "{user:?}");
        }
        for user in ["app", "1000", "1000:0", "rooty", "10"] {
            assert!(!is_root(user), "{user:?}");
        }
    }
}
