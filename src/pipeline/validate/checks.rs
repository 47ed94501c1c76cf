//! Check definitions. Source of the rules: Consul's documentation of checks, and
//! what an agent refuses together with the whole service.

use std::{collections::BTreeMap, time::Duration};

use url::Url;

use super::{Fault, MAX_TEXT, address::host_and_port, id, line, shown, text};
use crate::json;
use crate::model::service::{self, Check, CheckKind};

const MAX_BODY: usize = 64 << 10;
const MAX_NOTES: usize = 4096;
const MAX_ARGS: usize = 256;
const MAX_ARG: usize = 8 * MAX_TEXT;
const MAX_URL: usize = 4096;
const MAX_HEADERS: usize = 64;
const MAX_ATTRIBUTES: usize = 32;

/// The fields of a check that the contract has a place for, and those by which
/// it would become another service's, in Consul's spelling without its
/// underscores and in small letters: Consul reads either.
const TYPED: [&str; 40] = [
    "id",
    "checkid",
    "name",
    "notes",
    "status",
    "node",
    "serviceid",
    "servicename",
    "servicetags",
    "namespace",
    "partition",
    "peername",
    "type",
    "definition",
    "args",
    "script",
    "scriptargs",
    "dockercontainerid",
    "shell",
    "interval",
    "timeout",
    "ttl",
    "http",
    "header",
    "method",
    "body",
    "tcp",
    "udp",
    "tlsservername",
    "tlsskipverify",
    "grpc",
    "grpcusetls",
    "h2ping",
    "aliasnode",
    "aliasservice",
    "osservice",
    "deregistercriticalserviceafter",
    "h2pingusetls",
    "successbeforepassing",
    "failuresbeforecritical",
];

/// A check of the service with this ID.
pub(in crate::pipeline) fn check(service: &str, check: &Check) -> Fault {
    // Each field has its rule here or in `times`; those without one can have any value.
    let Check {
        id: own_id,
        name,
        notes,
        kind: what,
        interval: _,
        timeout: _,
        initial_status: _,
        deregister_after: _,
        success_before_passing: _,
        failures_before_critical: _,
        attributes: further,
    } = check;
    if let Some(text) = own_id {
        id::check(service, text).map_err(named("id"))?;
    }
    if let Some(name) = name {
        text(name).map_err(named("name"))?;
    }
    if let Some(notes) = notes {
        // Notes may have several lines.
        let control = |c: char| c.is_control() && c != '\n' && c != '\t';
        if notes.len() > MAX_NOTES || notes.chars().any(control) {
            let fault = format!("longer than {MAX_NOTES} bytes, or with a control character");
            return Err(named("notes")(fault));
        }
    }
    times(check)?;
    kind(what)?;
    attributes(what, further).map_err(named("attributes"))
}

fn named(field: &str) -> impl Fn(String) -> String {
    move |fault| format!("{field}: {fault}")
}

fn times(check: &Check) -> Fault {
    for (field, value) in [
        ("interval", &check.interval),
        ("timeout", &check.timeout),
        ("deregister-after", &check.deregister_after),
    ] {
        if let Some(value) = value {
            duration(value).map_err(named(field))?;
        }
    }
    match (&check.kind, &check.interval) {
        (CheckKind::Ttl { ttl }, None) => duration(ttl).map_err(named("ttl")),
        (CheckKind::Ttl { .. }, Some(_)) => {
            Err(named("interval")("Consul allows none beside a time to live".into()))
        }
        (CheckKind::Alias { .. }, _) | (_, Some(_)) => Ok(()),
        (_, None) => Err(named("interval")("Consul needs one".into())),
    }
}

/// A duration as Go writes it, longer than none.
fn duration(value: &str) -> Fault {
    let starts = value.starts_with(|c: char| c.is_ascii_digit());
    match service::duration(value).filter(|_| starts && value.len() <= 32) {
        Some(Duration::ZERO) => Err(format!("{:?}: it is not longer than none", shown(value))),
        Some(_) => Ok(()),
        None => Err(format!("{:?}: Consul reads durations such as 10s or 1m30s", shown(value))),
    }
}

fn kind(kind: &CheckKind) -> Fault {
    match kind {
        CheckKind::Http { url, method, headers, body, tls_skip_verify: _, tls_server_name } => {
            http_url(url).map_err(named("url"))?;
            if let Some(method) = method {
                token(method).map_err(named("method"))?;
            }
            headers_of(headers).map_err(named("headers"))?;
            if body.len() > MAX_BODY {
                return Err(format!("body: it is longer than {MAX_BODY} bytes"));
            }
            server_name(tls_server_name.as_deref())
        }
        CheckKind::Tcp { address }
        | CheckKind::Udp { address }
        | CheckKind::H2Ping { address, use_tls: _, tls_skip_verify: _ } => {
            host_and_port(address).map_err(named("address"))
        }
        CheckKind::Grpc { target, use_tls: _, tls_skip_verify: _, tls_server_name } => {
            let (address, service) = target.split_once('/').unwrap_or((target, ""));
            host_and_port(address).and_then(|()| line(service)).map_err(named("target"))?;
            server_name(tls_server_name.as_deref())
        }
        CheckKind::Script { args } => command(args).map_err(named("args")),
        CheckKind::Docker { container_id, shell, args } => {
            text(container_id).map_err(named("container-id"))?;
            shell.as_deref().map_or(Ok(()), text).map_err(named("shell"))?;
            command(args).map_err(named("args"))
        }
        CheckKind::Ttl { ttl: _ } => Ok(()),
        CheckKind::Alias { node, service } => {
            if node.is_none() && service.is_none() {
                return Err("alias: it names neither a node nor a service".into());
            }
            for (field, value) in [("node", node), ("service", service)] {
                value.as_deref().map_or(Ok(()), text).map_err(named(field))?;
            }
            Ok(())
        }
        CheckKind::OsService { name } => text(name).map_err(named("os-service")),
    }
}

fn http_url(text: &str) -> Fault {
    let fault = |what: &str| Err(format!("{:?}: {what}", shown(text)));
    // This crate drops some of these silently, Go refuses them.
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return fault("it has a space or a control character");
    }
    if text.len() > MAX_URL {
        return Err(format!("it is longer than {MAX_URL} bytes"));
    }
    // So does it take `http:x`, `http:\\x` and `http:///x` for what they are not.
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let scheme = host.is_some_and(|host| !host.starts_with('/'));
    match Url::parse(text) {
        Ok(url) if scheme && url.has_host() && url.port() != Some(0) && !text.contains('\\') => {
            Ok(())
        }
        Ok(_) => fault("it is no http:// or https:// URL"),
        Err(error) => fault(&error.to_string()),
    }
}

/// A word of HTTP (RFC 9110, 5.6.2).
fn token(text: &str) -> Fault {
    let legal = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if text.is_empty() || text.len() > MAX_TEXT || !text.chars().all(legal) {
        return Err(format!("{:?}: it is no word of HTTP", shown(text)));
    }
    Ok(())
}

fn headers_of(headers: &[(String, String)]) -> Fault {
    if headers.len() > MAX_HEADERS {
        return Err(format!("{} of them; {MAX_HEADERS} are allowed", headers.len()));
    }
    for (name, value) in headers {
        token(name)?;
        if value.len() > MAX_ARG || value.chars().any(char::is_control) {
            let fault = format!("longer than {MAX_ARG} bytes, or with a control character");
            return Err(format!("{:?}: {fault}", shown(name)));
        }
    }
    Ok(())
}

fn server_name(name: Option<&str>) -> Fault {
    name.map_or(Ok(()), text).map_err(named("tls-server-name"))
}

fn command(args: &[String]) -> Fault {
    if args.first().is_none_or(|program| program.trim().is_empty()) {
        return Err("there is no program".into());
    }
    if args.len() > MAX_ARGS || args.iter().any(|arg| arg.len() > MAX_ARG) {
        return Err(format!("more than {MAX_ARGS}, or one longer than {MAX_ARG} bytes"));
    }
    if args.iter().any(|arg| arg.contains('\0')) {
        return Err("one has a null character".into());
    }
    Ok(())
}

/// Whether the contract has a place for the field in a check of this kind.
fn is_typed(kind: &CheckKind, plain: &str) -> bool {
    match kind {
        CheckKind::Tcp { .. } if matches!(plain, "tlsservername" | "tlsskipverify") => false,
        CheckKind::H2Ping { .. } if plain == "tlsservername" => false,
        _ => TYPED.contains(&plain),
    }
}

fn attributes(kind: &CheckKind, attributes: &BTreeMap<String, String>) -> Fault {
    if attributes.len() > MAX_ATTRIBUTES {
        return Err(format!("{} of them; {MAX_ATTRIBUTES} are allowed", attributes.len()));
    }
    for (key, value) in attributes {
        let fault = |what: &str| Err(format!("{:?}: {what}", shown(key)));
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if key.is_empty() || key.len() > MAX_TEXT || !key.chars().all(legal) {
            return fault("it is no name of a field of Consul's");
        }
        let plain = key.replace('_', "").to_ascii_lowercase();
        if is_typed(kind, &plain) {
            return fault("it is a field of the contract, or one that is not the stage's");
        }
        if value.len() > MAX_BODY {
            return fault("its value is too long");
        }
        if let Err(words) = json::check(value) {
            return fault(&format!("its value {words}"));
        }
    }
    Ok(())
}
