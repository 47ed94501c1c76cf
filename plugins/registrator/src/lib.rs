//! The stage that names and describes services as gliderlabs/registrator does.
//!
//! It reads the `SERVICE_*` variables and labels of a container and turns each
//! proposed service, which stands for one port, into what registrator would
//! have registered: name with `-port` suffix, ID, tags, metadata and check, or
//! a veto where the container is ignored or not named under `-explicit`.
//!
//! Where registrator's behaviour is a bug that costs its users something, the
//! stage does the sound thing, unless the run's `compat` flag is `registrator`.
//! Each such place asks [`Rules::sound`], and each is in the README's table of
//! differences.
//!
//! The crate is an ordinary plugin, and the daemon links the same source as
//! its built-in stage.

mod checks;
mod definitions;
mod durations;
mod metadata;
mod naming;
mod tags;

use schemars::JsonSchema;
use serde::Deserialize;
use wharfinger_plugin::{
    Container, Description, HostFacts, Outcome, Protocol, Service, Stage, Verdict, logging,
};

use metadata::Metadata;

/// The stage.
pub struct Registrator;

wharfinger_plugin::export!(Registrator);

/// What the operator can set.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// `SERVICE_*` attributes whose key contains one of these words, in any
    /// case, are not copied to the service's metadata, which everybody can
    /// read. Not used under `compat = "registrator"`.
    pub secret_words: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let words = [
            "password",
            "passwd",
            "passphrase",
            "secret",
            "token",
            "credential",
            "private_key",
            "api_key",
            "apikey",
            "access_key",
        ];
        Self { secret_words: words.map(String::from).to_vec() }
    }
}

impl Stage for Registrator {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new(
            "registrator",
            env!("CARGO_PKG_VERSION"),
            "Names and describes services as gliderlabs/registrator does.",
        )
    }

    fn validate(settings: &Settings) -> Vec<String> {
        let empty = settings.secret_words.iter().any(|word| word.trim().is_empty());
        if empty { vec!["secret-words: a word is empty".into()] } else { Vec::new() }
    }

    fn process(
        settings: &Settings,
        container: &Container,
        host: &HostFacts,
        services: Vec<Service>,
    ) -> Result<Outcome, String> {
        let rules = Rules { sound: host.flag("compat") != Some("registrator") };
        let group = services.iter().filter(|service| service.origin.is_some()).count() > 1;
        let mut outcome = Outcome::each(services, |service| {
            if service.origin.is_none() {
                return Verdict::Keep;
            }
            decide(settings, rules, container, host, service, group)
        });
        if rules.sound {
            naming::separate_ids(&mut outcome.verdicts);
        }
        Ok(outcome)
    }
}

/// Which of two behaviours is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Mend what is a bug in registrator; otherwise follow it to the letter.
    pub(crate) sound: bool,
}

fn decide(
    settings: &Settings,
    rules: Rules,
    container: &Container,
    host: &HostFacts,
    mut service: Service,
    group: bool,
) -> Verdict {
    let Some(origin) = service.origin.clone() else { return Verdict::Keep };
    let port = origin.container_port.to_string();
    let mut metadata = Metadata::of(container, &port);

    if metadata.ignored(rules) {
        return Verdict::Veto(format!("service on port {port}: SERVICE_IGNORE is set"));
    }
    let Some(name) = naming::name(rules, container, host, &metadata, &port, group) else {
        return Verdict::Veto(format!("service on port {port}: not named, and -explicit is set"));
    };
    service.name = name;
    service.id = naming::id(container, host, &metadata, &origin);

    service.tags = tags::parse(metadata.get("tags"));
    service.tags.extend(tags::parse(container.attribute("tags").unwrap_or_default()));
    if origin.protocol == Protocol::Udp {
        service.tags.push("udp".into());
    }

    service.checks = checks::from_metadata(rules, &metadata, container, &service);
    if rules.sound
        && let Some(definitions) = metadata.take("checks")
    {
        let key = metadata.spelling("checks", &port);
        match definitions::parse(&definitions, &service) {
            Ok(checks) => service.checks.extend(checks),
            Err(faults) => {
                for fault in &faults.list {
                    logging::warn(format!("{key}: {fault}; registered without that check"));
                }
                service.checks.extend(faults.sound);
            }
        }
    }
    service.meta = metadata.into_meta(rules, settings);
    Verdict::Replace(service)
}
