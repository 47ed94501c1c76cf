//! The check as registrator makes it, to the letter. Source: its recorded behaviour.

use wharfinger_plugin::{
    Attribute, Check, CheckKind, Container, GrpcCheck, HttpCheck, ScriptCheck, Service, TcpCheck,
    TtlCheck,
};

use super::{DEFAULT_INTERVAL, interpolate, parse_status};
use crate::keys::Said;

/// The check of a service, of which there is at most one. The first of these
/// keys that is set decides: `check_http`, `check_https`, `check_cmd`,
/// `check_script`, `check_ttl`, `check_tcp`, `check_grpc`.
pub(crate) fn from_said(
    said: &Said<'_>,
    container: &Container,
    service: &Service,
) -> Option<Check> {
    let kind = kind(said, container, service)?;
    let timed = matches!(kind, CheckKind::Http(_) | CheckKind::Tcp(_) | CheckKind::Grpc(_));
    let owned = |key: &str| said.set(key).map(String::from);
    let interval = match kind {
        CheckKind::Ttl(_) => None,
        _ => owned("check_interval").or_else(|| Some(DEFAULT_INTERVAL.into())),
    };
    let status = said.get("check_initial_status");
    let mut check = Check {
        timeout: owned("check_timeout").filter(|_| timed),
        initial_status: parse_status(status),
        deregister_after: owned("check_deregister_after"),
        ..Check::new(kind, interval)
    };
    if !status.is_empty() && check.initial_status.is_none() {
        // The contract has no value for it; Consul is to refuse it itself.
        let status = serde_json::Value::from(status).to_string();
        check.attributes.push(Attribute::new("Status", status));
    }
    Some(check)
}

fn kind(said: &Said<'_>, container: &Container, service: &Service) -> Option<CheckKind> {
    let target = format!("{}:{}", service.address, service.port);
    let enabled = |key: &str| said.set(key).is_some();
    for (key, scheme) in [("check_http", "http"), ("check_https", "https")] {
        if let Some(path) = said.set(key) {
            return Some(CheckKind::Http(HttpCheck {
                url: format!("{scheme}://{target}{path}"),
                method: said.set(&format!("{key}_method")).map(String::from),
                headers: Vec::new(),
                body: String::new(),
                tls_skip_verify: false,
                tls_server_name: None,
            }));
        }
    }
    if let Some(command) = said.set("check_cmd") {
        let id = container.id.get(..12).unwrap_or(&container.id);
        let port = service.origin.as_ref()?.container_port.to_string();
        let args = ["check-cmd", id, &port, command].map(String::from).to_vec();
        return Some(CheckKind::Script(ScriptCheck { args }));
    }
    if let Some(line) = said.set("check_script") {
        // One argument is the name of a program, which a command line is not.
        let args = vec![interpolate(line, service)];
        return Some(CheckKind::Script(ScriptCheck { args }));
    }
    if let Some(ttl) = said.set("check_ttl") {
        return Some(CheckKind::Ttl(TtlCheck { ttl: ttl.into() }));
    }
    if enabled("check_tcp") {
        return Some(CheckKind::Tcp(TcpCheck { address: target }));
    }
    if enabled("check_grpc") {
        let use_tls = enabled("check_grpc_use_tls");
        return Some(CheckKind::Grpc(GrpcCheck {
            target,
            use_tls,
            tls_skip_verify: use_tls && enabled("check_tls_skip_verify"),
            tls_server_name: None,
        }));
    }
    None
}
