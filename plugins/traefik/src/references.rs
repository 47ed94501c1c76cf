//! Names of routers, services and middlewares with the provider that they come from: `auth@docker`.
//!
//! What a container defines is in Consul's catalog then, and is called by the name of that
//! provider. A definition itself has no provider in its name.

use wharfinger_plugin::logging;

/// The providers that read the labels of containers.
const OF_LABELS: [&str; 2] = ["docker", "swarm"];
/// What Traefik can define by labels, as the second part of a key.
const KINDS: [&str; 3] = ["routers", "services", "middlewares"];

/// A label as it is right in Consul's catalog, of which the provider has this name.
pub(crate) fn moved(key: &str, value: &str, provider: &str) -> (String, String) {
    let parts: Vec<&str> = key.split('.').collect();
    let lower: Vec<String> = parts.iter().map(|part| part.to_ascii_lowercase()).collect();
    let kind = lower.get(1).map_or("", String::as_str);
    if parts.len() < 3 || !KINDS.contains(&kind) {
        return (key.to_string(), value.to_string());
    }
    let name = match parts[2].split_once('@') {
        Some((name, of)) if is_own(of, provider) => name,
        Some(_) => {
            logging::warn(format!(
                "label {key}: {:?} cannot be defined here: what a label defines is its own \
                 provider's",
                parts[2]
            ));
            parts[2]
        }
        None => parts[2],
    };
    let mut moved = parts.clone();
    moved[2] = name;
    let value = match refers(kind, &lower[3..]) {
        Refers::No => value.to_string(),
        Refers::ToWhatLabelsDefine => {
            let each = value.split(',').map(|name| renamed(name.trim(), provider));
            each.collect::<Vec<_>>().join(",")
        }
        Refers::ToFiles => {
            if value.split_once('@').is_some_and(|(_, of)| is_own(of, provider)) {
                logging::warn(format!(
                    "label {key}: {value:?} names what no label can define; it is registered as \
                     it is"
                ));
            }
            value.to_string()
        }
    };
    (moved.join("."), value)
}

/// The name without its provider, if that is one of labels or of Consul's catalog; none if it is
/// another one's.
pub(crate) fn own_name<'a>(name: &'a str, provider: &str) -> Option<&'a str> {
    match name.trim().split_once('@') {
        None => Some(name.trim()),
        Some((name, of)) => is_own(of, provider).then_some(name),
    }
}

/// What the value of a label names.
enum Refers {
    No,
    ToWhatLabelsDefine,
    /// Such as options of TLS, which only files and other providers define.
    ToFiles,
}

/// What the value of a label of this kind names; `rest` is its key after the name.
fn refers(kind: &str, rest: &[String]) -> Refers {
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    match (kind, rest.as_slice()) {
        ("routers", ["service" | "middlewares"])
        | ("middlewares", ["chain", "middlewares"] | ["errors", "service"])
        | ("services", ["failover", "service" | "fallback"] | ["mirroring", "service"])
        | ("services", ["weighted" | "mirroring" | "highestrandomweight", _, "name"]) => {
            Refers::ToWhatLabelsDefine
        }
        ("routers", ["tls", "options"]) | ("services", ["loadbalancer", "serverstransport"]) => {
            Refers::ToFiles
        }
        _ => Refers::No,
    }
}

fn renamed(name: &str, provider: &str) -> String {
    match name.split_once('@') {
        Some((name, of)) if is_own(of, provider) => format!("{name}@{provider}"),
        _ => name.to_string(),
    }
}

fn is_own(of: &str, provider: &str) -> bool {
    OF_LABELS.iter().any(|own| of.eq_ignore_ascii_case(own)) || of == provider
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_right_for_where_the_labels_go() {
        for (key, value, moved_key, moved_value) in [
            (
                "http.routers.web.middlewares",
                "auth@docker, strip,gate@file",
                "",
                "auth@consulcatalog,strip,gate@file",
            ),
            ("http.routers.web.service", "web@docker", "", "web@consulcatalog"),
            ("http.routers.web.service", "api@internal", "", "api@internal"),
            ("tcp.routers.db.service", "db@swarm", "", "db@consulcatalog"),
            ("udp.routers.dns.service", "dns@Docker", "", "dns@consulcatalog"),
            ("tcp.routers.db.middlewares", "list@consulcatalog", "", "list@consulcatalog"),
            (
                "http.routers.web@docker.rule",
                "Host(`a@docker`)",
                "http.routers.web.rule",
                "Host(`a@docker`)",
            ),
            (
                "http.middlewares.auth@docker.basicauth.users",
                "a:b@docker",
                "http.middlewares.auth.basicauth.users",
                "a:b@docker",
            ),
            ("http.middlewares.all.chain.middlewares", "a@docker,b", "", "a@consulcatalog,b"),
            ("HTTP.Middlewares.err.Errors.Service", "pages@docker", "", "pages@consulcatalog"),
            ("http.services.two.weighted.services[0].name", "one@docker", "", "one@consulcatalog"),
            ("http.services.two.mirroring.service", "one@docker", "", "one@consulcatalog"),
            ("http.services.two.mirroring.mirrors[1].name", "one@docker", "", "one@consulcatalog"),
            ("http.services.two.failover.fallback", "one@docker", "", "one@consulcatalog"),
            ("http.routers.web.tls.options", "old@file", "", "old@file"),
            ("http.routers.web.tls.options", "old@docker", "", "old@docker"),
            ("http.routers.web@file.rule", "x", "", "x"),
            ("frontend.rule", "Host:a@docker", "", "Host:a@docker"),
            ("enable", "true", "", "true"),
        ] {
            let moved_key = if moved_key.is_empty() { key } else { moved_key };
            let expected = (moved_key.to_string(), moved_value.to_string());
            assert_eq!(moved(key, value, "consulcatalog"), expected);
            let (key, value) = expected.clone();
            assert_eq!(moved(&key, &value, "consulcatalog"), expected, "a second time");
        }
    }
}
