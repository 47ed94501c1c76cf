//! What a container's labels say to Traefik, and for which of its ports.

use wharfinger_plugin::Container;

/// The end of the key that says the port of a service in Traefik 2 and later.
const SERVER_PORT: &str = ".loadbalancer.server.port";
/// Keys that make sense to Traefik's providers for Docker and Swarm only.
const OF_DOCKER: &[&str] = &["docker.", "swarm."];

/// The labels of Traefik, with their keys after the prefix.
#[derive(Debug)]
pub(crate) struct Labels<'a> {
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Labels<'a> {
    /// The labels that begin with the prefix. Their case does not matter, as
    /// it does not to Traefik.
    pub(crate) fn of(container: &'a Container, prefix: &str) -> Self {
        let ours = |key: &'a str| {
            let (head, rest) = key.split_at_checked(prefix.len())?;
            (head.eq_ignore_ascii_case(prefix) && !rest.is_empty()).then_some(rest)
        };
        let pairs = container
            .labels
            .iter()
            .filter_map(|label| ours(&label.key).map(|key| (key, label.value.trim())));
        Self { pairs: pairs.collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// What the label `enable` says.
    pub(crate) fn enabled(&self) -> Option<bool> {
        let said = self.pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case("enable"));
        said.map(|(_, value)| value.eq_ignore_ascii_case("true") || *value == "1")
    }

    /// The labels that a service of this port inside the container gets; none
    /// if Traefik is to use another port. `first` is the one that it uses if
    /// no label says which.
    ///
    /// A label that says a port is not among them: Consul's catalog says it,
    /// and there it is the port under which the service is reached.
    pub(crate) fn for_port(&self, port: u16, first: Option<u16>) -> Option<Vec<(String, String)>> {
        let said = self.ports();
        let mine = said.iter().any(|(_, said)| *said == Some(port));
        let unsaid = said.is_empty() && first.is_none_or(|first| first == port);
        if self.is_empty() || !(mine || unsaid) {
            return None;
        }
        let others: Vec<&str> =
            said.iter().filter(|(_, said)| *said != Some(port)).map(|(owner, _)| *owner).collect();
        let wanted = |(key, value): &&(&str, &str)| {
            !says_port(key)
                && !is_of_docker(key)
                && !others.iter().any(|o| self.is_about(key, value, o))
        };
        let owned = |(key, value): &(&str, &str)| (key.to_string(), value.to_string());
        Some(self.pairs.iter().filter(wanted).map(owned).collect())
    }

    /// Who says which port: `http.services.web` in Traefik 2 and later; in
    /// Traefik 1 a segment, or the container as a whole, which is empty.
    fn ports(&self) -> Vec<(&'a str, Option<u16>)> {
        let says = self.pairs.iter().filter(|(key, _)| says_port(key));
        says.map(|(key, value)| (owner(key), value.parse().ok())).collect()
    }

    /// Whether a label is about what has another port: the service or segment
    /// itself, or a router that leads to it.
    fn is_about(&self, key: &str, value: &str, owner: &str) -> bool {
        if owner.is_empty() {
            return false;
        }
        let below = |key: &str, owner: &str| {
            key.split_at_checked(owner.len()).is_some_and(|(head, rest)| {
                head.eq_ignore_ascii_case(owner) && (rest.is_empty() || rest.starts_with('.'))
            })
        };
        if below(key, owner) {
            return true;
        }
        let Some((protocol, service)) = split_service(owner) else { return false };
        let leads = |key: &str, value: &str| {
            let named = value.split('@').next().unwrap_or_default();
            router(key).is_some_and(|(p, _)| p.eq_ignore_ascii_case(protocol))
                && key.to_ascii_lowercase().ends_with(".service")
                && named.eq_ignore_ascii_case(service)
        };
        if leads(key, value) {
            return true;
        }
        let Some((of, name)) = router(key) else { return false };
        self.pairs.iter().any(|(key, value)| router(key) == Some((of, name)) && leads(key, value))
    }
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

fn is_of_docker(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    OF_DOCKER.iter().any(|prefix| key.starts_with(prefix))
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
