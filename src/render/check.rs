//! A health check in a few words.

use crate::model::service::{Check, CheckKind, CheckStatus};

/// A check's kind and interval, with all its other fields.
pub(super) fn check(check: &Check) -> String {
    let Check {
        id,
        name,
        notes,
        kind: what,
        interval,
        timeout,
        initial_status,
        deregister_after,
        success_before_passing,
        failures_before_critical,
        attributes,
    } = check;
    let mut words = kind(what);
    let mut detail = |word: &str, value: Option<&str>| {
        words.extend(value.map(|value| format!("{word} {value}")));
    };
    detail("every", interval.as_deref());
    detail("timeout", timeout.as_deref());
    detail(
        "at first",
        initial_status.map(|status| match status {
            CheckStatus::Passing => "passing",
            CheckStatus::Warning => "warning",
            CheckStatus::Critical => "critical",
        }),
    );
    detail("deregister after", deregister_after.as_deref());
    let number = |number: &Option<u32>| number.map(|number| number.to_string());
    detail("successes before it passes", number(success_before_passing).as_deref());
    detail("failures before it is critical", number(failures_before_critical).as_deref());
    detail("named", name.as_deref());
    detail("with the ID", id.as_deref());
    detail("notes", notes.as_deref());
    words.extend(attributes.iter().map(|(key, value)| format!("{key} {value}")));
    words.join(", ")
}

/// A check's kind and target. Of headers and a body, which may be secrets, only that they are there.
fn kind(kind: &CheckKind) -> Vec<String> {
    let tls = |used: bool| if used { " with TLS" } else { "" };
    let unverified = |skip: bool| skip.then(|| "any certificate".to_string());
    let server = |name: &Option<String>| name.as_ref().map(|name| format!("TLS name {name}"));
    let (what, more): (String, Vec<Option<String>>) = match kind {
        CheckKind::Http { url, method, headers, body, tls_skip_verify, tls_server_name } => {
            let mut more: Vec<_> =
                headers.iter().map(|(name, _)| Some(format!("header {name}"))).collect();
            more.push((!body.is_empty()).then(|| format!("a body of {} bytes", body.len())));
            more.extend([unverified(*tls_skip_verify), server(tls_server_name)]);
            (format!("HTTP {} {url}", method.as_deref().unwrap_or("GET")), more)
        }
        CheckKind::Tcp { address } => (format!("TCP {address}"), Vec::new()),
        CheckKind::Udp { address } => (format!("UDP {address}"), Vec::new()),
        CheckKind::Grpc { target, use_tls, tls_skip_verify, tls_server_name } => (
            format!("gRPC {target}{}", tls(*use_tls)),
            vec![unverified(*tls_skip_verify), server(tls_server_name)],
        ),
        CheckKind::H2Ping { address, use_tls, tls_skip_verify } => {
            (format!("HTTP/2 ping {address}{}", tls(*use_tls)), vec![unverified(*tls_skip_verify)])
        }
        CheckKind::Script { args } => (format!("script {}", args.join(" ")), Vec::new()),
        CheckKind::Docker { container_id, shell, args } => {
            let of = container_id.get(..12).unwrap_or(container_id);
            let more = vec![shell.as_ref().map(|shell| format!("by {shell}"))];
            (format!("in the container {of} {}", args.join(" ")), more)
        }
        CheckKind::Ttl { ttl } => (format!("TTL {ttl}"), Vec::new()),
        CheckKind::Alias { service, node } => {
            let of = service.as_deref().or(node.as_deref()).unwrap_or("its node");
            let on = node.as_ref().filter(|_| service.is_some());
            (format!("alias of {of}"), vec![on.map(|node| format!("on the node {node}"))])
        }
        CheckKind::OsService { name } => {
            (format!("service {name} of the operating system"), Vec::new())
        }
    };
    std::iter::once(what).chain(more.into_iter().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    /// A check of which any field is another one reads differently: a change that nobody sees
    /// is none to whoever reads a plan.
    #[test]
    fn a_change_of_any_field_shows() {
        let kinds = [
            json!({ "http": { "url": "http://a/", "method": "PUT", "headers": [["A", "b"]], "body": "x",
                "tls_skip_verify": false, "tls_server_name": "n" } }),
            json!({ "tcp": { "address": "a:1" } }),
            json!({ "udp": { "address": "a:1" } }),
            json!({ "grpc": { "target": "a:1", "use_tls": false, "tls_skip_verify": false,
                "tls_server_name": "n" } }),
            json!({ "h2-ping": { "address": "a:1", "use_tls": false, "tls_skip_verify": false } }),
            json!({ "script": { "args": ["a"] } }),
            json!({ "docker": { "container_id": "c", "shell": "sh", "args": ["a"] } }),
            json!({ "ttl": { "ttl": "9s" } }),
            json!({ "alias": { "node": "n", "service": "s" } }),
            json!({ "os-service": { "name": "a" } }),
        ];
        for kind in kinds {
            let plain = Check {
                id: Some("i".into()),
                name: Some("n".into()),
                notes: Some("x".into()),
                kind: serde_json::from_value(kind).expect("a kind"),
                interval: Some("1s".into()),
                timeout: Some("2s".into()),
                initial_status: Some(CheckStatus::Passing),
                deregister_after: Some("3s".into()),
                success_before_passing: Some(1),
                failures_before_critical: Some(2),
                attributes: BTreeMap::from([("K".into(), "1".into())]),
            };
            let whole = serde_json::to_value(&plain).expect("a check");
            let mut leaves = Vec::new();
            find(&whole, String::new(), &mut leaves);
            assert!(leaves.len() > 10, "{leaves:?}");
            for leaf in leaves {
                let mut other = whole.clone();
                let place = other.pointer_mut(&leaf).expect("a leaf");
                *place = match place.take() {
                    Value::Bool(flag) => Value::Bool(!flag),
                    Value::Number(_) => json!(7),
                    Value::String(text) if text == "passing" => json!("critical"),
                    Value::String(text) => json!(format!("{text}y")),
                    value => panic!("{value}"),
                };
                let other: Check = serde_json::from_value(other).expect("a check");
                // The value of a header may be a secret.
                if leaf != "/kind/http/headers/0/1" {
                    assert_ne!(check(&plain), check(&other), "{leaf}");
                }
            }
        }
    }

    fn find(value: &Value, at: String, leaves: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(key, value)| find(value, format!("{at}/{key}"), leaves));
            }
            Value::Array(list) => {
                let all = list.iter().enumerate();
                all.for_each(|(n, value)| find(value, format!("{at}/{n}"), leaves));
            }
            _ => leaves.push(at),
        }
    }
}
