//! The check that `SERVICE_CHECK_*` describes.

mod original;

use std::net::Ipv6Addr;

use serde_json::Value;
use wharfinger_plugin::{
    AliasCheck, Attribute, Check, CheckKind, CheckStatus, Container, DockerCheck, GrpcCheck,
    H2PingCheck, HttpCheck, Protocol, ScriptCheck, Service, TcpCheck, TtlCheck, UdpCheck,
};

use crate::{
    durations, headers,
    keys::{Said, Scope},
    log::{Log, shown},
    metadata::is_true,
};

pub(crate) use original::from_said as original;

/// The interval of a check that does not say one.
pub(crate) const DEFAULT_INTERVAL: &str = "10s";

/// The keys that make a check. Of several that name the port equally closely the first one counts.
/// Those that registrator knows are in its order; `checks`, of which there may be several, adds to
/// another one.
pub(crate) const KINDS: [&str; 15] = [
    "check_http",
    "check_https",
    "check_cmd",
    "check_script",
    "check_ttl",
    "check_tcp",
    "check_grpc",
    "check_h2ping",
    "check_udp",
    "check_docker_container_id",
    "check_args",
    "check_alias_service",
    "check_alias_node",
    "check_os_service",
    "checks",
];

/// The protocol that a key's check speaks, if that depends on the key.
fn transport(key: &str) -> Option<Protocol> {
    match key {
        "check_http" | "check_https" | "check_tcp" | "check_grpc" | "check_h2ping" => {
            Some(Protocol::Tcp)
        }
        "check_udp" => Some(Protocol::Udp),
        _ => None,
    }
}

/// The key that makes a service's check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) key: &'static str,
    /// How closely it names the port.
    pub(crate) scope: Scope,
}

/// What a service's check is made of.
pub(crate) struct Asked<'a> {
    pub(crate) said: &'a Said<'a>,
    pub(crate) container: &'a Container,
    pub(crate) service: &'a Service,
    /// All that the container offers.
    pub(crate) services: &'a [Service],
    pub(crate) log: &'a Log,
}

impl Asked<'_> {
    /// The key that counts, if there is a check: the one that names the port the most closely,
    /// whatever it checks.
    pub(crate) fn choose(&self) -> Option<Chosen> {
        let mut chosen: Option<Chosen> = None;
        for key in KINDS.into_iter().filter(|key| *key != "checks") {
            let Some(value) = self.said.set(key) else { continue };
            let switch = transport(key).is_some() && !matches!(key, "check_http" | "check_https");
            if (switch && !is_true(value)) || !self.speaks(key) {
                continue;
            }
            let scope = self.said.scope(key);
            if chosen.is_none_or(|before| before.scope < scope) {
                chosen = Some(Chosen { key, scope });
            }
        }
        chosen
    }

    /// Whether a check by this key can reach a port of this protocol. A key that names the port
    /// knows what it does, unless the container has another port of the number that fits.
    fn speaks(&self, key: &str) -> bool {
        let Some(wanted) = transport(key) else { return true };
        let protocol = self.service.protocol;
        let scope = self.said.scope(key);
        if wanted == protocol || scope.names_protocol() {
            return true;
        }
        let twin = |other: &Service| {
            other.protocol == wanted && other.container_port() == self.service.container_port()
        };
        let counts = scope != Scope::COMMON && !self.services.iter().any(twin);
        if !counts {
            self.log.debug(format!(
                "{} does not count for {}/{protocol}: it would check another protocol",
                self.said.spelling(key),
                self.service.container_port(),
            ));
        }
        counts
    }

    /// The check that a key makes, with how the user wrote the key.
    pub(crate) fn make(&self, chosen: Chosen) -> Option<Check> {
        let Self { said, .. } = self;
        let mut attributes = Vec::new();
        let kind = self.kind(chosen.key, &mut attributes)?;
        let untimed = matches!(kind, CheckKind::Ttl(_) | CheckKind::Alias(_));
        let interval = match untimed {
            true => None,
            false => self
                .duration("check_interval", "the check runs every 10s")
                .or_else(|| Some(DEFAULT_INTERVAL.into())),
        };
        let timeout = match untimed {
            true => None,
            false => self.duration("check_timeout", "Consul's default is used"),
        };
        let initial_status =
            self.valid("check_initial_status", parse_status, "the check begins as critical");
        let warning = self.number("check_failures_before_warning");
        if let Some(number) = warning {
            attributes.push(Attribute::new("FailuresBeforeWarning", number.to_string()));
        }
        if let Some(size) = self.number("check_output_max_size").filter(|size| *size > 0) {
            attributes.push(Attribute::new("OutputMaxSize", size.to_string()));
        }
        let mut check = Check {
            id: said.set("check_id").map(String::from),
            name: self.text("check_name"),
            notes: self.text("check_notes"),
            interval,
            timeout,
            initial_status,
            deregister_after: self
                .duration("check_deregister_after", "the service is not deregistered by its check"),
            success_before_passing: self.number("check_success_before_passing"),
            failures_before_critical: self.number("check_failures_before_critical"),
            attributes,
            ..Check::new(kind, None)
        };
        if let Some(fault) = mend_thresholds(&mut check) {
            self.log.warn(format!("{}: {fault}", said.spelling("check_failures_before_warning")));
        }
        Some(check)
    }

    fn kind(&self, key: &str, attributes: &mut Vec<Attribute>) -> Option<CheckKind> {
        let value = self.said.get(key);
        Some(match key {
            "check_http" | "check_https" => self.http(key, value, attributes)?,
            "check_cmd" => {
                let id = self.container.id.get(..12).unwrap_or(&self.container.id);
                let port = self.service.container_port().to_string();
                script(["check-cmd", id, &port, value])
            }
            "check_script" => script(["/bin/sh", "-c", &interpolate(value, self.service)]),
            "check_ttl" => {
                let otherwise = "registered without that check, such as 30s is";
                CheckKind::Ttl(TtlCheck { ttl: self.duration(key, otherwise)? })
            }
            "check_tcp" => {
                if self.flag("check_tcp_use_tls") {
                    attributes.push(Attribute::new("TCPUseTLS", "true"));
                    self.tls_attributes(true, attributes);
                }
                CheckKind::Tcp(TcpCheck { address: self.target(key)? })
            }
            "check_grpc" => {
                let use_tls = self.flag("check_grpc_use_tls");
                let mut target = self.target(key)?;
                if let Some(service) = self.said.set("check_grpc_service") {
                    target = format!("{target}/{service}");
                }
                CheckKind::Grpc(GrpcCheck {
                    target,
                    use_tls,
                    tls_skip_verify: use_tls && self.flag("check_tls_skip_verify"),
                    tls_server_name: self.server_name().filter(|_| use_tls),
                })
            }
            "check_h2ping" => {
                // Consul's own default.
                let use_tls = self.said.set("check_h2ping_use_tls").is_none_or(is_true);
                if use_tls {
                    self.tls_attributes(false, attributes);
                }
                CheckKind::H2Ping(H2PingCheck {
                    address: self.target(key)?,
                    use_tls,
                    tls_skip_verify: use_tls && self.flag("check_tls_skip_verify"),
                })
            }
            "check_udp" => CheckKind::Udp(UdpCheck { address: self.target(key)? }),
            "check_docker_container_id" => CheckKind::Docker(DockerCheck {
                container_id: match value {
                    // No container knows its identifier before it is made.
                    "true" => self.container.id.clone(),
                    other => other.to_string(),
                },
                shell: self.said.set("check_shell").map(String::from),
                args: self.args()?,
            }),
            "check_args" => CheckKind::Script(ScriptCheck { args: self.args()? }),
            "check_alias_service" | "check_alias_node" => CheckKind::Alias(AliasCheck {
                node: self.text("check_alias_node"),
                service: self.text("check_alias_service"),
            }),
            _ => CheckKind::OsService(interpolate(value, self.service)),
        })
    }

    fn http(&self, key: &str, path: &str, attributes: &mut Vec<Attribute>) -> Option<CheckKind> {
        let scheme = key.strip_prefix("check_").unwrap_or(key);
        let slash = if path.starts_with('/') { "" } else { "/" };
        let tls = scheme == "https";
        let method = [format!("{key}_method"), "check_method".into()]
            .into_iter()
            .rev()
            .filter(|key| self.said.set(key).is_some())
            .max_by_key(|key| self.said.scope(key));
        if self.flag("check_disable_redirects") {
            attributes.push(Attribute::new("DisableRedirects", "true"));
        }
        Some(CheckKind::Http(HttpCheck {
            // Go sends a space so.
            url: format!("{scheme}://{}{slash}{}", self.target(key)?, path.replace(' ', "%20")),
            method: method.and_then(|key| self.said.set(&key).map(String::from)),
            headers: self.headers(),
            body: self.text("check_body").unwrap_or_default(),
            tls_skip_verify: tls && self.flag("check_tls_skip_verify"),
            tls_server_name: self.server_name().filter(|_| tls),
        }))
    }

    /// `host:port` of what is checked: the service, or the port of the container that
    /// `SERVICE_CHECK_PORT` names. None if there is none.
    fn target(&self, key: &str) -> Option<String> {
        let mut checked = self.service;
        if let Some(port) = self.said.set("check_port") {
            let of_port = |service: &&Service| {
                service.origin.is_some() && service.container_port().to_string() == port
            };
            let fits = |service: &&Service| transport(key) == Some(service.protocol);
            let mut all = self.services.iter().filter(of_port);
            match all.clone().find(fits).or_else(|| all.next()) {
                Some(other) => checked = other,
                None => self.log.warn(format!(
                    "{}: the container offers no port {:?}; the service's own is checked",
                    self.said.spelling("check_port"),
                    shown(port)
                )),
            }
        }
        if checked.port == 0 {
            self.log.warn(format!(
                "{}: the service has no port; registered without that check",
                self.said.spelling(key)
            ));
            return None;
        }
        Some(target(checked))
    }

    /// What the contract has no field for in checks of these kinds.
    fn tls_attributes(&self, skips: bool, attributes: &mut Vec<Attribute>) {
        if skips && self.flag("check_tls_skip_verify") {
            attributes.push(Attribute::new("TLSSkipVerify", "true"));
        }
        if let Some(name) = self.server_name() {
            attributes.push(Attribute::new("TLSServerName", Value::from(name).to_string()));
        }
    }

    fn headers(&self) -> Vec<Attribute> {
        let Some(text) = self.said.set("check_header") else { return Vec::new() };
        let headers = serde_json::from_str(text).ok().and_then(headers::read);
        let mut headers = headers.unwrap_or_else(|| {
            // What it says may be a credential.
            self.log.warn(format!(
                "{}: not a JSON object of lists of strings, such as {{\"Accept\": [\"text/html\"]}}; \
                 the check has no headers",
                self.said.spelling("check_header")
            ));
            Vec::new()
        });
        for header in &mut headers {
            header.value = interpolate(&header.value, self.service);
        }
        headers
    }

    fn args(&self) -> Option<Vec<String>> {
        let text = self.said.set("check_args").unwrap_or("[]");
        match serde_json::from_str::<Vec<String>>(text) {
            Ok(args) if !args.is_empty() => {
                Some(args.iter().map(|arg| interpolate(arg, self.service)).collect())
            }
            _ => {
                self.log.warn(format!(
                    "{}: not a JSON array of a program and its arguments; registered without that \
                     check",
                    self.said.spelling("check_args")
                ));
                None
            }
        }
    }

    fn server_name(&self) -> Option<String> {
        self.said.set("check_tls_server_name").map(String::from)
    }

    fn flag(&self, key: &str) -> bool {
        is_true(self.said.get(key))
    }

    fn text(&self, key: &str) -> Option<String> {
        self.said.set(key).map(|text| interpolate(text, self.service))
    }

    fn duration(&self, key: &str, otherwise: &str) -> Option<String> {
        let read = |text: &str| durations::is_valid(text).then(|| text.to_string());
        self.valid(key, read, otherwise)
    }

    fn number(&self, key: &str) -> Option<u32> {
        self.valid(key, |text| text.trim().parse().ok(), "Consul's default is used")
    }

    fn valid<T>(&self, key: &str, read: impl Fn(&str) -> Option<T>, otherwise: &str) -> Option<T> {
        let value = self.said.set(key)?;
        let valid = read(value);
        if valid.is_none() {
            let (key, value) = (self.said.spelling(key), shown(value));
            self.log.warn(format!("{key}: {value:?} is not valid; {otherwise}"));
        }
        valid
    }
}

/// Take out the number of failures before a warning if Consul would refuse the service for it,
/// and say why.
pub(crate) fn mend_thresholds(check: &mut Check) -> Option<&'static str> {
    let plain = |key: &str| key.replace('_', "").to_lowercase();
    let place =
        check.attributes.iter().position(|one| plain(&one.key) == "failuresbeforewarning")?;
    let warning = check.attributes[place].value.parse::<u32>();
    if warning.is_ok_and(|warning| warning <= check.failures_before_critical.unwrap_or(0)) {
        return None;
    }
    check.attributes.remove(place);
    Some("Consul allows no more failures before a warning than before critical; it is not used")
}

fn script<const N: usize>(args: [&str; N]) -> CheckKind {
    CheckKind::Script(ScriptCheck { args: args.map(String::from).to_vec() })
}

/// `host:port` of the service as a check reaches it.
fn target(service: &Service) -> String {
    let Service { address, port, .. } = service;
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
