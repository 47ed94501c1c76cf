//! Consul's checks, as far as the daemon reports to them or reads them.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::service::{CheckStatus, Service};

/// Consul's prefix to a service's ID in the name of the check that stands for its
/// maintenance.
const MAINTENANCE: &str = "_service_maintenance:";

/// An entry of `GET /v1/agent/checks`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AgentCheck {
    /// For the check of a maintenance, its reason.
    #[serde(default)]
    pub(super) notes: String,
}

/// Of such an entry no more than whose check it is: there may be thousands, with long outputs.
#[derive(Debug, Deserialize)]
pub(super) struct CheckOf {
    /// The service that it is a check of, if it is one of a service.
    #[serde(rename = "ServiceID", default)]
    pub(super) service: String,
}

/// The service that a check puts into maintenance, if it is such a check.
pub(super) fn maintained(check: &str) -> Option<&str> {
    check.strip_prefix(MAINTENANCE)
}

/// The ID of the check at this place among a service's checks. Where a check is
/// given none, Consul makes one of the service's ID, and of the place if there
/// are several.
pub(super) fn id(service: &Service, place: usize) -> String {
    let given = service.checks.get(place).and_then(|check| check.id.clone());
    let given = given.filter(|id| !id.is_empty());
    given.unwrap_or_else(|| match service.checks.len() {
        0 | 1 => format!("service:{}", service.id),
        _ => format!("service:{}:{}", service.id, place + 1),
    })
}

/// The body of `PUT /v1/agent/check/update/<id>`.
pub(super) fn update(status: CheckStatus, output: &str) -> Value {
    json!({ "Status": word(status), "Output": output })
}

/// Consul's word for a check's state.
pub(super) fn word(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Passing => "passing",
        CheckStatus::Warning => "warning",
        CheckStatus::Critical => "critical",
    }
}
