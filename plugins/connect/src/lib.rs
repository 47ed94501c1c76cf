//! Sidecars of Consul's mesh by labels: a service with the label gets a second one beside it, of the
//! kind `connect-proxy`, at the port that the label names.
//!
//! ```text
//! connect.sidecar=21000            the port at which the sidecar listens
//! connect.upstreams=db:5432,search:9200:dc2
//! connect.protocol=http
//! connect.native=true              it needs no sidecar
//! ```
//!
//! Of a container with several services `connect.<port>.sidecar` and the like are for the
//! service of that port of the container.

use schemars::JsonSchema;
use serde::Deserialize;
use wharfinger_plugin::{
    AliasCheck, Attribute, Check, CheckKind, Container, Description, HostFacts, Outcome, Proxy,
    Service, Stage, Upstream, Verdict, description,
};

/// The stage.
pub struct Connect;

wharfinger_plugin::export!(Connect);

/// What the operator can set.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// What the labels begin with.
    prefix: String,
    /// The tags that a sidecar has.
    tags: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { prefix: "connect".into(), tags: Vec::new() }
    }
}

impl Stage for Connect {
    type Settings = Settings;

    fn describe() -> Description {
        description!("Registers sidecars of Consul's mesh by labels.")
    }

    fn validate(settings: &Settings) -> Vec<String> {
        match settings.prefix.trim() {
            "" => vec!["prefix: it is empty".into()],
            _ => Vec::new(),
        }
    }

    fn process(
        settings: &Settings,
        container: &Container,
        _host: &HostFacts,
        services: Vec<Service>,
    ) -> Result<Outcome, String> {
        // A sidecar is no service by itself, and one is enough: of its own result the stage makes the same.
        let is_sidecar = |one: &Service| destination(one).is_some_and(|id| has(&services, id));
        let alone = services.iter().filter(|one| !is_sidecar(one)).count() == 1;
        let has_one = |one: &Service| services.iter().any(|it| destination(it) == Some(&one.id));
        let settled: Vec<_> = services.iter().map(|one| (is_sidecar(one), has_one(one))).collect();
        let mut outcome = Outcome { verdicts: Vec::new(), added: Vec::new() };
        for (service, (is_sidecar, has_one)) in services.into_iter().zip(settled) {
            let said = Said { settings, container, port: service.container_port(), alone };
            if is_sidecar || has_one {
                let keeps = is_sidecar.then(Verdict::keep);
                outcome.verdicts.push(keeps.unwrap_or_else(|| said.native(service)));
                continue;
            }
            match said.sidecar(&service) {
                Ok(sidecar) => {
                    outcome.added.extend(sidecar);
                    outcome.verdicts.push(said.native(service));
                }
                // A bad label costs the sidecar, and not the service.
                Err(fault) => outcome.verdicts.push(Verdict::keep().noting(fault)),
            }
        }
        Ok(outcome)
    }
}

/// The ID of the service that one stands before.
fn destination(service: &Service) -> Option<&str> {
    service.proxy.as_ref()?.destination_service_id.as_deref()
}

fn has(services: &[Service], id: &str) -> bool {
    services.iter().any(|service| service.id == id)
}

/// What a container's labels say of one of its services.
struct Said<'a> {
    settings: &'a Settings,
    container: &'a Container,
    port: u16,
    alone: bool,
}

impl Said<'_> {
    fn get(&self, what: &str) -> Option<&str> {
        let prefix = &self.settings.prefix;
        let own = self.container.label(&format!("{prefix}.{}.{what}", self.port));
        let of_all = || self.container.label(&format!("{prefix}.{what}"));
        own.or_else(|| if self.alone { of_all() } else { None })
            .map(str::trim)
            .filter(|value| !value.is_empty())
    }

    /// The service, which may speak the mesh's protocol itself.
    fn native(&self, mut service: Service) -> Verdict {
        if self.get("native") != Some("true") || service.connect_native {
            return Verdict::keep();
        }
        service.connect_native = true;
        Verdict::replace(service)
    }

    fn sidecar(&self, service: &Service) -> Result<Option<Service>, String> {
        let Some(port) = self.get("sidecar") else { return Ok(None) };
        if !service.kind.is_empty() {
            return Err(format!("{}: a {} has no sidecar", service.id, service.kind));
        }
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
            format!("{}: label sidecar: {port:?} is no port; it has no sidecar", service.id)
        })?;
        let protocol = self.get("protocol");
        let config = protocol.map(|protocol| Attribute::new("protocol", quoted(protocol)));
        let upstreams = self.get("upstreams").unwrap_or_default();
        let upstreams: Result<Vec<_>, _> = upstreams
            .split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
            .map(upstream)
            .collect();
        let upstreams = upstreams.map_err(|fault| format!("{}: {fault}", service.id))?;
        let proxy = Proxy {
            destination_service_name: service.name.clone(),
            destination_service_id: Some(service.id.clone()),
            local_service_address: Some(service.address.clone()).filter(|at| !at.is_empty()),
            local_service_port: Some(service.port).filter(|port| *port > 0),
            upstreams,
            config: config.into_iter().collect(),
            definition: Vec::new(),
        };
        let alias = AliasCheck { node: None, service: Some(service.id.clone()) };
        let (id, name) = (&service.id, &service.name);
        Ok(Some(Service {
            protocol: service.protocol,
            tags: self.settings.tags.clone(),
            checks: vec![Check::new(CheckKind::Alias(alias), None)],
            locality: service.locality.clone(),
            kind: "connect-proxy".into(),
            proxy: Some(proxy),
            ..Service::new(
                format!("{id}-sidecar-proxy"),
                format!("{name}-sidecar-proxy"),
                &service.address,
                port,
            )
        }))
    }
}

/// `name:port`, or `name:port:datacenter`.
fn upstream(text: &str) -> Result<Upstream, String> {
    let fault = || format!("label upstreams: {text:?} is not like db:5432; it has no sidecar");
    let mut parts = text.split(':').map(str::trim);
    let (name, port) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let datacenter = parts.next().map(String::from);
    let port: u16 = port.parse().map_err(|_| fault())?;
    let empty = name.is_empty() || port == 0 || datacenter.as_deref() == Some("");
    if empty || parts.next().is_some() {
        return Err(fault());
    }
    Ok(Upstream {
        destination_name: name.into(),
        datacenter,
        local_bind_address: None,
        local_bind_port: port,
        definition: Vec::new(),
    })
}

/// A text in JSON.
fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if c.is_control() => {}
            c => json.push(c),
        }
    }
    json + "\""
}

#[cfg(test)]
mod tests {
    use wharfinger_plugin::testing::{container, run, service};

    use super::*;

    /// A sidecar of another stage's making, before the service `web`.
    fn of_another_stage(id: &str) -> Service {
        let web = service("web", 8080);
        let proxy = Proxy {
            destination_service_name: web.name,
            destination_service_id: Some(web.id),
            local_service_address: None,
            local_service_port: None,
            upstreams: Vec::new(),
            config: Vec::new(),
            definition: Vec::new(),
        };
        let made = service(id, 21000);
        Service { kind: "connect-proxy".into(), proxy: Some(proxy), ..made }
    }

    #[test]
    fn a_service_has_one_sidecar_whoever_made_it() {
        let web = container("web").label("connect.sidecar", "21000");
        let first = run::<Connect>("{}", &web, vec![service("web", 8080)]);
        assert_eq!(first.names(), ["web", "web-sidecar-proxy"]);
        let again = run::<Connect>("{}", &web, first.services.clone());
        assert_eq!(again.services, first.services, "of its own result it makes the same");
        let theirs = vec![service("web", 8080), of_another_stage("theirs")];
        let beside = run::<Connect>("{}", &web, theirs.clone());
        assert_eq!(beside.services, theirs);
        // One that stands before a service of elsewhere is no sidecar of this container's.
        let mut alien = of_another_stage("alien");
        alien.proxy.as_mut().expect("it has one").destination_service_id = Some("x:y:1".into());
        let two = run::<Connect>("{}", &web, vec![service("web", 8080), alien]);
        assert_eq!(two.services.len(), 2, "of two services the label has to name the port");
    }

    #[test]
    fn a_service_that_has_a_sidecar_may_speak_the_protocol_itself() {
        let web = container("web").label("connect.native", "true");
        let all =
            run::<Connect>("{}", &web, vec![service("web", 8080), of_another_stage("theirs")]);
        let native: Vec<_> = all.services.iter().map(|one| one.connect_native).collect();
        assert_eq!(native, [true, false]);
    }

    #[test]
    fn an_upstream_is_a_name_and_a_port() {
        let parts = |text: &str| {
            let one = upstream(text).ok()?;
            Some((one.destination_name, one.local_bind_port, one.datacenter))
        };
        assert_eq!(parts("db:5432"), Some(("db".into(), 5432, None)));
        assert_eq!(parts("db : 5432 : dc2"), Some(("db".into(), 5432, Some("dc2".into()))));
        for text in ["db", "db:", ":1", "db:0", "db:x", "db:1:", "db:1:a:b", "db:70000"] {
            assert_eq!(parts(text), None, "{text:?}");
        }
        assert_eq!(quoted("a\"b\\\n"), "\"a\\\"b\\\\\"");
    }
}
