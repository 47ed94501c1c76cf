//! What the checks of a container may do: the agent runs them in its own name, on its own host, so
//! that whoever starts a container could have it call anything.
//!
//! A check that may not be costs that check, with a warning.

use std::net::IpAddr;

use wharfinger_plugin::{Attribute, Check, CheckKind, Container, Service};

use crate::{
    Redirects, Rules, Scripts, Settings, Targets,
    log::{Log, shown},
};

/// Methods of HTTP that change nothing where a redirect leads them.
const SAFE: [&str; 3] = ["GET", "HEAD", "OPTIONS"];
/// The field by which an agent follows no redirect.
const NO_REDIRECTS: &str = "DisableRedirects";

/// What is allowed, and what counts as the container's own.
pub(crate) struct Rights<'a> {
    scripts: Scripts,
    targets: Targets,
    redirects: Redirects,
    container: &'a Container,
    /// All that the container offers.
    services: &'a [Service],
    log: &'a Log,
}

impl<'a> Rights<'a> {
    pub(crate) fn of(
        settings: &Settings,
        rules: Rules,
        container: &'a Container,
        services: &'a [Service],
        log: &'a Log,
    ) -> Self {
        let usual = if rules.sound { Targets::Own } else { Targets::Any };
        let targets = settings.check_targets.unwrap_or(usual);
        let (scripts, redirects) = (settings.scripts, settings.check_redirects);
        Self { scripts, targets, redirects, container, services, log }
    }

    /// The checks that may be, of those that `key` asked for.
    pub(crate) fn hold(&self, key: &str, checks: Vec<Check>) -> Vec<Check> {
        let allowed = |mut check: Check| match self.fault(&check) {
            None => {
                self.stay(&mut check);
                Some(check)
            }
            Some(fault) => {
                self.log.warn(format!("{key}: {fault}; registered without that check"));
                None
            }
        };
        checks.into_iter().filter_map(allowed).collect()
    }

    fn fault(&self, check: &Check) -> Option<String> {
        if matches!(check.kind, CheckKind::OsService(_)) {
            let fault = "only an agent on Windows can run it, and others refuse the service for it";
            return Some(fault.into());
        }
        let script = matches!(check.kind, CheckKind::Script(_) | CheckKind::Docker(_));
        if script && self.scripts == Scripts::Drop {
            return Some("no checks that run programs are wanted (the setting scripts)".into());
        }
        if self.targets == Targets::Any {
            return None;
        }
        let target = match &check.kind {
            CheckKind::Http(http) => match of_url(&http.url) {
                Some(target) => Ok(target),
                None => Err(&http.url),
            },
            CheckKind::Tcp(tcp) => of_address(&tcp.address).ok_or(&tcp.address),
            CheckKind::Udp(udp) => of_address(&udp.address).ok_or(&udp.address),
            CheckKind::H2Ping(ping) => of_address(&ping.address).ok_or(&ping.address),
            CheckKind::Grpc(grpc) => {
                let address = grpc.target.split('/').next().unwrap_or_default();
                of_address(address).ok_or(&grpc.target)
            }
            CheckKind::Alias(alias) => {
                // An agent of Consul 1.8 ends on one of a node, with all its services.
                let node = alias.node.as_deref()?;
                return Some(format!(
                    "the node {:?} is not the container's, and nothing else may be checked (the \
                     setting check-targets)",
                    shown(node)
                ));
            }
            CheckKind::Docker(docker) => {
                // An agent takes the beginning of an identifier, or a name.
                let id = docker.container_id.as_str();
                let own = id.len() >= 12 && self.container.id.starts_with(id);
                let named = id.strip_prefix('/').unwrap_or(id) == self.container.name;
                return (!own && !named).then(|| {
                    format!(
                        "{:?} is not the container itself, and nothing else may be checked (the \
                         setting check-targets)",
                        shown(id)
                    )
                });
            }
            _ => return None,
        };
        let shown_target = match target {
            Ok(target) if self.offers(&target) => return None,
            Ok((host, port)) => format!("{host}:{port}"),
            Err(text) => text.to_string(),
        };
        Some(format!(
            "{:?} is not offered by the container, and nothing else may be checked (the setting \
             check-targets)",
            shown(&shown_target)
        ))
    }

    /// Whether the container offers a service there.
    fn offers(&self, (host, port): &(String, u16)) -> bool {
        self.services.iter().filter(|service| service.origin.is_some()).any(|service| {
            let tagged = service.tagged_addresses.iter().map(|at| (at.address.as_str(), at.port));
            let mut places = tagged.chain([(service.address.as_str(), service.port)]);
            places.any(|(address, number)| {
                // Without an address it is Consul's node's, where the agent runs.
                let node = address.is_empty() && matches!(&**host, "" | "localhost");
                number == *port && (node || same_host(address, host))
            })
        })
    }

    /// What a check changes somewhere it is not to change where its own server leads it; nor is
    /// it to read there, if the operator says so.
    fn stay(&self, check: &mut Check) {
        let CheckKind::Http(http) = &check.kind else { return };
        let method = http.method.as_deref().unwrap_or("GET");
        let changes = self.targets == Targets::Own && !SAFE.iter().any(|safe| safe == &method);
        if changes || self.redirects == Redirects::None {
            check
                .attributes
                .retain(|one| one.key.replace('_', "").to_lowercase() != "disableredirects");
            check.attributes.push(Attribute::new(NO_REDIRECTS, "true"));
        }
    }
}

/// Where a URL of a check leads, as Go reads it; none if it may lead elsewhere than it seems.
pub(crate) fn of_url(url: &str) -> Option<(String, u16)> {
    if url.chars().any(char::is_control) {
        return None;
    }
    let (scheme, rest) = url.split_once("://")?;
    let usual = match scheme.to_ascii_lowercase().as_str() {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.chars().any(|c| c.is_whitespace() || c == '\\') {
        return None;
    }
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    of_address(place).or_else(|| {
        let host = place.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = host.unwrap_or(place);
        let bare = !host.is_empty() && (host.parse::<IpAddr>().is_ok() || !host.contains(':'));
        bare.then(|| (host.to_string(), usual))
    })
}

/// `host:port`, with an IPv6 address in brackets.
pub(crate) fn of_address(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    Some((host.to_string(), port.parse().ok().filter(|_| digits)?))
}

fn same_host(a: &str, b: &str) -> bool {
    match (a.parse::<IpAddr>(), b.parse::<IpAddr>()) {
        (Ok(a), Ok(b)) => a == b,
        _ => !a.is_empty() && a.eq_ignore_ascii_case(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_leads_where_go_takes_it() {
        for (url, place) in [
            ("http://10.0.0.1:80/a", Some(("10.0.0.1", 80))),
            ("HTTP://10.0.0.1/", Some(("10.0.0.1", 80))),
            ("https://web", Some(("web", 443))),
            ("https://[fd00::1]:8443/", Some(("fd00::1", 8443))),
            ("http://[fd00::1]", Some(("fd00::1", 80))),
            ("http://10.0.0.1:80@evil/", Some(("evil", 80))),
            ("http://a@b@evil:1?x", Some(("evil", 1))),
            ("http://evil:1#@10.0.0.1:80/", Some(("evil", 1))),
            ("http://evil?@10.0.0.1:80/", Some(("evil", 80))),
            ("http://:8000/", Some(("", 8000))),
            ("http://10.0.0.1\\@evil/", None),
            ("http://10.0.0.1:+80/", None),
            ("http://10.0.0.1:99999/", None),
            ("http://10.0.0.1 /", None),
            ("http://10.0.0.1/a b\\", Some(("10.0.0.1", 80))),
            ("http://10.0.0.1/a\nb", None),
            ("ftp://10.0.0.1/", None),
            ("unix:/run/x", None),
            ("", None),
        ] {
            let place = place.map(|(host, port)| (host.to_string(), port));
            assert_eq!(of_url(url), place, "{url}");
        }
    }

    #[test]
    fn one_address_may_be_written_in_two_ways() {
        for (a, b, same) in [
            ("10.0.0.1", "10.0.0.1", true),
            ("fd00::1", "fd00:0:0::1", true),
            ("Web.local", "web.LOCAL", true),
            ("10.0.0.1", "10.0.0.10", false),
            ("10.0.0.1", "010.0.0.1", false),
            ("", "", false),
        ] {
            assert_eq!(same_host(a, b), same, "{a} {b}");
        }
    }
}
