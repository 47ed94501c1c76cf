//! The bodies of Consul's agent API.
//!
//! The names are those of Consul's HTTP API; `ScriptArgs` is what its own
//! client sends for the field that the documentation calls `Args`. A service
//! with one check sends `Check`, one with several sends `Checks`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{checks::word, mesh};
use crate::model::{
    few::Pairs,
    registered::Registered,
    service::{self, CheckKind, Further, Service},
};

/// The body of `PUT /v1/agent/service/register` for a service.
pub fn register(service: &Service) -> Value {
    serde_json::to_value(Registration::from(service)).expect("a body has only string keys")
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Registration<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "is_zero")]
    port: u16,
    #[serde(skip_serializing_if = "str::is_empty")]
    address: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tagged_addresses: BTreeMap<&'a str, Address>,
    #[serde(skip_serializing_if = "is_false")]
    enable_tag_override: bool,
    #[serde(skip_serializing_if = "is_empty")]
    meta: &'a Pairs,
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<Weights>,
    check: Option<Check<'a>>,
    checks: Option<Vec<Check<'a>>>,
    /// The fields that not every agent knows.
    #[serde(flatten)]
    further: Map<String, Value>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Address {
    address: String,
    port: u16,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Weights {
    passing: u32,
    warning: u32,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Check<'a> {
    #[serde(rename = "CheckID", skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    script_args: &'a [String],
    #[serde(rename = "DockerContainerID", skip_serializing_if = "Option::is_none")]
    docker_container_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shell: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<&'a str>,
    #[serde(rename = "TTL", skip_serializing_if = "Option::is_none")]
    ttl: Option<&'a str>,
    #[serde(rename = "HTTP", skip_serializing_if = "Option::is_none")]
    http: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    header: BTreeMap<&'a str, Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    body: &'a str,
    #[serde(rename = "TCP", skip_serializing_if = "Option::is_none")]
    tcp: Option<&'a str>,
    #[serde(rename = "UDP", skip_serializing_if = "Option::is_none")]
    udp: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<&'a str>,
    #[serde(rename = "TLSServerName", skip_serializing_if = "Option::is_none")]
    tls_server_name: Option<&'a str>,
    #[serde(rename = "TLSSkipVerify", skip_serializing_if = "is_false")]
    tls_skip_verify: bool,
    #[serde(rename = "GRPC", skip_serializing_if = "Option::is_none")]
    grpc: Option<&'a str>,
    #[serde(rename = "GRPCUseTLS", skip_serializing_if = "is_false")]
    grpc_use_tls: bool,
    #[serde(rename = "H2PING", skip_serializing_if = "Option::is_none")]
    h2_ping: Option<&'a str>,
    #[serde(rename = "H2PingUseTLS", skip_serializing_if = "Option::is_none")]
    h2_ping_use_tls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias_node: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias_service: Option<&'a str>,
    #[serde(rename = "OSService", skip_serializing_if = "Option::is_none")]
    os_service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    success_before_passing: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failures_before_critical: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deregister_critical_service_after: Option<&'a str>,
    /// The parts that the contract has no field for.
    #[serde(flatten)]
    further: Map<String, Value>,
}

impl<'a> From<&'a Service> for Registration<'a> {
    fn from(service: &'a Service) -> Self {
        // The body has all that Consul has a place for.
        let Service {
            id,
            name,
            address,
            port,
            protocol: _,
            tags,
            meta,
            checks,
            weights,
            enable_tag_override,
            tagged_addresses,
            origin: _,
            further,
            attributes: _,
        } = service;
        let mut checks: Vec<_> = checks.iter().map(Check::from).collect();
        let check = if checks.len() == 1 { checks.pop() } else { None };
        let tagged = |(tag, (address, port)): (&'a String, &(String, u16))| {
            (tag.as_str(), Address { address: address.clone(), port: *port })
        };
        Self {
            id,
            name,
            tags,
            // Consul takes either one port or several.
            port: if further.ports.is_empty() { *port } else { 0 },
            address,
            tagged_addresses: tagged_addresses.iter().map(tagged).collect(),
            enable_tag_override: *enable_tag_override,
            meta,
            weights: weights
                .map(|service::Weights { passing, warning }| Weights { passing, warning }),
            check,
            checks: if checks.is_empty() { None } else { Some(checks) },
            further: mesh::body(further),
        }
    }
}

impl<'a> From<&'a service::Check> for Check<'a> {
    fn from(check: &'a service::Check) -> Self {
        let service::Check {
            id,
            name,
            notes,
            kind,
            interval,
            timeout,
            initial_status,
            deregister_after,
            success_before_passing,
            failures_before_critical,
            attributes,
        } = check;
        let further = |(key, value): (&String, &String)| {
            let text = || Value::from(value.as_str());
            (key.clone(), serde_json::from_slice(value.as_bytes()).unwrap_or_else(|_| text()))
        };
        let mut body = Self {
            id: id.as_deref(),
            name: name.as_deref(),
            notes: notes.as_deref(),
            interval: interval.as_deref(),
            timeout: timeout.as_deref(),
            status: initial_status.map(word),
            success_before_passing: *success_before_passing,
            failures_before_critical: *failures_before_critical,
            deregister_critical_service_after: deregister_after.as_deref(),
            further: attributes.iter().map(further).collect(),
            ..Self::default()
        };
        body.fill(kind);
        body
    }
}

impl<'a> Check<'a> {
    fn fill(&mut self, kind: &'a CheckKind) {
        match kind {
            CheckKind::Http { url, method, headers, body, tls_skip_verify, tls_server_name } => {
                self.http = Some(url);
                self.method = method.as_deref();
                for (key, value) in headers {
                    self.header.entry(key).or_default().push(value);
                }
                self.body = body;
                self.tls_skip_verify = *tls_skip_verify;
                self.tls_server_name = tls_server_name.as_deref();
            }
            CheckKind::Tcp { address } => self.tcp = Some(address),
            CheckKind::Udp { address } => self.udp = Some(address),
            CheckKind::Grpc { target, use_tls, tls_skip_verify, tls_server_name } => {
                self.grpc = Some(target);
                self.grpc_use_tls = *use_tls;
                self.tls_skip_verify = *tls_skip_verify;
                self.tls_server_name = tls_server_name.as_deref();
            }
            CheckKind::H2Ping { address, use_tls, tls_skip_verify } => {
                self.h2_ping = Some(address);
                self.h2_ping_use_tls = Some(*use_tls);
                self.tls_skip_verify = *tls_skip_verify;
            }
            CheckKind::Script { args } => self.script_args = args,
            CheckKind::Docker { container_id, shell, args } => {
                self.docker_container_id = Some(container_id);
                self.shell = shell.as_deref();
                self.script_args = args;
            }
            CheckKind::Ttl { ttl } => self.ttl = Some(ttl),
            CheckKind::Alias { node, service } => {
                self.alias_node = node.as_deref();
                self.alias_service = service.as_deref();
            }
            CheckKind::OsService { name } => self.os_service = Some(name),
        }
    }
}

/// The part of `GET /v1/agent/service/<id>` that says whose answer it is.
#[derive(Debug, Deserialize)]
pub(super) struct Answered {
    #[serde(rename = "ID", default)]
    pub(super) id: Option<String>,
}

/// An entry of `GET /v1/agent/services`. Others write to the same agent, which takes ports and
/// weights that this daemon would not send.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct AgentService {
    service: String,
    tags: Option<Vec<String>>,
    meta: Option<Pairs>,
    port: i64,
    address: String,
    tagged_addresses: Option<BTreeMap<String, AgentAddress>>,
    weights: Option<AgentWeights>,
    enable_tag_override: bool,
    #[serde(flatten)]
    further: mesh::AgentFurther,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct AgentAddress {
    address: String,
    port: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct AgentWeights {
    passing: i64,
    warning: i64,
}

/// The service with this ID as an agent describes it; of a description that cannot be understood
/// no more is known than that the service is there.
pub(super) fn registered(id: String, entry: Option<AgentService>) -> Registered {
    let AgentService {
        service,
        tags,
        meta,
        port,
        address,
        tagged_addresses,
        weights,
        enable_tag_override,
        further,
    } = entry.unwrap_or_default();
    let further: Further = further.into();
    let number = |weight: i64| u32::try_from(weight).unwrap_or_default();
    let known = |AgentWeights { passing, warning }| service::Weights {
        passing: number(passing),
        warning: number(warning),
    };
    let weights = weights.map_or(service::Weights::DEFAULT, known);
    let in_range = |port: i64| u16::try_from(port).unwrap_or_default();
    let addresses = tagged_addresses.unwrap_or_default().into_iter();
    Registered {
        id,
        name: service,
        address,
        port: match in_range(port) {
            0 => further.default_port().unwrap_or_default(),
            port => port,
        },
        tags: tags.unwrap_or_default(),
        meta: meta.unwrap_or_default(),
        weights,
        enable_tag_override,
        tagged_addresses: addresses
            .map(|(tag, tagged)| (tag, (tagged.address, in_range(tagged.port))))
            .collect(),
        further,
        lacks: BTreeSet::new(),
    }
}

fn is_zero(port: &u16) -> bool {
    *port == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_empty(pairs: &&Pairs) -> bool {
    pairs.is_empty()
}
