//! The check that `SERVICE_CHECK_*` describes.

use std::net::Ipv6Addr;

use wharfinger_plugin::{
    Check, CheckKind, CheckStatus, Container, GrpcCheck, HttpCheck, ScriptCheck, Service, TcpCheck,
    TtlCheck, logging,
};

use crate::{
    Rules, durations,
    metadata::{Metadata, is_true},
};

/// The interval of a check that does not say one.
pub(crate) const DEFAULT_INTERVAL: &str = "10s";

/// The check of a service, of which there is at most one. The first of these
/// keys that is set decides: `check_http`, `check_https`, `check_cmd`,
/// `check_script`, `check_ttl`, `check_tcp`, `check_grpc`.
pub(crate) fn from_metadata(
    rules: Rules,
    metadata: &Metadata,
    container: &Container,
    service: &Service,
) -> Vec<Check> {
    let Some(kind) = kind(rules, metadata, container, service) else { return Vec::new() };
    let port = service.origin.as_ref().map_or(0, |origin| origin.container_port).to_string();
    let valid = |key: &str, valid: bool, otherwise: &str| {
        let value = metadata.get(key);
        if value.is_empty() {
            return None;
        }
        if rules.sound && !valid {
            let key = metadata.spelling(key, &port);
            logging::warn(format!("{key}: {value:?} is not valid; {otherwise}"));
            return None;
        }
        Some(value.to_string())
    };
    let duration =
        |key: &str, otherwise| valid(key, durations::is_valid(metadata.get(key)), otherwise);

    if let CheckKind::Ttl(_) = &kind
        && duration("check_ttl", "registered without that check, such as 30s is").is_none()
    {
        return Vec::new();
    }
    let timed = matches!(kind, CheckKind::Http(_) | CheckKind::Tcp(_) | CheckKind::Grpc(_));
    let interval = match kind {
        CheckKind::Ttl(_) => None,
        _ => duration("check_interval", "the check runs every 10s")
            .or_else(|| Some(DEFAULT_INTERVAL.into())),
    };
    let timeout = if timed { duration("check_timeout", "Consul's default is used") } else { None };
    let status = metadata.get("check_initial_status");
    let initial_status = parse_status(status);
    valid("check_initial_status", initial_status.is_some(), "the check begins as critical");
    let mut check = Check {
        id: None,
        name: None,
        notes: None,
        kind,
        interval,
        timeout,
        initial_status,
        deregister_after: duration(
            "check_deregister_after",
            "the service is not deregistered by its check",
        ),
        success_before_passing: None,
        failures_before_critical: None,
        attributes: Vec::new(),
    };
    if !rules.sound && !status.is_empty() && initial_status.is_none() {
        // The contract has no value for it; Consul is to refuse it itself.
        check.attributes.push(wharfinger_plugin::Attribute::new(
            "Status",
            serde_json::Value::from(status).to_string(),
        ));
    }
    vec![check]
}

fn kind(
    rules: Rules,
    metadata: &Metadata,
    container: &Container,
    service: &Service,
) -> Option<CheckKind> {
    let target = target(rules, service);
    let set = |key: &str| Some(metadata.get(key)).filter(|value| !value.is_empty());
    let enabled = |key: &str| set(key).filter(|value| !rules.sound || is_true(value)).is_some();

    for (key, scheme) in [("check_http", "http"), ("check_https", "https")] {
        if let Some(path) = set(key) {
            let slash = if rules.sound && !path.starts_with('/') { "/" } else { "" };
            return Some(CheckKind::Http(HttpCheck {
                url: format!("{scheme}://{target}{slash}{path}"),
                method: set(&format!("{key}_method")).map(String::from),
                headers: Vec::new(),
                body: String::new(),
                tls_skip_verify: rules.sound
                    && scheme == "https"
                    && enabled("check_tls_skip_verify"),
                tls_server_name: None,
            }));
        }
    }
    if let Some(command) = set("check_cmd") {
        let id = container.id.get(..12).unwrap_or(&container.id);
        let port = service.origin.as_ref()?.container_port.to_string();
        return Some(script(["check-cmd", id, &port, command]));
    }
    if let Some(line) = set("check_script") {
        let line = interpolate(line, service);
        // One argument is the name of a program, which a command line is not.
        return Some(if rules.sound { script(["/bin/sh", "-c", &line]) } else { script([&line]) });
    }
    if let Some(ttl) = set("check_ttl") {
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

fn script<const N: usize>(args: [&str; N]) -> CheckKind {
    CheckKind::Script(ScriptCheck { args: args.map(String::from).to_vec() })
}

/// `host:port` of the service as a check reaches it.
pub(crate) fn target(rules: Rules, service: &Service) -> String {
    let Service { address, port, .. } = service;
    if !rules.sound {
        return format!("{address}:{port}");
    }
    match address.as_str() {
        // Without an address Consul advertises its own node's, which is where
        // the agent runs the check.
        "" => format!("localhost:{port}"),
        address if address.parse::<Ipv6Addr>().is_ok() => format!("[{address}]:{port}"),
        address => format!("{address}:{port}"),
    }
}

/// Put the service's address and port in the place of `$SERVICE_IP` and
/// `$SERVICE_PORT`.
pub(crate) fn interpolate(text: &str, service: &Service) -> String {
    text.replace("$SERVICE_IP", &service.address)
        .replace("$SERVICE_PORT", &service.port.to_string())
}

/// A check's state by Consul's name for it.
pub(crate) fn parse_status(name: &str) -> Option<CheckStatus> {
    match name {
        "passing" => Some(CheckStatus::Passing),
        "warning" => Some(CheckStatus::Warning),
        "critical" => Some(CheckStatus::Critical),
        _ => None,
    }
}
