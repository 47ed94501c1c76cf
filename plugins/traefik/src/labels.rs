//! What a container's labels say to Traefik, and for which of its ports.

use wharfinger_plugin::{Container, Protocol, Service, logging};

use crate::references::{moved, own_name};

/// The end of the key that says the port of a service in Traefik 2 and later.
const SERVER_PORT: &str = ".loadbalancer.server.port";
/// Keys that make sense to Traefik's providers for Docker and Swarm only.
const OF_DOCKER: &[&str] = &["docker.", "swarm."];
/// Keys that are about the container as a whole.
const OF_ALL: &[&str] = &["enable", "tags", "tls", "consulcatalog"];

/// What a label is about: each has services, and so ports, of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// That of Traefik 1 as well.
    Http,
    Tcp,
    Udp,
}

impl Family {
    const ALL: [Self; 3] = [Self::Http, Self::Tcp, Self::Udp];

    /// The family of a key; none if it is about the container as a whole.
    fn of(key: &str) -> Option<Self> {
        let first = key.split('.').next().unwrap_or_default().to_ascii_lowercase();
        match first.as_str() {
            "tcp" => Some(Self::Tcp),
            "udp" => Some(Self::Udp),
            other if OF_ALL.contains(&other) => None,
            _ => Some(Self::Http),
        }
    }

    /// The protocol of the ports that it can reach.
    fn protocol(self) -> Protocol {
        match self {
            Self::Http | Self::Tcp => Protocol::Tcp,
            Self::Udp => Protocol::Udp,
        }
    }
}

/// The labels of Traefik, with their keys after the prefix.
#[derive(Debug)]
pub(crate) struct Labels<'a> {
    pairs: Vec<(&'a str, &'a str)>,
    /// The name of Traefik's provider for Consul's catalog.
    provider: &'a str,
}

impl<'a> Labels<'a> {
    /// The labels that begin with the prefix. Their case does not matter, as
    /// it does not to Traefik.
    pub(crate) fn of(container: &'a Container, prefix: &str, provider: &'a str) -> Self {
        let ours = |key: &'a str| {
            let (head, rest) = key.split_at_checked(prefix.len())?;
            (head.eq_ignore_ascii_case(prefix) && !rest.is_empty()).then_some(rest)
        };
        let pairs = container
            .labels
            .iter()
            .filter_map(|label| ours(&label.key).map(|key| (key, label.value.trim())))
            .filter(|(key, _)| !is_of_docker(key));
        Self { pairs: pairs.collect(), provider }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// What the label `enable` says.
    pub(crate) fn enabled(&self) -> Option<bool> {
        let said = self.pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case("enable"));
        said.map(|(_, value)| value.eq_ignore_ascii_case("true") || *value == "1")
    }

    /// Warn of labels for which none of these services has a port.
    pub(crate) fn warn_of_lost(&self, services: &[Service]) {
        for family in Family::ALL.into_iter().filter(|family| self.has(*family)) {
            let protocol = family.protocol();
            if !services.iter().any(|service| service.protocol == protocol) {
                logging::warn(format!(
                    "the labels of {family:?} lead nowhere: the container offers no port of \
                     {protocol}"
                ));
            }
        }
    }

    /// The labels that a service gets, of all that the container offers; none if Traefik is to
    /// use other ports.
    ///
    /// A label that says a port is not among them: Consul's catalog says it, and there it is the
    /// port under which the service is reached.
    pub(crate) fn for_service(
        &self,
        service: &Service,
        all: &[Service],
    ) -> Option<Vec<(String, String)>> {
        if self.is_empty() {
            return None;
        }
        let families: Vec<_> =
            Family::ALL.into_iter().filter(|family| self.chooses(*family, service, all)).collect();
        if families.is_empty() {
            return None;
        }
        let port = service.container_port();
        let others: Vec<&str> = self
            .ports()
            .filter(|(owner, said)| {
                *said != Some(port) || !Family::of(owner).is_some_and(|of| families.contains(&of))
            })
            .map(|(owner, _)| owner)
            .collect();
        let wanted = |(key, value): &&(&str, &str)| {
            Family::of(key).is_none_or(|family| families.contains(&family))
                && !says_port(key)
                && !others.iter().any(|other| self.is_about(key, value, other))
        };
        let kept = self.pairs.iter().filter(wanted);
        let mut made: Vec<_> = kept.map(|(key, value)| moved(key, value, self.provider)).collect();
        self.define(&mut made, service);
        Some(made)
    }

    /// Whether a family's labels are for this service: it has the port that they say, or else the
    /// lowest one of the protocol, as with Docker.
    fn chooses(&self, family: Family, service: &Service, all: &[Service]) -> bool {
        let unsaid = !Family::ALL.into_iter().any(|family| self.has(family));
        let asked = self.has(family) || (unsaid && family == Family::Http);
        if !asked || family.protocol() != service.protocol {
            return false;
        }
        let port = service.container_port();
        let mut said =
            self.ports().filter(|(owner, _)| Family::of(owner) == Some(family)).peekable();
        if said.peek().is_some() {
            return said.any(|(_, said)| said == Some(port));
        }
        let rivals = all.iter().filter(|other| other.origin.is_some());
        let rivals = rivals.filter(|other| other.protocol == service.protocol);
        rivals.map(Service::container_port).min().is_none_or(|first| first == port)
    }

    /// Whether there is a label of this family.
    fn has(&self, family: Family) -> bool {
        self.pairs.iter().any(|(key, _)| Family::of(key) == Some(family))
    }

    /// A service of which the labels said nothing but its port is unknown without that label, and
    /// so would be the routers that name it. The port is the one in the catalog.
    fn define(&self, made: &mut Vec<(String, String)>, service: &Service) {
        let mut missing = Vec::new();
        for (key, value) in made.iter() {
            let Some((protocol, _)) = router(key).filter(|_| is_service(key)) else { continue };
            let Some(name) = own_name(value, self.provider) else { continue };
            let owner = format!("{protocol}.services.{name}");
            let said = self.ports().any(|(said, _)| named(said).eq_ignore_ascii_case(&owner));
            let known = made.iter().any(|(key, _)| below(key, &owner));
            if said && !known && service.port != 0 {
                missing.push((format!("{owner}{SERVER_PORT}"), service.port.to_string()));
            }
        }
        missing.dedup();
        made.extend(missing);
    }

    /// Who says which port: `http.services.web` in Traefik 2 and later; in
    /// Traefik 1 a segment, or the container as a whole, which is empty.
    fn ports(&self) -> impl Iterator<Item = (&'a str, Option<u16>)> {
        let says = self.pairs.iter().filter(|(key, _)| says_port(key));
        says.map(|(key, value)| (owner(key), value.parse().ok()))
    }

    /// Whether a label is about what has another port: the service or segment
    /// itself, or a router that leads to it.
    fn is_about(&self, key: &str, value: &str, owner: &str) -> bool {
        if owner.is_empty() {
            return false;
        }
        if below(key, owner) {
            return true;
        }
        let Some((protocol, service)) = split_service(owner) else { return false };
        let service = service.split('@').next().unwrap_or_default();
        let leads = |key: &str, value: &str| {
            router(key).is_some_and(|(p, _)| p.eq_ignore_ascii_case(protocol))
                && is_service(key)
                && own_name(value, self.provider)
                    .is_some_and(|named| named.eq_ignore_ascii_case(service))
        };
        if leads(key, value) {
            return true;
        }
        let Some((of, name)) = router(key) else { return false };
        self.pairs.iter().any(|(key, value)| router(key) == Some((of, name)) && leads(key, value))
    }
}

/// Whether a key is an owner's own, or of something of it.
fn below(key: &str, owner: &str) -> bool {
    key.split_at_checked(owner.len()).is_some_and(|(head, rest)| {
        head.eq_ignore_ascii_case(owner) && (rest.is_empty() || rest.starts_with('.'))
    })
}

fn says_port(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let parts = key.split('.').count();
    // Traefik 1: `port`, and `<segment>.port`.
    key.ends_with(SERVER_PORT) || key == "port" || (parts == 2 && key.ends_with(".port"))
}

fn owner(key: &str) -> &str {
    let lower = key.to_ascii_lowercase();
    let end = if lower.ends_with(SERVER_PORT) { SERVER_PORT.len() } else { "port".len() };
    key[..key.len() - end].trim_end_matches('.')
}

/// An owner without the provider in its name.
fn named(owner: &str) -> &str {
    owner.split('@').next().unwrap_or_default()
}

fn is_of_docker(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    OF_DOCKER.iter().any(|prefix| key.starts_with(prefix))
}

fn is_service(key: &str) -> bool {
    key.to_ascii_lowercase().ends_with(".service")
}

/// Protocol and name of `http.services.web`.
fn split_service(owner: &str) -> Option<(&str, &str)> {
    let mut parts = owner.splitn(3, '.');
    let (protocol, kind, name) = (parts.next()?, parts.next()?, parts.next()?);
    kind.eq_ignore_ascii_case("services").then_some((protocol, name))
}

/// Protocol and name of the router that a key such as `http.routers.web.rule`
/// is about.
fn router(key: &str) -> Option<(&str, &str)> {
    let mut parts = key.split('.');
    let (protocol, kind, name) = (parts.next()?, parts.next()?, parts.next()?);
    kind.eq_ignore_ascii_case("routers").then_some((protocol, name))
}
