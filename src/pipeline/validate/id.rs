//! IDs: of services, which stand in the path of a URL when they are
//! deregistered, and of checks.

use std::sync::LazyLock;

use regex::Regex;

use super::{Fault, line, shown, text};

/// The check by which Consul notes that a node is alive.
const SERF_HEALTH: &str = "serfHealth";
/// The checks by which an agent notes that a node or a service is maintained.
const MAINTENANCE: [&str; 2] = ["_node_maintenance", "_service_maintenance"];
/// The service that Consul's servers register themselves.
pub(in crate::pipeline) const CONSUL: &str = "consul";

/// The daemon's prefix to a service's ID, for the ID of the check that mirrors Docker's.
const MIRRORED: &str = "wharfinger-health:";
/// Consul's prefix to a service's ID, for the ID of a check that was given none.
const OF_SERVICE: &str = "service:";

/// An ID that a stage gave a service, on the host of this name.
pub(in crate::pipeline) fn service(host: &str, id: &str) -> Fault {
    addressable(id)?;
    undecoded(id)?;
    if id == CONSUL {
        return Err("it is that of Consul's servers".into());
    }
    let form = Form::of(id);
    // Put before a check's own ID, it would make one of Consul's names.
    if form.as_ref().is_none_or(|form| form.host != host) && is_consuls(&format!("{id}:")) {
        return Err("it begins as names of Consul's or the daemon's own checks do".into());
    }
    match form {
        Some(form) if form.host != host => Err(format!(
            "it has the form of registrator's IDs, <host>:<container>:<port>, with the host {:?} \
             and not {host:?}",
            shown(form.host)
        )),
        _ => Ok(()),
    }
}

/// That an ID of registrator's form is the container's own: another container would be kept from
/// what it will ask for.
pub(in crate::pipeline) fn own(host: &str, container: &str, id: &str) -> Fault {
    match Form::of(id) {
        Some(form) if form.host == host && form.container != container => Err(format!(
            "it has the form of registrator's IDs, and names the container {:?}",
            shown(form.container)
        )),
        _ => Ok(()),
    }
}

/// An ID of a service that can be removed again.
pub(in crate::pipeline) fn addressable(id: &str) -> Fault {
    text(id)?;
    if id.trim() != id {
        return Err("it begins or ends with a space".into());
    }
    in_path(id)?;
    printable(id)
}

/// An ID of a check of the service with this ID. It is one of the agent's and not of the
/// service's, so that some would do harm.
pub(in crate::pipeline) fn check(service: &str, id: &str) -> Fault {
    text(id)?;
    in_path(id)?;
    printable(id)?;
    undecoded(id)?;
    // Consul's own for the service: without a number, or with the check's place behind a colon.
    let others = id.strip_prefix(OF_SERVICE).is_some_and(|rest| {
        let own = rest.strip_prefix(service).is_some_and(|place| {
            let number = place.strip_prefix(':').unwrap_or("x");
            place.is_empty() || !number.is_empty() && number.chars().all(|c| c.is_ascii_digit())
        });
        !own
    });
    if others || is_consuls(id) && !id.starts_with(OF_SERVICE) {
        return Err(format!("{:?}: it is that of a check of Consul's own", shown(id)));
    }
    Ok(())
}

/// Whether this is the ID of a check that Consul or the daemon makes, or begins so.
pub(in crate::pipeline) fn is_consuls(id: &str) -> bool {
    id == SERF_HEALTH
        || id.starts_with(OF_SERVICE)
        || id.starts_with(MIRRORED)
        || MAINTENANCE.iter().any(|prefix| id.starts_with(prefix))
}

/// Consul tidies the path of a request up. An ID that does not survive that could be registered
/// and not be removed.
pub(in crate::pipeline) fn in_path(id: &str) -> Fault {
    line(id)?;
    if id.ends_with('/') {
        return Err("it ends with a slash, which gets lost in a URL".into());
    }
    crate::model::service::in_path(id).map_err(Into::into)
}

/// An agent refuses a path with a character that Go's `unicode.IsPrint` does not know: of spaces
/// only the ordinary one, and what Unicode had when an old agent was built. Seen with Consul 1.8.7.
fn printable(id: &str) -> Fault {
    static PRINTABLE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^(?:[[\p{L}\p{M}\p{N}\p{P}\p{S}]&&\p{Age=9.0}]| )*$")
            .expect("a constant pattern")
    });
    match PRINTABLE.is_match(id) {
        true => Ok(()),
        false => {
            Err("it has a character that cannot be printed, which Consul refuses in a URL".into())
        }
    }
}

/// Newer versions of Consul decode a path twice.
fn undecoded(id: &str) -> Fault {
    match id.chars().find(|c| matches!(c, '%' | '\\')) {
        Some(c) => Err(format!("it has a {c}, which gets lost in a URL")),
        None => Ok(()),
    }
}

/// An ID of registrator's form, `<host>:<container>:<port>` with `:udp` for UDP.
pub(in crate::pipeline) struct Form<'a> {
    pub(in crate::pipeline) host: &'a str,
    pub(in crate::pipeline) container: &'a str,
}

impl<'a> Form<'a> {
    pub(in crate::pipeline) fn of(id: &'a str) -> Option<Self> {
        let rest = id.strip_suffix(":udp").unwrap_or(id);
        let (rest, port) = rest.rsplit_once(':')?;
        let (host, container) = rest.rsplit_once(':')?;
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let number = !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
        (number && !host.is_empty() && !container.is_empty() && container.chars().all(legal))
            .then_some(Self { host, container })
    }
}
