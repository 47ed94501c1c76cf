//! The labels of Traefik become tags, as its provider for Consul's catalog
//! reads them, so that a container is labelled in one way whether Traefik
//! reads Docker or Consul.
//!
//! ```toml
//! settings = { exposed-by-default = false }
//! ```

mod labels;
mod references;

use schemars::JsonSchema;
use serde::Deserialize;
use wharfinger_plugin::{Description, Facts, Policy, Service, Veto, description, tags};

use labels::Labels;

/// The stage.
pub struct Traefik;

wharfinger_plugin::export!(Traefik);

/// What the operator can set.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// What Traefik's labels begin with, and the tags as well: the `prefix` of
    /// Traefik's provider.
    prefix: String,
    /// Whether a container that does not say `traefik.enable` is exposed. With
    /// `false` its services get `traefik.enable=false`, whatever Traefik's own
    /// setting is.
    exposed_by_default: bool,
    /// The name of Traefik's provider for Consul's catalog: what a label calls
    /// `auth@docker` is `auth@consulcatalog` there.
    provider: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            prefix: "traefik".into(),
            exposed_by_default: true,
            provider: "consulcatalog".into(),
        }
    }
}

impl Policy for Traefik {
    type Settings = Settings;

    fn describe() -> Description {
        description!("Turns the labels of Traefik into tags.")
    }

    fn validate(settings: &Settings) -> Vec<String> {
        let mut faults = Vec::new();
        let prefix = settings.prefix.trim();
        if prefix.is_empty() || prefix != settings.prefix || prefix.ends_with('.') {
            faults.push(format!(
                "prefix: {:?}: a word without a dot at its end is wanted",
                settings.prefix
            ));
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if settings.provider.is_empty() || !settings.provider.chars().all(legal) {
            faults.push(format!(
                "provider: {:?}: a word such as consulcatalog is wanted",
                settings.provider
            ));
        }
        faults
    }

    fn apply(settings: &Settings, facts: Facts, service: &mut Service) -> Result<(), Veto> {
        let prefix = format!("{}.", settings.prefix);
        let labels = Labels::of(facts.container, &prefix, &settings.provider);
        let enabled = labels.enabled().unwrap_or(settings.exposed_by_default);
        if enabled && facts.services.first().is_some_and(|first| first.id == service.id) {
            labels.warn_of_lost(facts.services);
        }
        let made = if enabled { labels.for_service(service, facts.services) } else { None };
        match made {
            Some(pairs) => {
                for (key, value) in pairs {
                    say(&mut service.tags, &prefix, &key, &value);
                }
            }
            None if enabled && (labels.is_empty() || speaks(&service.tags, &prefix)) => {}
            None => deny(&mut service.tags, &prefix),
        }
        Ok(())
    }
}

/// Add the tag, unless the container has said its own of this key.
fn say(tags: &mut Vec<String>, prefix: &str, key: &str, value: &str) {
    let start = format!("{prefix}{key}=");
    let same =
        |tag: &String| tag.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(&start));
    if !tags.iter().any(same) {
        tags::add(tags, format!("{start}{value}"));
    }
}

/// Whether the container has said by tags what this service is to Traefik.
fn speaks(tags: &[String], prefix: &str) -> bool {
    tags.iter().any(|tag| tag.starts_with(prefix))
}

/// Leave of Traefik's tags that the service is not for it.
fn deny(tags: &mut Vec<String>, prefix: &str) {
    tags::set(tags, prefix, "enable=false");
}

#[cfg(test)]
mod tests;
