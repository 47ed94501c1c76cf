//! Registering a service with an agent, which may refuse a part of it and with it the whole.

use reqwest::{Method, Response};
use tracing::warn;

use super::{
    Consul, Release, body,
    call::{Call, json},
    mesh,
    reduced::{is_script, without_further_fields, without_scripts},
};
use crate::{
    model::service::Service,
    registry::{Registry, RegistryError, Sent},
    telemetry::event,
};

impl Consul {
    /// Register, with these parameters of the query.
    pub(super) async fn put(
        &self,
        service: &Service,
        query: &[(&str, &str)],
    ) -> Result<(), RegistryError> {
        let permission = format!("service {:?} {{ policy = \"write\" }}", service.name);
        let call =
            Call { attempt: "register service", subject: &service.id, permission: &permission };
        self.can_be_removed(call, &service.id).await?;
        let reduced = self.without_refused_checks(service).await;
        if reduced.is_some() {
            warn!(
                event = event::REDUCED,
                service = service.name,
                id = service.id,
                dropped = "script checks",
                "registered without its script check: the agent does not allow any \
                 (enable_script_checks)"
            );
        }
        let sent = reduced.as_ref().map_or(service, |reduced| &reduced.service);
        let release = self.release_for(sent).await;
        let known = release.and_then(|release| mesh::without_newer(sent, release));
        if let Some(Sent { service: _, dropped }) = &known {
            let dropped: Vec<_> = dropped.iter().map(|dropped| dropped.what.as_str()).collect();
            warn!(
                event = event::REDUCED,
                service = service.name,
                id = service.id,
                dropped = dropped.join(", "),
                agent = release.map(|release| release.to_string()),
                "registered without fields that came with newer agents than this one"
            );
        }
        let sent = known.as_ref().map_or(sent, |known| &known.service);
        match self.send_service(call, sent, query).await {
            // So answers an agent that allows no scripts; it has registered nothing.
            Err(RegistryError::Unavailable { attempt, status: 500, message })
                if self.original && service.checks.iter().any(is_script) =>
            {
                Err(RegistryError::Refused { attempt, status: 500, message })
            }
            Err(RegistryError::Refused { status: 400, attempt, message }) if !self.original => {
                let Some(Sent { service: plain, dropped }) =
                    without_further_fields(sent, release.is_some())
                else {
                    return Err(RegistryError::Refused { status: 400, attempt, message });
                };
                self.send_service(call, &plain, query).await?;
                self.taken.note(sent, false, release.is_some());
                let dropped: Vec<_> = dropped.into_iter().map(|dropped| dropped.what).collect();
                warn!(
                    event = event::REDUCED,
                    service = service.name,
                    id = service.id,
                    reason = message,
                    dropped = dropped.join(", "),
                    "registered without the fields that the agent may not know"
                );
                Ok(())
            }
            result => {
                result?;
                self.taken.note(sent, true, release.is_some());
                Ok(())
            }
        }
    }

    /// The service in the form in which the agent takes it, where that is known to be another one.
    pub(super) async fn reduced(&self, service: &Service) -> Option<Sent> {
        let without_scripts = self.without_refused_checks(service).await;
        let sent = without_scripts.as_ref().map_or(service, |sent| &sent.service);
        let release = self.release_for(sent).await;
        let known = release.and_then(|release| mesh::without_newer(sent, release));
        let sent = known.as_ref().map_or(sent, |known| &known.service);
        let mut form = match <[Sent; 1]>::try_from(self.forms(sent)) {
            Ok([form]) => form,
            Err(_) => Sent { service: sent.clone(), dropped: Vec::new() },
        };
        let before = [&without_scripts, &known].into_iter().flatten();
        let dropped: Vec<_> = before.flat_map(|sent| sent.dropped.clone()).collect();
        form.dropped.splice(..0, dropped);
        (!form.dropped.is_empty()).then_some(form)
    }

    /// The agent's release, where the service has what not every agent knows.
    async fn release_for(&self, service: &Service) -> Option<Release> {
        if self.original || service.further.is_empty() {
            return None;
        }
        self.release().await
    }

    /// The forms in which the agent may have a service that was sent: one of them, where that is
    /// known.
    pub(super) fn forms(&self, service: &Service) -> Vec<Sent> {
        match self.original {
            true => vec![Sent { service: service.clone(), dropped: Vec::new() }],
            false => self.taken.forms(service),
        }
    }

    /// Whether a service about to be registered under an ID could be removed again. Letters
    /// beyond ASCII depend on the Unicode that the agent knows, and a `%` on
    /// how often it decodes a path: it is asked.
    async fn can_be_removed(&self, call: Call<'_>, id: &str) -> Result<(), RegistryError> {
        call.about(id)?;
        if !needs_proof(id) {
            return Ok(());
        }
        match self.has(id).await {
            Err(RegistryError::Refused { status, .. }) => Err(call.impossible(format!(
                "the agent cannot be asked for {id:?} (status {status}), so that it could not be \
                 removed again"
            ))),
            Err(error @ RegistryError::Impossible { .. }) => Err(error),
            // The registration itself will say what is wrong.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Whether a write under this ID concerns it and nothing else: an agent that decodes
    /// a path twice takes it for another one. False if there is nothing.
    pub(super) async fn is_meant(&self, call: Call<'_>, id: &str) -> Result<bool, RegistryError> {
        call.about(id)?;
        if needs_proof(id) { self.has(id).await } else { Ok(true) }
    }

    async fn send_service(
        &self,
        call: Call<'_>,
        service: &Service,
        query: &[(&str, &str)],
    ) -> Result<Response, RegistryError> {
        let request = self
            .request(call, Method::PUT, &["v1", "agent", "service", "register"], query)?
            .json(&body::register(service));
        self.send(call, request).await
    }

    /// The service without the checks that the agent is known to refuse, if it
    /// has any: it would refuse the whole service.
    async fn without_refused_checks(&self, service: &Service) -> Option<Sent> {
        let affected = !self.original && service.checks.iter().any(is_script);
        if !affected || self.allows_scripts().await != Some(false) {
            return None;
        }
        without_scripts(service)
    }

    /// Whether the agent runs scripts of services that are registered over its
    /// API, if it says so.
    pub(super) async fn allows_scripts(&self) -> Option<bool> {
        let call = Call { attempt: "ask the agent for its settings", subject: "", permission: "" };
        let request = self.request(call, Method::GET, &["v1", "agent", "self"], &[]).ok()?;
        let response = self.send(call, request).await.ok()?;
        let agent: serde_json::Value = json(call, response).await.ok()?;
        agent.pointer("/DebugConfig/EnableRemoteScriptChecks")?.as_bool()
    }
}

/// Whether only the agent can tell if it can be asked for this ID.
fn needs_proof(id: &str) -> bool {
    !id.is_ascii() || id.contains('%')
}
