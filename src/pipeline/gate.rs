//! The gate behind whoever hands on what a container says: the candidates and the
//! stages of the daemon's own. Pure.
//!
//! Whoever may start a container may write any label. So what comes of labels is
//! held against the same rules as a component's answer, with another end: a bad
//! value costs that value, with a warning, and everything else of the container is
//! registered. Under `--compat registrator` only what would do harm to somebody
//! else is held back: what Consul refuses is Consul's to refuse, as it was then.

mod checks;
mod words;

use std::collections::HashSet;

use serde_json::Value;

use super::{
    Verdict,
    validate::{self, CONSULS, Fault, MAX_META, RESERVED, id},
};
use crate::model::{
    container::{Container, Protocol},
    host::{Compat, Host},
    service::{Origin, Service},
};
use words::{Place, Words, shown};

/// Holds what a container says against the rules.
pub(super) struct Gate<'a> {
    container: &'a Container,
    host: &'a Host,
    /// Whether an ID of registrator's form must be the container's own.
    own_ids: bool,
}

impl<'a> Gate<'a> {
    pub(super) fn of(container: &'a Container, host: &'a Host) -> Self {
        Self { container, host, own_ids: host.compat == Compat::None }
    }

    /// The same under the settings of a stage: one whose operator lets containers
    /// have any ID says `ids = "any"`.
    pub(super) fn with_settings(self, settings: &str) -> Self {
        let settings: Value = serde_json::from_slice(settings.as_bytes()).unwrap_or_default();
        Self { own_ids: self.own_ids && settings["ids"] != "any", ..self }
    }

    /// Whether the rules hold by which Consul would refuse a service.
    fn is_sound(&self) -> bool {
        self.host.compat == Compat::None
    }

    /// A container's candidates without what breaks a rule.
    pub(super) fn candidates(
        &self,
        services: Vec<Service>,
        warnings: &mut Vec<String>,
    ) -> Vec<Service> {
        let mut words = Words::default();
        let several = services.len() > 1;
        let pass = |service| self.pass(service, several, &mut words).ok();
        let services = services.into_iter().filter_map(pass).collect();
        warnings.extend(words.said());
        services
    }

    /// A stage's verdicts on services of these origins without what breaks a rule. A
    /// service of which nothing is left is vetoed.
    pub(super) fn verdicts(
        &self,
        verdicts: Vec<Verdict>,
        origins: impl Iterator<Item = Option<Origin>>,
        warnings: &mut Vec<String>,
    ) -> Vec<Verdict> {
        let mut words = Words::default();
        let several = verdicts.len() > 1;
        let pass = |(verdict, origin)| match verdict {
            Verdict::Replace(service) => {
                let service = Service { origin, ..*service };
                match self.pass(service, several, &mut words) {
                    Ok(service) => Verdict::Replace(Box::new(service)),
                    Err(reason) => Verdict::Veto(reason),
                }
            }
            other => other,
        };
        let mut verdicts: Vec<_> = verdicts.into_iter().zip(origins).map(pass).collect();
        if self.is_sound() {
            self.separate(&mut verdicts, &mut words);
        }
        warnings.extend(words.said());
        verdicts
    }

    /// The service without what breaks a rule, or why nothing is left of it.
    fn pass(
        &self,
        mut service: Service,
        several: bool,
        words: &mut Words,
    ) -> Result<Service, String> {
        // Each field has its rule below; those without one can have any value.
        let Service {
            id: _,
            name: _,
            address: _,
            port: _,
            protocol: _,
            tags: _,
            meta: _,
            checks: _,
            weights: _,
            enable_tag_override: _,
            tagged_addresses: _,
            origin: _,
            // No label of a container's says anything of them.
            further: _,
            attributes: _,
        } = &service;
        let place = Place::of(self.container, &service);
        if let Err(fault) = self.id(&service.id) {
            let own = self.default_id(&service).filter(|own| id::addressable(own).is_ok());
            let Some(own) = own else { return Err(self.lost(words, &place, "ID", &fault)) };
            let end = format!("it is registered as {own}");
            words.say(&place, "ID", &service.id, &fault, &end);
            service.id = own;
        }
        if let Err(fault) = self.name(&service.name) {
            let own = self.default_name(&service, several);
            words.say(&place, "NAME", &service.name, &fault, &format!("it is named {own}"));
            service.name = own;
        }
        if self.is_sound() && !service.address.is_empty() {
            validate::address::address(&service.address)
                .map_err(|fault| self.lost(words, &place, "address", &fault))?;
        }
        service.tags.retain(|tag| {
            let fault = validate::tag(tag);
            words.unless(fault, &place, "TAGS", "", "registered without that tag")
        });
        self.meta(&mut service, words, &place);
        self.checks(&mut service, words, &place);
        if self.is_sound() {
            let weights = validate::weights(service.weights);
            if !words.unless(weights, &place, "WEIGHTS", "", "Consul's own are used") {
                service.weights = None;
            }
            service.tagged_addresses.retain(|tag, (at, _)| {
                let fault = validate::text(tag).and_then(|()| validate::address::address(at));
                words.unless(fault, &place, "tagged address", tag, "registered without it")
            });
        }
        Ok(service)
    }

    /// An ID by which the service can be removed again, and which is nobody else's.
    fn id(&self, text: &str) -> Fault {
        id::addressable(text)?;
        let default = id::Form::of(text).is_some_and(|form| {
            form.host == self.host.hostname && form.container == self.container.name
        });
        if default {
            // A host may have any name.
            return Ok(());
        }
        if !self.is_sound() {
            return match id::is_consuls(&format!("{text}:")) || text == id::CONSUL {
                true => Err("it begins as names of Consul's or the daemon's own checks do".into()),
                false => Ok(()),
            };
        }
        id::service(&self.host.hostname, text)?;
        match self.own_ids {
            true => id::own(&self.host.hostname, &self.container.name, text),
            false => Ok(()),
        }
    }

    /// A name to see on one line. In the KV store it is a part of the key's path.
    fn name(&self, name: &str) -> Fault {
        match self.is_sound() {
            true => validate::text(name).and_then(|()| id::in_path(name)),
            false => validate::text(name),
        }
    }

    /// The ID that the service has if its container says nothing.
    fn default_id(&self, service: &Service) -> Option<String> {
        let Origin { container_port, protocol, .. } = service.origin.as_ref()?;
        let suffix = if *protocol == Protocol::Udp { ":udp" } else { "" };
        let (host, name) = (&self.host.hostname, &self.container.name);
        Some(format!("{host}:{name}:{container_port}{suffix}"))
    }

    /// The name that the service has if its container says nothing: the last part of its
    /// image's, or else the container's.
    fn default_name(&self, service: &Service, several: bool) -> String {
        let reference = self.container.image.split('@').next().unwrap_or_default();
        let last = reference.rsplit('/').next().unwrap_or_default();
        let image = last.split(':').next().unwrap_or_default();
        let name = if self.name(image).is_ok() && !reference.starts_with("sha256:") {
            image
        } else {
            &self.container.name
        };
        match &service.origin {
            Some(origin) if several => format!("{name}-{}", origin.container_port),
            _ => name.to_string(),
        }
    }

    fn meta(&self, service: &mut Service, words: &mut Words, place: &Place<'_>) {
        let sound = self.is_sound();
        service.meta.retain(|key, value| {
            let fault = match sound {
                true => validate::pair(key, value),
                // The daemon's own marks say what may be removed.
                false if key.starts_with(RESERVED) => Err("the key's prefix is reserved".into()),
                false => Ok(()),
            };
            words.unless(fault, place, key, "", "left out of the metadata")
        });
        if sound && service.meta.len() > MAX_META {
            let fault = format!("{} pairs, of which Consul allows {MAX_META}", service.meta.len());
            words.say(place, "metadata", "", &fault, "the last ones are left out");
            while service.meta.len() > MAX_META {
                service.meta.pop_last();
            }
        }
        debug_assert!(!sound || service.meta.keys().all(|key| !key.starts_with(CONSULS)));
    }

    /// Tell apart services that have one ID since one of them lost its own.
    fn separate(&self, verdicts: &mut [Verdict], words: &mut Words) {
        let mut seen = HashSet::new();
        for verdict in verdicts {
            let Verdict::Replace(service) = verdict else { continue };
            if seen.insert(service.id.clone()) {
                continue;
            }
            let place = Place::of(self.container, service);
            let fault = "another service of the container has it";
            match self.default_id(service).filter(|own| seen.insert(own.clone())) {
                Some(own) => {
                    words.say(&place, "ID", &service.id, fault, &format!("registered as {own}"));
                    service.id = own;
                }
                None => *verdict = Verdict::Veto(self.lost(words, &place, "ID", fault)),
            }
        }
    }

    /// Say that nothing is left of a service, and why.
    fn lost(&self, words: &mut Words, place: &Place<'_>, field: &str, fault: &str) -> String {
        words.say(place, field, "", fault, "it is not registered");
        format!("service {}: {field}: {}", place.port(), shown(fault))
    }
}

#[cfg(test)]
mod tests;
