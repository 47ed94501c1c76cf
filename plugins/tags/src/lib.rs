//! Tags: added by templates, taken from labels and from the image's version,
//! rewritten, dropped and put in order.
//!
//! ```toml
//! settings = { add = ["team:{label:team}"], versions = ["v{major}"], drop = ["internal-*"] }
//! ```

mod rewrite;
mod version;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharfinger_plugin::{
    Container, Description, Facts, Policy, Service, Veto, description,
    image::Image,
    pattern::{self, Pattern},
    tags,
    template::Template,
};

use rewrite::Rewrite;
use version::Version;

/// The stage.
pub struct Tags;

wharfinger_plugin::export!(Tags);

/// What the operator can set. Tags are first gathered, then rewritten, then
/// dropped, then put in order; each is there once.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// Templates of tags; one of which the container lacks a fact is left out.
    add: Vec<Template>,
    /// Labels that hold a tag, and what is put before it:
    /// `{ "com.example.team" = "team:" }`.
    labels: BTreeMap<String, String>,
    /// Labels that hold tags with commas between them.
    lists: Vec<String>,
    /// Tags of the image's version, with `{major}`, `{minor}`, `{patch}` and
    /// `{version}`; left out where the image's tag is no version.
    versions: Vec<String>,
    /// Rules by which tags are changed.
    rewrite: Vec<Rewrite>,
    /// Patterns of tags that go.
    drop: Vec<Pattern>,
    /// Patterns of tags that stay, if there are any; all others go.
    only: Vec<Pattern>,
    /// The order in which tags are registered.
    order: Order,
}

#[derive(Debug, Default, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Order {
    /// As they come: those of the service first.
    #[default]
    Keep,
    /// By the alphabet.
    Sorted,
}

impl Policy for Tags {
    type Settings = Settings;

    fn describe() -> Description {
        description!("Adds, rewrites, drops and orders tags.")
    }

    fn validate(settings: &Settings) -> Vec<String> {
        let mut faults: Vec<String> = settings.rewrite.iter().flat_map(Rewrite::faults).collect();
        faults.extend(settings.versions.iter().filter_map(|text| version::fault(text)));
        faults
    }

    fn apply(settings: &Settings, facts: Facts, service: &mut Service) -> Result<(), Veto> {
        for tag in gathered(settings, facts, service) {
            tags::add(&mut service.tags, tag);
        }
        let rules: Vec<_> = settings.rewrite.iter().filter_map(Rewrite::compile).collect();
        tags::rewrite(&mut service.tags, |tag| {
            Some(rewrite::settled(&rules, tag)).filter(|tag| !tag.trim().is_empty())
        });
        tags::remove(&mut service.tags, |tag| {
            let unwanted = !settings.only.is_empty() && !pattern::any(&settings.only, tag);
            unwanted || pattern::any(&settings.drop, tag)
        });
        if let Order::Sorted = settings.order {
            service.tags.sort();
        }
        Ok(())
    }
}

/// The tags that the container gives its services, none of them blank.
fn gathered(settings: &Settings, facts: Facts, service: &Service) -> Vec<String> {
    let Facts { container, .. } = facts;
    let added = settings.add.iter().filter_map(|template| template.render(facts, service).ok());
    let labels = settings.labels.iter().filter_map(|(key, prefix)| {
        container.label_set(key).map(|value| format!("{prefix}{value}"))
    });
    let version = image_version(container);
    let versions = settings.versions.iter().filter_map(|text| version.as_ref()?.fill(text));
    let lists = settings.lists.iter().filter_map(|key| container.label(key));
    let listed = lists.flat_map(|list| list.split(',')).map(|tag| tag.trim().to_string());
    let all = added.chain(labels).chain(listed).chain(versions);
    all.filter(|tag| !tag.trim().is_empty()).collect()
}

fn image_version(container: &Container) -> Option<Version> {
    Image::parse(&container.image).tag.and_then(Version::parse)
}

#[cfg(test)]
mod tests;
