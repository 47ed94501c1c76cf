//! A health check in a few words.

use crate::service::{Check, CheckKind, CheckStatus};

/// What a check does and how often.
pub(super) fn check(check: &Check) -> String {
    let mut words = vec![kind(&check.kind)];
    let mut detail = |word: &str, value: Option<&str>| {
        words.extend(value.map(|value| format!("{word} {value}")));
    };
    detail("every", check.interval.as_deref());
    detail("timeout", check.timeout.as_deref());
    detail(
        "at first",
        check.initial_status.map(|status| match status {
            CheckStatus::Passing => "passing",
            CheckStatus::Warning => "warning",
            CheckStatus::Critical => "critical",
        }),
    );
    detail("deregister after", check.deregister_after.as_deref());
    words.join(", ")
}

fn kind(kind: &CheckKind) -> String {
    match kind {
        CheckKind::Http { url, method, .. } => {
            format!("HTTP {} {url}", method.as_deref().unwrap_or("GET"))
        }
        CheckKind::Tcp { address } => format!("TCP {address}"),
        CheckKind::Udp { address } => format!("UDP {address}"),
        CheckKind::Grpc { target, use_tls, .. } => {
            format!("gRPC {target}{}", if *use_tls { " with TLS" } else { "" })
        }
        CheckKind::H2Ping { address, .. } => format!("HTTP/2 ping {address}"),
        CheckKind::Script { args } => format!("script {}", args.join(" ")),
        CheckKind::Docker { args, .. } => format!("in the container {}", args.join(" ")),
        CheckKind::Ttl { ttl } => format!("TTL {ttl}"),
        CheckKind::Alias { service, node } => {
            let of = service.as_deref().or(node.as_deref()).unwrap_or("its node");
            format!("alias of {of}")
        }
        CheckKind::OsService { name } => format!("service {name} of the operating system"),
    }
}
