//! IDs: of services, which stand in the path of a URL when they are
//! deregistered, and of checks.

use super::{Fault, line, shown, text};

/// The check by which Consul notes that a node is alive.
const SERF_HEALTH: &str = "serfHealth";
/// The checks by which an agent notes that a node or a service is maintained.
const MAINTENANCE: [&str; 2] = ["_node_maintenance", "_service_maintenance"];
/// The service that Consul's servers register themselves.
const CONSUL: &str = "consul";

/// An ID that a stage gave a service, on the host of this name.
pub(super) fn service(host: &str, id: &str) -> Fault {
    text(id)?;
    if id.trim() != id {
        return Err("it begins or ends with a space".into());
    }
    in_path(id)?;
    if id == CONSUL {
        return Err("it is that of Consul's servers".into());
    }
    match original_host(id) {
        Some(other) if other != host => Err(format!(
            "it has the form of registrator's IDs, <host>:<container>:<port>, with the host {:?} \
             and not {host:?}",
            shown(other)
        )),
        _ => Ok(()),
    }
}

/// An ID that a stage gave a check. It is one of the agent's and not of the
/// service's, so that some would do harm.
pub(super) fn check(id: &str) -> Fault {
    text(id)?;
    in_path(id)?;
    if id == SERF_HEALTH || MAINTENANCE.iter().any(|prefix| id.starts_with(prefix)) {
        return Err(format!("{:?}: it is that of a check of Consul's own", shown(id)));
    }
    Ok(())
}

/// Consul tidies the path of a request up and, in newer versions, decodes it
/// twice. What does not survive that could be registered and not be removed.
fn in_path(id: &str) -> Fault {
    line(id)?;
    if id.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(
            "it has an empty part, . or .. between slashes, which gets lost in a URL".into()
        );
    }
    match id.chars().find(|c| matches!(c, '%' | '\\')) {
        Some(c) => Err(format!("it has a {c}, which gets lost in a URL")),
        None => Ok(()),
    }
}

/// The host in an ID of registrator's form.
fn original_host(id: &str) -> Option<&str> {
    let rest = id.strip_suffix(":udp").unwrap_or(id);
    let (rest, port) = rest.rsplit_once(':')?;
    let (host, container) = rest.rsplit_once(':')?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let number = !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
    (number && !host.is_empty() && !container.is_empty() && container.chars().all(legal))
        .then_some(host)
}
