//! Small reads that tell whether something has changed, and those of what has.
//!
//! A list of an agent's services is long. But the servers count the changes of the catalog, and
//! every answer from them says how far they have counted, whatever was asked: the services
//! of no node, or the checks of none. An agent tells the servers within a moment of what it has
//! lost.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use reqwest::{Method, Response};
use serde::de::IgnoredAny;

use super::{
    Call, Consul, Contact, LOOKUP_TIMEOUT,
    call::object,
    checks, json,
    reduced::{is_script, without_scripts},
};
use crate::{
    model::service::Service,
    registry::{Part, RegistryError},
};

/// A server that has not heard of its leader for longer is not believed; in
/// milliseconds.
const LAST_CONTACT: u64 = 2_000;
/// No node has this name, or this in its metadata.
const NOBODY: &str = "wharfinger-asks-for-no-node";

impl Consul {
    /// The servers' count of the changes of this part of the catalog.
    pub(super) async fn index(&self, of: Part) -> Option<u64> {
        let call = Call { attempt: "ask for the catalog's index", subject: "", permission: "" };
        let meta = format!("{NOBODY}:");
        // Any server will do, so that hosts do not all ask the leader.
        let request = match of {
            Part::Services => {
                let query = [("node-meta", meta.as_str()), ("stale", "")];
                self.request(call, Method::GET, &["v1", "catalog", "services"], &query)
            }
            Part::Checks => {
                let path = ["v1", "health", "node", NOBODY];
                self.request(call, Method::GET, &path, &[("stale", "")])
            }
        };
        let request = request.ok()?.timeout(LOOKUP_TIMEOUT);
        let response = self.send(call, request).await.ok()?;
        let index = counted(&response);
        // Read to its end, so that the connection serves the next call.
        let _ = json::<IgnoredAny>(call, response).await;
        index
    }

    /// The IDs of the agent's services.
    pub(super) async fn read_ids(&self) -> Result<BTreeSet<String>, RegistryError> {
        let call = Call {
            attempt: "read the agent's services",
            subject: "",
            permission: "service_prefix \"\" { policy = \"read\" }",
        };
        let request = self.request(call, Method::GET, &["v1", "agent", "services"], &[])?;
        let response = self.send(call, request).await?;
        let mut ids = BTreeSet::new();
        object(call, response, |id, _: Option<IgnoredAny>| {
            ids.insert(id);
        })
        .await?;
        Ok(ids)
    }

    /// The IDs of those of these services that do not have all their checks.
    pub(super) async fn without_checks(
        &self,
        services: &[Arc<Service>],
    ) -> Result<BTreeSet<String>, RegistryError> {
        let scripts = services.iter().any(|service| service.checks.iter().any(is_script));
        let allowed = if scripts && !self.original { self.allows_scripts().await } else { None };
        let call = Call {
            attempt: "read the agent's checks",
            subject: "",
            permission: "service_prefix \"\" { policy = \"read\" }",
        };
        let one = match services {
            [service] => filter(&service.id),
            _ => None,
        };
        let query: Vec<_> = one.iter().map(|filter| ("filter", filter.as_str())).collect();
        let request = self.request(call, Method::GET, &["v1", "agent", "checks"], &query)?;
        let response = self.send(call, request).await?;
        let mut found: HashMap<String, Option<String>> = HashMap::new();
        object(call, response, |id, check: Option<checks::CheckOf>| {
            found.insert(id, check.map(|check| check.service));
        })
        .await?;
        let has = |service: &Service, place| match found.get(&checks::id(service, place)) {
            Some(Some(of)) => *of == service.id,
            // It is there, and more cannot be understood.
            Some(None) => true,
            None => false,
        };
        let lacks = |service: &&Arc<Service>| {
            let sent = if allowed == Some(false) { without_scripts(service) } else { None };
            let sent: &Service = match &sent {
                Some(sent) => &sent.service,
                None => service,
            };
            let has_all =
                |service: &Service| (0..service.checks.len()).all(|place| has(service, place));
            // An agent may have been given less than that, for fields that it does not know.
            !has_all(sent) && !self.forms(sent).iter().any(|form| has_all(&form.service))
        };
        Ok(services.iter().filter(lacks).map(|service| service.id.clone()).collect())
    }
}

/// The index of an answer, if the server that gave it knows what the others do.
fn counted(response: &Response) -> Option<u64> {
    let header = |name: &str| response.headers().get(name)?.to_str().ok();
    let number = |name: &str| header(name)?.parse::<u64>().ok();
    let led = Contact::of(response).says_led(LAST_CONTACT);
    number("X-Consul-Index").filter(|index| led && *index > 0)
}

/// The expression that selects the checks of one service, if its ID can stand in one.
fn filter(id: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/ @,".contains(c);
    id.chars().all(plain).then(|| format!("ServiceID == \"{id}\""))
}
