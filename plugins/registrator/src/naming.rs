//! Names and IDs of services.

use std::collections::HashSet;

use wharfinger_plugin::{Container, Decision, HostFacts, Origin, Protocol, Service, Verdict};

use crate::{
    Ids, Rules,
    keys::Said,
    log::{Log, shown},
};

/// The service's name, or none if the run is `-explicit` and the container
/// does not name it.
///
/// With several services on a container each name gets the port as a suffix,
/// but for one that the port's own key gives.
pub(crate) fn name(
    rules: Rules,
    container: &Container,
    host: &HostFacts,
    said: &Said<'_>,
    port: u16,
    group: bool,
) -> Option<String> {
    let mut name = said.get("name").to_string();
    if name.is_empty() {
        if host.flag("explicit") == Some("true") {
            return None;
        }
        name = default_name(rules, &container.image);
    }
    if group && !said.is_of_port("name") {
        name = format!("{name}-{port}");
    }
    Some(name)
}

/// The last part of the image's path without its tag. registrator takes a
/// digest for a part of the name, and `sha256` for the name of an image that
/// is given by its identifier.
fn default_name(rules: Rules, image: &str) -> String {
    if rules.sound {
        if let Some(id) = image.strip_prefix("sha256:") {
            return id.chars().take(12).collect();
        }
        let (reference, _digest) = image.split_once('@').unwrap_or((image, ""));
        return base(reference);
    }
    base(image)
}

fn base(reference: &str) -> String {
    let path = reference.trim_end_matches('/');
    let last = match path.rsplit('/').next() {
        Some("") | None if reference.is_empty() => ".",
        Some("") | None => "/",
        Some(last) => last,
    };
    last.split(':').next().unwrap_or_default().to_string()
}

/// `<host>:<container>:<port>`, with `:udp` for UDP, unless `SERVICE_ID` says
/// otherwise.
pub(crate) fn id(
    ids: Ids,
    container: &Container,
    host: &HostFacts,
    said: &Said<'_>,
    origin: &Origin,
    log: &Log,
) -> String {
    let suffix = if origin.protocol == Protocol::Udp { ":udp" } else { "" };
    let name = &container.name;
    let default = || format!("{}:{name}:{}{suffix}", host.hostname, origin.container_port);
    let Some(own) = said.set("id") else { return default() };
    match original_form(own) {
        Some(whose) if ids == Ids::Own && whose != (&*host.hostname, name) => {
            log.warn(format!(
                "{}: {:?} has the form of the ID of another container's service, \
                 <host>:<container>:<port>; {:?} is used (the setting ids)",
                said.spelling("id"),
                shown(own),
                default()
            ));
            default()
        }
        _ => own.to_string(),
    }
}

/// Host and container in an ID of the form that registrator gives, or one that is made of it: with
/// a protocol, or kept beside its successor for a while.
fn original_form(id: &str) -> Option<(&str, &str)> {
    let id = id.split_once(":was:").map_or(id, |(id, _)| id).trim();
    let of_protocol = |id: &'_ str| -> usize {
        let (rest, word) = id.rsplit_once(':').unwrap_or((id, ""));
        match word.to_ascii_lowercase().as_str() {
            "tcp" | "udp" | "sctp" => rest.len(),
            _ => id.len(),
        }
    };
    // At most two, where two services of one container would have had one ID.
    let id = &id[..of_protocol(id)];
    let id = &id[..of_protocol(id)];
    let (rest, port) = id.rsplit_once(':')?;
    let (host, container) = rest.rsplit_once(':')?;
    let number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    (number && !host.is_empty() && !container.is_empty()).then_some((host, container))
}

/// Tell services of one container apart that would have the same ID: with
/// registrator the last one to be registered silently takes the place of the
/// others. The first keeps the ID, which is the one that was there before.
pub(crate) fn separate_ids(verdicts: &mut [Verdict], log: &Log) {
    let mut seen = HashSet::new();
    for verdict in verdicts {
        let Decision::Replace(service) = &mut verdict.decision else { continue };
        if seen.insert(service.id.clone()) {
            continue;
        }
        let taken = service.id.clone();
        service.id = further_ids(service)
            .into_iter()
            .find(|id| seen.insert(id.clone()))
            .expect("port and protocol are unique in a container");
        log.warn(format!(
            "two services have the ID {taken}; the one named {} is registered as {}",
            service.name, service.id
        ));
    }
}

fn further_ids(service: &Service) -> Vec<String> {
    let Some(origin) = &service.origin else { return Vec::new() };
    let (id, port, protocol) = (&service.id, origin.container_port, origin.protocol);
    let by_protocol = format!("{id}:{protocol}");
    let by_port = format!("{id}:{port}");
    let by_both = format!("{id}:{port}:{protocol}");
    // The ID that registrator makes already ends in the port.
    if id.ends_with(&format!(":{port}")) {
        vec![by_protocol, by_both]
    } else {
        vec![by_port, by_both]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_the_original_form_names_its_container() {
        for (id, whose) in [
            ("h:web:80", Some(("h", "web"))),
            ("h:web:80:udp", Some(("h", "web"))),
            ("h:web:80:UDP:tcp", Some(("h", "web"))),
            ("h:web:80:was:old", Some(("h", "web"))),
            ("h.example:a:web:80", Some(("h.example:a", "web"))),
            (" h:web:80 ", Some(("h", "web"))),
            ("web:80", None),
            ("https.12345", None),
            ("h:web:http", None),
            ("a:b:", None),
            (":web:80", None),
            ("h::80", None),
            ("", None),
        ] {
            assert_eq!(original_form(id), whose, "{id:?}");
        }
    }

    fn check(image: &str, original: &str, sound: &str) {
        assert_eq!(default_name(Rules { sound: false }, image), original, "{image}");
        assert_eq!(default_name(Rules { sound: true }, image), sound, "{image}");
    }

    #[test]
    fn the_default_name_is_the_last_part_of_the_image() {
        check("nginx", "nginx", "nginx");
        check("redis:6.2-alpine", "redis", "redis");
        check("mycorp.com/myteam/myimage:0.5", "myimage", "myimage");
        check("registry.local:5000/web", "web", "web");
        check("my_app.v2", "my_app.v2", "my_app.v2");
        check("web@sha256:2bdd01bb6724", "web@sha256", "web");
        check("r.io:5000/t/web:1@sha256:2bdd01bb6724", "web", "web");
        check("sha256:2bdd01bb6724a59c2be7", "sha256", "2bdd01bb6724");
        check("2bdd01bb6724", "2bdd01bb6724", "2bdd01bb6724");
    }
}
