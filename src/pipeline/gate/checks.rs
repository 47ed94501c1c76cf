//! Checks from labels. An agent has one set of check IDs for all services and for
//! itself, and gives a check to whoever names it last.
//!
//! So an ID from a label gets the service's ID in front. That is nobody else's: its
//! last part has no colon, so that it is told from the service's ID, and Consul's own
//! names begin as no service's ID does. The IDs that Consul makes itself are ambiguous:
//! `service:a:2` is the second check of `a` or the only one of `a:2`. Where a
//! container chose an ID of that kind, its checks get IDs here.

use std::collections::HashSet;

use super::{
    Gate, id, validate,
    words::{Place, Words},
};
use crate::model::service::{Check, Service};

/// Fields that Consul knows for more kinds of checks than the contract has a place
/// for. They name nobody and run nothing.
const HARMLESS: [&str; 2] = ["tlsservername", "tlsskipverify"];

impl Gate<'_> {
    /// Leave out checks that break a rule, and make the IDs of the others the service's.
    pub(super) fn checks(&self, service: &mut Service, words: &mut Words, place: &Place<'_>) {
        let mut seen = HashSet::new();
        let ambiguous = self.is_ambiguous(service);
        for (n, check) in service.checks.iter_mut().enumerate() {
            let given = check.id.take();
            let own = given.as_deref().map(|given| -> Result<String, String> {
                let own = own_id(&service.id, given)?;
                match seen.insert(own.clone()) {
                    true => Ok(own),
                    false => Err("another check of the service has it".into()),
                }
            });
            match own {
                Some(Ok(own)) => check.id = Some(own),
                Some(Err(fault)) => {
                    let fault = format!("check {}: CheckID: {fault}", n + 1);
                    let given = given.as_deref().unwrap_or_default();
                    words.say(place, "CHECKS", given, &fault, "it gets another one");
                }
                None => {}
            }
        }
        if ambiguous {
            for (n, check) in service.checks.iter_mut().enumerate() {
                let free = || {
                    let mut ids = (n + 1..).map(|n| format!("{}:{n}", service.id));
                    ids.find(|id| seen.insert(id.clone()))
                };
                check.id = check.id.take().or_else(free);
            }
        }
        if !self.is_sound() {
            return;
        }
        let mut n = 0;
        let id = &service.id;
        service.checks.retain(|check| {
            n += 1;
            let fault = sound(id, check).map_err(|fault| format!("check {n}: {fault}"));
            words.unless(fault, place, "CHECKS", "", "registered without that check")
        });
    }

    /// Whether the IDs that Consul would give the service's checks may be those of
    /// another's. The container chose the service's ID then.
    fn is_ambiguous(&self, service: &Service) -> bool {
        let id = &service.id;
        if service.checks.is_empty() || self.default_id(service).as_ref() == Some(id) {
            return false;
        }
        let numbered = id.rsplit_once(':').is_some_and(|(_, end)| is_number(end));
        let before_port = id
            .strip_prefix(&self.host.hostname)
            .is_some_and(|rest| rest.strip_prefix(':').is_some_and(|name| !name.contains(':')));
        numbered || before_port && service.checks.len() > 1
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

/// The ID of a check with the service's in front, unless it is there already.
fn own_id(service: &str, given: &str) -> Result<String, String> {
    if id::is_consuls(given) && id::check(service, given).is_err() {
        return Err("it is that of a check of Consul's own".into());
    }
    let rest = match given.strip_prefix("service:").and_then(|rest| rest.strip_prefix(service)) {
        // The one that Consul makes, which a neighbour may have as well.
        Some(rest) => rest,
        None => given.strip_prefix(service).filter(|rest| rest.starts_with(':')).unwrap_or(given),
    };
    let rest = rest.strip_prefix(':').unwrap_or(rest).replace(':', "_");
    let own = match rest.as_str() {
        "" => return Err("there is nothing behind the service's ID".into()),
        rest => format!("{service}:{rest}"),
    };
    id::check(service, &own).map(|()| own)
}

/// That Consul takes a check and that it does what it says.
fn sound(service: &str, check: &Check) -> validate::Fault {
    let harmless =
        |key: &str| HARMLESS.contains(&key.replace('_', "").to_ascii_lowercase().as_str());
    if check.attributes.keys().any(|key| harmless(key)) {
        let mut check = check.clone();
        check.attributes.retain(|key, _| !harmless(key));
        return validate::checks::check(service, &check);
    }
    validate::checks::check(service, check)
}
