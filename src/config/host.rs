//! `[host]`: what this host is called, and where others find it.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::pipeline::host_address;

/// What this host is called, and where others find it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct HostConfig {
    /// The name that service IDs begin with; the machine's own if none.
    pub name: Option<String>,
    /// The address of ports that are published on the host (`-ip`); that of the name if
    /// none.
    pub address: Option<String>,
    /// Addresses of names, in the place of their resolution.
    pub resolve: BTreeMap<String, IpAddr>,
}

impl HostConfig {
    /// What makes no sense, with its key.
    pub(super) fn faults(&self) -> Vec<String> {
        let address = self.address.as_deref().map(host_address).and_then(Result::err);
        let name =
            self.name.as_deref().map(|name| (name, crate::model::service::addressable(name)));
        let name = name.and_then(|(name, judged)| {
            let fault = if name.trim().is_empty() { Some("it is empty") } else { judged.err() };
            fault.map(|fault| format!("host.name: {name:?}: {fault}"))
        });
        address.map(|fault| format!("host.address: {fault}")).into_iter().chain(name).collect()
    }
}
