//! What the daemon takes and its operator may not mean.

use std::collections::BTreeMap;

use wharfinger_plugin::template::{Fact, Template};

use crate::{
    cli::RunArgs,
    config::{Config, StageConfig},
    model::host,
    pipeline::{Outcome, Pipeline},
};

/// The plugin that names by templates.
const NAMING: &str = "naming";

/// An address that nobody else reaches, one that is never asked for, and naming stages under
/// which a service can keep its name without anybody's noticing.
pub(super) fn of(flags: &RunArgs, config: &Config, pipeline: &Pipeline) -> Vec<String> {
    let mut words: Vec<String> = secluded(flags).into_iter().chain(unused(flags)).collect();
    words.extend(lenient(config, pipeline));
    words
}

fn secluded(flags: &RunArgs) -> Option<String> {
    let ip = flags.offer.ip.as_deref()?;
    let kind = host::seclusion(ip.parse().ok()?)?;
    Some(format!("-ip (host.address) is {ip}, {kind}: nobody else reaches it"))
}

fn unused(flags: &RunArgs) -> Vec<String> {
    let Some(own) = &flags.offer.hostname else { return Vec::new() };
    let others = flags.offer.resolve.iter().filter(|(name, _)| name != own);
    let words = others.map(|(name, _)| {
        format!("--resolve (host.resolve) of {name:?} is never used: the host's name is {own:?}")
    });
    words.collect()
}

fn lenient(config: &Config, pipeline: &Pipeline) -> Vec<String> {
    let lenient = naming(config, pipeline).filter(|stage| keeps(stage));
    let words = lenient.map(|stage| {
        format!(
            "stage {:?}: it leaves a service's name as it is where the container lacks a fact of \
             each of its templates (otherwise = \"keep\"); \"veto\" keeps such services out",
            stage.name
        )
    });
    words.collect()
}

fn naming<'a>(config: &'a Config, pipeline: &'a Pipeline) -> impl Iterator<Item = &'a StageConfig> {
    let is = |name: &str| {
        let made = pipeline.steps().iter().find(|step| step.name() == name);
        made.and_then(|step| step.made()).is_some_and(|made| made.plugin == NAMING)
    };
    config.pipeline.iter().filter(move |stage| is(&stage.name))
}

/// Whether a naming stage may find no name.
fn keeps(stage: &StageConfig) -> bool {
    let otherwise = stage.settings.get("otherwise").and_then(toml::Value::as_str);
    let names = stage.settings.get("names").and_then(toml::Value::as_array);
    let mut names = names.into_iter().flatten().filter_map(toml::Value::as_str).peekable();
    names.peek().is_some() && otherwise.unwrap_or("keep") == "keep" && !names.any(always)
}

/// Whether every container has all facts of a template, or it has words in their place.
fn always(template: &str) -> bool {
    let Ok(template) = Template::parse(template) else { return false };
    template.facts().all(|fact| {
        let known = matches!(
            fact,
            Fact::Name
                | Fact::Container
                | Fact::Host
                | Fact::Image
                | Fact::ImageName
                | Fact::ImagePath
                | Fact::Port
                | Fact::ContainerPort
                | Fact::Protocol
        );
        known
            || template.uses(fact).all(|functions| {
                functions.iter().any(|function| function.to_string().starts_with("default("))
            })
    })
}

/// Naming stages that have changed nothing of any recorded container yet.
pub(super) struct Idle(BTreeMap<String, usize>);

impl Idle {
    pub(super) fn of(config: &Config, pipeline: &Pipeline) -> Self {
        Self(naming(config, pipeline).map(|stage| (stage.name.clone(), 0)).collect())
    }

    pub(super) fn note(&mut self, outcome: &Outcome) {
        for trace in &outcome.trace {
            if !trace.changes.is_empty() || !trace.would_be.is_empty() {
                self.0.remove(&trace.stage);
            } else if let Some(asked) = self.0.get_mut(&trace.stage) {
                *asked += 1;
            }
        }
    }

    pub(super) fn words(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter(|(_, asked)| **asked > 0).map(|(stage, asked)| {
            let containers = crate::text::counted(*asked, "container", "containers");
            format!("stage {stage:?}: it leaves everything as it is, on all of {containers}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_can_lack_a_fact_is_told() {
        for (template, expected) in [
            ("{image.name}", true),
            ("x-{name}-{container-port}", true),
            ("fixed", true),
            ("{label:team|default(none)}-{name}", true),
            ("{label:team}-{name}", false),
            ("{compose.project}", false),
            ("{image.tag}", false),
            ("{broken", false),
        ] {
            assert_eq!(always(template), expected, "{template}");
        }
    }
}
