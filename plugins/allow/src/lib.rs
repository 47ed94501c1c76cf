//! Which images, registries, ports and networks may be registered, by
//! patterns; what is not allowed, or is denied, is vetoed.
//!
//! ```toml
//! settings.registries = { allow = ["registry.example.com"] }
//! settings.ports = { deny = [22, "6000-6100"] }
//! ```

mod rules;

use schemars::JsonSchema;
use serde::Deserialize;
use wharfinger_exceptions::{Exception, Exceptions, now};
use wharfinger_plugin::{
    Container, Description, HostFacts, Outcome, Service, Stage, Veto, description, image::Image,
    logging, pattern::Pattern, ports::Ports,
};

use rules::Rules;

/// The stage.
pub struct Allow;

wharfinger_plugin::export!(Allow);

/// What the operator can set. In a pattern, `*` stands for any text and `?`
/// for one character.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// Images, with their tag or without: `registry.example.com/shop/*`,
    /// `nginx:1.*`.
    images: Rules<Pattern>,
    /// The registries that images come from; `docker.io` for those that name
    /// none.
    registries: Rules<Pattern>,
    /// Ports inside the container: `80`, `"8000-8999"`.
    ports: Rules<Ports>,
    /// The networks that the container is attached to; all of them must be
    /// allowed, and none denied.
    networks: Rules<Pattern>,
    /// Containers that may break the rules for a while.
    exceptions: Exceptions,
}

impl Stage for Allow {
    type Settings = Settings;

    fn describe() -> Description {
        description!("Vetoes images, registries, ports and networks that are not allowed.")
    }

    fn validate(settings: &Settings) -> Vec<String> {
        let Settings { images, registries, ports, networks, exceptions } = settings;
        let mut faults = exceptions.faults(now());
        let idle =
            images.is_idle() && registries.is_idle() && ports.is_idle() && networks.is_idle();
        if idle {
            faults
                .push("there is neither an allow nor a deny, so that all would be allowed".into());
        }
        faults
    }

    fn process(
        settings: &Settings,
        container: &Container,
        _host: &HostFacts,
        services: Vec<Service>,
    ) -> Result<Outcome, String> {
        let lifting = settings.exceptions.lifting(now(), |key| container.label(key))?;
        Ok(Outcome::apply(services, |service| settings.judge(container, service, lifting)))
    }
}

impl Settings {
    /// Hold a service against the rules, unless an exception lifts them.
    fn judge(
        &self,
        container: &Container,
        service: &Service,
        lifting: Option<&Exception>,
    ) -> Result<(), Veto> {
        match (self.rules(container, service), lifting) {
            (Err(reason), Some(exception)) => {
                logging::info(exception.note(&reason));
                Ok(())
            }
            (judged, _) => judged.map_err(Veto::new),
        }
    }

    fn rules(&self, container: &Container, service: &Service) -> Result<(), String> {
        registry(&self.registries, container)?;
        image(&self.images, container)?;
        for network in networks(container) {
            let judged = self.networks.judge(|pattern| pattern.matches(network));
            judged.map_err(|why| format!("network {network} {why}"))?;
        }
        let port = service.container_port();
        let judged = self.ports.judge(|ports| ports.contains(port));
        judged.map_err(|why| format!("port {port} {why}"))
    }
}

fn registry(rules: &Rules<Pattern>, container: &Container) -> Result<(), String> {
    let image = Image::parse(&container.image);
    if image.path.is_empty() {
        return unknown(rules, container, "registry");
    }
    let registry = image.source();
    let judged = rules.judge(|pattern| pattern.matches(registry));
    judged.map_err(|why| format!("registry {registry} of the image {} {why}", container.image))
}

fn image(rules: &Rules<Pattern>, container: &Container) -> Result<(), String> {
    let image = Image::parse(&container.image);
    if image.path.is_empty() {
        return unknown(rules, container, "name");
    }
    let forms = forms(&image, &container.image);
    let judged = rules.judge(|pattern| forms.iter().any(|form| pattern.matches(form)));
    judged.map_err(|why| format!("image {} {why}", container.image))
}

/// An image that is given by its identifier has no name that could be held
/// against a pattern.
fn unknown(rules: &Rules<Pattern>, container: &Container, what: &str) -> Result<(), String> {
    if rules.is_idle() {
        return Ok(());
    }
    Err(format!(
        "image {} is given by its identifier, so that its {what} is not known",
        container.image
    ))
}

/// An image as a pattern may write it: as it was given, with nothing left out,
/// and with everything left out that can be; each with its tag and without.
fn forms(image: &Image, given: &str) -> Vec<String> {
    let mut forms = vec![given.to_string()];
    // Without a tag and a digest it is the tag `latest`.
    let tag = image.tag.or(if image.digest.is_none() { Some("latest") } else { None });
    for name in [image.repository(), image.short()] {
        forms.extend(tag.map(|tag| format!("{name}:{tag}")));
        forms.extend(image.digest.map(|digest| format!("{name}@{digest}")));
        forms.push(name);
    }
    forms
}

/// The names of a container's networks, or those of the one that it shares the
/// network of.
fn networks(container: &Container) -> Vec<&str> {
    let of_peer = container.network_peer.as_ref().map(|peer| &peer.networks);
    let networks = of_peer.unwrap_or(&container.networks);
    match networks.is_empty() {
        true => vec![container.network_mode.as_str()],
        false => networks.iter().map(|network| network.name.as_str()).collect(),
    }
}

#[cfg(test)]
mod tests;
