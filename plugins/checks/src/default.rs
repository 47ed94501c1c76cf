//! The check that a service without one gets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharfinger_plugin::{
    Check, CheckKind, GrpcCheck, H2PingCheck, HttpCheck, Protocol, Service, TcpCheck, UdpCheck,
    duration, ports::Ports,
};

/// A check for services of certain ports.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DefaultCheck {
    /// What the check does.
    kind: Kind,
    /// The ports inside the container that it is for; all if there are none.
    #[serde(default)]
    ports: Vec<Ports>,
    /// The path of a request over HTTP.
    #[serde(default = "root")]
    path: String,
    /// The time between two runs.
    #[serde(default = "ten_seconds")]
    interval: String,
    /// How long a run may take; Consul's ten seconds if it is not said.
    #[serde(default)]
    timeout: Option<String>,
    /// Do not verify certificates.
    #[serde(default)]
    tls_skip_verify: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// A request over HTTP.
    Http,
    /// A request over HTTPS.
    Https,
    /// A connection over TCP.
    Tcp,
    /// A datagram, for services of UDP.
    Udp,
    /// The health protocol of gRPC.
    Grpc,
    /// The health protocol of gRPC over TLS.
    GrpcTls,
    /// A ping over HTTP/2 and TLS.
    H2Ping,
    /// No check, and none of those that follow.
    None,
}

fn root() -> String {
    "/".into()
}

fn ten_seconds() -> String {
    "10s".into()
}

impl DefaultCheck {
    /// What is wrong with it.
    pub(crate) fn faults(&self) -> Vec<String> {
        let times = [("interval", Some(&self.interval)), ("timeout", self.timeout.as_ref())];
        let sound = |text: &str| duration::parse(text).is_some_and(|time| !time.is_zero());
        let mut faults: Vec<String> = times
            .into_iter()
            .filter_map(|(key, text)| text.filter(|text| !sound(text)).map(|text| (key, text)))
            .map(|(key, text)| format!("{key}: {text:?} is not a duration such as 10s"))
            .collect();
        if !self.path.starts_with('/') {
            faults.push(format!("path: {:?} does not begin with a slash", self.path));
        }
        faults
    }

    /// Whether it is for this service: one with a port, of a protocol that the
    /// check speaks.
    pub(crate) fn fits(&self, service: &Service) -> bool {
        let port = service.container_port();
        let listed = self.ports.is_empty() || self.ports.iter().any(|ports| ports.contains(port));
        let spoken = match self.kind {
            Kind::None => true,
            Kind::Udp => service.protocol == Protocol::Udp,
            _ => service.protocol == Protocol::Tcp,
        };
        service.port != 0 && listed && spoken
    }

    /// The check of a service.
    pub(crate) fn check(&self, service: &Service) -> Option<Check> {
        let kind = self.kind_for(service.target())?;
        let mut check = Check::new(kind, Some(self.interval.clone()));
        check.timeout.clone_from(&self.timeout);
        Some(check)
    }

    fn kind_for(&self, target: String) -> Option<CheckKind> {
        let tls_skip_verify = self.tls_skip_verify;
        Some(match self.kind {
            Kind::None => return None,
            Kind::Http => self.request("http", &target),
            Kind::Https => self.request("https", &target),
            Kind::Tcp => CheckKind::Tcp(TcpCheck { address: target }),
            Kind::Udp => CheckKind::Udp(UdpCheck { address: target }),
            Kind::Grpc | Kind::GrpcTls => CheckKind::Grpc(GrpcCheck {
                target,
                use_tls: self.kind == Kind::GrpcTls,
                tls_skip_verify,
                tls_server_name: None,
            }),
            Kind::H2Ping => {
                CheckKind::H2Ping(H2PingCheck { address: target, use_tls: true, tls_skip_verify })
            }
        })
    }

    fn request(&self, scheme: &str, target: &str) -> CheckKind {
        CheckKind::Http(HttpCheck {
            url: format!("{scheme}://{target}{}", self.path),
            method: None,
            headers: Vec::new(),
            body: String::new(),
            tls_skip_verify: scheme == "https" && self.tls_skip_verify,
            tls_server_name: None,
        })
    }
}
