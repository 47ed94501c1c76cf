//! The stage that names and describes services as gliderlabs/registrator does.
//!
//! It reads the `SERVICE_*` variables and labels of a container and turns each
//! proposed service, which stands for one port, into what registrator would
//! have registered: name with `-port` suffix, ID, tags, metadata and check, or
//! a veto where the container is ignored or not named under `-explicit`.
//!
//! Where registrator's behaviour is a bug that costs its users something, the
//! stage does the sound thing, unless the run's `compat` flag is `registrator`.
//! Each such place asks [`Rules::sound`], and each is in docs/migrating.md's table of
//! differences.
//!
//! The crate is an ordinary plugin, and the daemon links the same source as
//! its built-in stage.

mod checks;
mod definitions;
mod durations;
mod fields;
mod headers;
mod keys;
mod log;
mod metadata;
mod naming;
mod rights;
pub mod secrets;
mod service_fields;
mod tags;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::Deserialize;
use wharfinger_plugin::{
    Check, Container, Description, HostFacts, Outcome, Protocol, Service, Stage, Verdict,
};

use checks::Asked;
use keys::{Keys, Said};
use log::Log;
use rights::Rights;

/// The label by which Compose says that a container was started with `docker compose run`.
const ONE_OFF: &str = "com.docker.compose.oneoff";

/// The stage.
pub struct Registrator;

wharfinger_plugin::export!(Registrator);

/// What the operator can set.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// `SERVICE_*` attributes whose key contains one of these words, in any
    /// case, are not copied to the service's metadata, which everybody can
    /// read. Without it, those are not whose name or value shows a secret.
    /// Not used under `compat = "registrator"`.
    pub secret_words: Option<Vec<String>>,
    /// What becomes of checks that run a program, on the agent's host or in a
    /// container. An agent runs none unless its operator has allowed it
    /// (`enable_script_checks`), so that `keep` is the default: who has allowed
    /// them wants them. `drop` is for hosts on which others start containers.
    pub scripts: Scripts,
    /// What checks may ask: `own` is the container's own addresses and ports,
    /// and its own identifier. The default is `own`, and `any` under
    /// `compat = "registrator"`.
    pub check_targets: Option<Targets>,
    /// Whether an agent that makes an HTTP check follows where the container's
    /// server redirects it. A check that passes by a redirect, to a page for
    /// logging in, say, fails without it, so that `follow` is the default.
    /// `none` is for hosts on which others start containers: by a redirect the
    /// agent reads any address that it reaches, and shows the beginning of the
    /// answer. Agents before Consul 1.9.17, 1.10.10 and 1.11.5 do not know the
    /// field; there such checks are left out, with a warning.
    pub check_redirects: Redirects,
    /// Which IDs a container may give its services: with `own`, one that has
    /// the form of registrator's IDs and names another container or host is
    /// not used.
    pub ids: Ids,
}

/// What becomes of checks that run a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scripts {
    /// They are registered.
    #[default]
    Keep,
    /// The service is registered without them.
    Drop,
}

/// What checks may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Targets {
    /// What the container itself offers.
    Own,
    /// Whatever the agent can reach.
    Any,
}

/// Whether a check follows redirects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Redirects {
    /// Those that change nothing do.
    #[default]
    Follow,
    /// No check does.
    None,
}

/// Which IDs a container may give its services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ids {
    /// None that registrator would give another container's service.
    #[default]
    Own,
    /// Any.
    Any,
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
        let empty = settings.secret_words.iter().flatten().any(|word| word.trim().is_empty());
        if empty { vec!["secret-words: a word is empty".into()] } else { Vec::new() }
    }

    fn process(
        settings: &Settings,
        container: &Container,
        host: &HostFacts,
        services: Vec<Service>,
    ) -> Result<Outcome, String> {
        let rules = Rules { sound: host.flag("compat") != Some("registrator") };
        let log = Log::default();
        let keys = Keys::of(container, rules, &log);
        let call = Call { settings, rules, container, host, proposed: &services, log: &log };
        let group = call.counted(&keys) > 1;
        let mut outcome = Outcome::each(services.clone(), |service| match &service.origin {
            Some(origin) => call.decide(service.clone(), &keys.of_port(origin), group),
            None => Verdict::keep(),
        });
        if rules.sound {
            naming::separate_ids(&mut outcome.verdicts, &log);
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

/// What a call of the stage is about.
struct Call<'a> {
    settings: &'a Settings,
    rules: Rules,
    container: &'a Container,
    host: &'a HostFacts,
    /// What the container offers.
    proposed: &'a [Service],
    log: &'a Log,
}

impl Call<'_> {
    fn decide(&self, mut service: Service, said: &Said<'_>, group: bool) -> Verdict {
        let Self { settings, rules, container, host, log, .. } = *self;
        let Some(origin) = service.origin.clone() else { return Verdict::keep() };
        let port = origin.container_port;
        if let Some(reason) = self.unwanted(said) {
            return Verdict::veto(format!("service on port {port}: {reason}"));
        }
        let Some(name) = naming::name(rules, container, host, said, port, group) else {
            let reason = "not named, and -explicit is set";
            return Verdict::veto(format!("service on port {port}: {reason}"));
        };
        service.name = name;
        service.id = naming::id(settings.ids, container, host, said, &origin, log);
        service.tags = self.tags(said, origin.protocol);
        if rules.sound {
            service_fields::set(said, host, &mut service, log);
        }
        let counting;
        (service.checks, counting) = self.checks(said, &service);
        service.meta = metadata::of(said, rules, settings, log);
        let chosen = said.chosen(&checks::KINDS, &counting);
        if rules.sound && !chosen.is_empty() {
            log.debug(format!("{port}/{}: {}", origin.protocol, chosen.join("; ")));
        }
        Verdict::replace(service)
    }

    /// Why a service is not to be registered.
    fn unwanted(&self, said: &Said<'_>) -> Option<String> {
        let ignore = said.get("ignore");
        if !self.rules.sound {
            // registrator takes every value for a yes, `false` among them.
            return (!ignore.is_empty()).then(|| "SERVICE_IGNORE is set".into());
        }
        if metadata::is_true(ignore) {
            return Some(format!("{} is set", said.spelling("ignore")));
        }
        let label = self.container.label(ONE_OFF).unwrap_or_default();
        let one_off = matches!(label.trim().to_ascii_lowercase().as_str(), "true" | "1");
        (one_off && !metadata::is_true(said.get("oneoff"))).then(|| {
            "a one-off container of Compose (docker compose run) is no instance of the service; \
             SERVICE_ONEOFF=true registers it"
                .into()
        })
    }

    /// How many ports the container offers services on. Those that it does not want are none.
    fn counted(&self, keys: &Keys<'_>) -> usize {
        let origins = self.proposed.iter().filter_map(|service| service.origin.as_ref());
        match self.rules.sound {
            false => origins.count(),
            true => origins
                .filter(|origin| !metadata::is_true(keys.of_port(origin).get("ignore")))
                .count(),
        }
    }

    fn tags(&self, said: &Said<'_>, protocol: Protocol) -> Vec<String> {
        let own = said.get("tags");
        let general = self.container.attribute("tags").unwrap_or_default();
        let udp = if protocol == Protocol::Udp { "udp" } else { "" };
        if self.rules.sound {
            tags::warn_of_templates(own, &said.spelling("tags"), self.log);
            return tags::of_lists([own, general, udp], self.log);
        }
        let mut all = tags::original(own);
        all.extend(tags::original(general));
        all.extend((!udp.is_empty()).then(|| udp.to_string()));
        all
    }

    /// A service's checks, and the keys that make them.
    fn checks(&self, said: &Said<'_>, service: &Service) -> (Vec<Check>, Vec<&'static str>) {
        let Self { settings, rules, container, proposed: services, log, .. } = *self;
        let rights = Rights::of(settings, rules, container, services, log);
        if !rules.sound {
            let check = checks::original(said, container, service);
            let checks = rights.hold("SERVICE_CHECK", check.into_iter().collect());
            return (checks, Vec::new());
        }
        let asked = Asked { said, container, service, services, log };
        let chosen = asked.choose();
        let list = said.set("checks");
        // What names the port more closely counts alone, of whichever kind the two are.
        let (scope, of_list) =
            (chosen.map(|chosen| chosen.scope), list.map(|_| said.scope("checks")));
        let (mut checks, mut counting) = (Vec::new(), Vec::new());
        if let Some(chosen) = chosen.filter(|_| scope >= of_list) {
            counting.push(chosen.key);
            let made = asked.make(chosen).into_iter().collect();
            checks.extend(rights.hold(&said.spelling(chosen.key), made));
        }
        if let Some(list) = list.filter(|_| of_list >= scope) {
            counting.push("checks");
            checks.extend(rights.hold(&said.spelling("checks"), self.listed(said, list, service)));
        }
        (checks, counting)
    }

    /// The checks of `SERVICE_CHECKS`.
    fn listed(&self, said: &Said<'_>, list: &str, service: &Service) -> Vec<Check> {
        let mut checks = definitions::parse(list, service).unwrap_or_else(|faults| {
            let key = said.spelling("checks");
            for fault in &faults.list {
                self.log.warn(format!("{key}: {fault}; registered without that check"));
            }
            faults.sound
        });
        if !said.is_of_port("checks") {
            checks.retain(|check| !definitions::is_of_another_protocol(check, service));
        }
        checks
    }
}
