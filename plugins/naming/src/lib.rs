//! Names, and if it is wanted IDs and tags, by templates over what is known of
//! a container: an organisation's naming convention by settings alone.
//!
//! ```toml
//! settings = { names = ["{label:team}-{image.name}-{label:env}", "{image.name}"] }
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharfinger_plugin::{
    Description, Facts, Policy, Service, Veto, description, logging, tags,
    template::{Fact, Function, Missing, Template},
};

/// The stage.
pub struct Naming;

wharfinger_plugin::export!(Naming);

/// What the operator can set. A template is a text with facts in braces, such
/// as `{label:team}-{image.name}`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Templates of the name. The first one counts of which the container has
    /// all facts. In these, `{name}` is the name so far; one that already has
    /// what stands around `{name}` keeps it.
    names: Vec<Template>,
    /// What becomes of a service for which none of them can be used.
    #[serde(default)]
    otherwise: Otherwise,
    /// What becomes of several services of one container whose name does not
    /// say the port.
    #[serde(default)]
    several: Several,
    /// Leave the name as it is where `SERVICE_NAME` or `SERVICE_<port>_NAME`
    /// says one.
    #[serde(default)]
    keep_explicit: bool,
    /// Templates of the ID in the same way; without one that can be used, it
    /// stays as it is.
    #[serde(default)]
    ids: Vec<Template>,
    /// Templates of tags that are added; one of which a fact is missing is
    /// left out. In these, `{name}` is the new name.
    #[serde(default)]
    tags: Vec<Template>,
}

/// What becomes of a service for which there is no name.
#[derive(Debug, Default, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Otherwise {
    /// It keeps its name.
    #[default]
    Keep,
    /// It is not registered; the reason says which facts are missing.
    Veto,
}

/// What becomes of several services of one container.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Several {
    /// Each name gets `-<port>`, the port inside the container.
    #[default]
    Port,
    /// They have the same name, and so are instances of one service.
    Same,
}

impl Policy for Naming {
    type Settings = Settings;

    fn describe() -> Description {
        description!("Names services by templates over labels, image, Compose and Swarm.")
    }

    fn validate(settings: &Settings) -> Vec<String> {
        let mut faults = Vec::new();
        if settings.names.is_empty() && settings.ids.is_empty() && settings.tags.is_empty() {
            faults.push("names: there is no template, so that nothing would be done".into());
        }
        faults.extend(settings.names.iter().enumerate().filter_map(|(index, template)| {
            unsettled(template).map(|fault| format!("names, number {}: {fault}", index + 1))
        }));
        faults
    }

    fn apply(settings: &Settings, facts: Facts, service: &mut Service) -> Result<(), Veto> {
        if !(settings.keep_explicit && is_explicit(facts, service)) {
            name(settings, facts, service)?;
        }
        let id = settings.ids.iter().find_map(|template| template.render(facts, service).ok());
        if let Some(id) = id {
            service.id = id;
        }
        let made = settings.tags.iter().filter_map(|tag| tag.render(facts, service).ok());
        made.collect::<Vec<_>>().into_iter().for_each(|tag| tags::add(&mut service.tags, tag));
        Ok(())
    }
}

fn name(settings: &Settings, facts: Facts, service: &mut Service) -> Result<(), Veto> {
    let mut missing = Vec::new();
    for template in &settings.names {
        match rendered(template, facts, service) {
            Ok(mut name) => {
                let says_port = template.facts().any(Fact::is_of_port);
                if settings.several == Several::Port && !says_port && is_one_of_several(facts) {
                    name += &format!("-{}", service.container_port());
                }
                service.name = name;
                return Ok(());
            }
            Err(Missing(fact)) => missing.push(fact),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    missing.dedup();
    let why = format!("no name can be made without {}", missing.join(", or without "));
    match settings.otherwise {
        // Who asks why nothing has changed is told.
        Otherwise::Keep => {
            let words = format!("{} keeps its name: {why}", service.id);
            logging::log(logging::Level::Debug, words);
            Ok(())
        }
        Otherwise::Veto => Err(Veto::new(why)),
    }
}

/// The template's text. Where the name so far has what stands around `{name}`
/// already, only what is between is passed through the functions.
fn rendered(template: &Template, facts: Facts, service: &Service) -> Result<String, Missing> {
    let Some([before, name, after]) = template.around(&Fact::Name) else {
        return template.render(facts, service);
    };
    let (before, after) = (before.render(facts, service)?, after.render(facts, service)?);
    let inner = service.name.strip_prefix(&*before).and_then(|rest| rest.strip_suffix(&*after));
    let mut inside = service.clone();
    if let Some(inner) = inner.filter(|inner| !inner.is_empty()) {
        inside.name = inner.into();
    }
    Ok(before + &name.render(facts, &inside)? + &after)
}

fn is_one_of_several(facts: Facts) -> bool {
    facts.services.iter().filter(|service| service.origin.is_some()).count() > 1
}

fn is_explicit(facts: Facts, service: &Service) -> bool {
    [Fact::ServiceName, Fact::PortName].iter().any(|fact| fact.is_known(facts, service))
}

/// Why a template would change its own names once more.
fn unsettled(template: &Template) -> Option<String> {
    let mut uses = template.uses(&Fact::Name);
    let functions = uses.next()?;
    if uses.next().is_some() {
        return Some("{name} can stand in it once only".into());
    }
    let settles = |function: &Function| match function {
        Function::Replace(from, to) => !to.contains(from.as_str()),
        Function::After(_) | Function::Reverse => false,
        _ => true,
    };
    let restless = functions.iter().find(|function| !settles(function))?;
    Some(format!(
        "{restless} of {{name}} would change the name anew each time; another fact can have it"
    ))
}

#[cfg(test)]
mod tests;
