//! The stage of a dozen lines: one service after the other.

use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{Container, Description, HostFacts, Outcome, Service, Stage, Veto};

/// A stage that changes or vetoes services one by one, and adds none.
pub trait Policy {
    /// What the operator can set; [`NoSettings`] for nothing. Unknown keys
    /// should be refused (`#[serde(deny_unknown_fields)]`).
    type Settings: DeserializeOwned + JsonSchema;

    /// What the policy says of itself, for instance
    /// [`description!`](crate::description).
    fn describe() -> Description;

    /// Faults of settings that parse but make no sense, one line of text each.
    fn validate(settings: &Self::Settings) -> Vec<String> {
        let _ = settings;
        Vec::new()
    }

    /// Change the service as the policy wants it; what is left as it is, is
    /// kept.
    ///
    /// # Errors
    ///
    /// The service must not be registered, for this reason.
    fn apply(
        settings: &Self::Settings,
        facts: Facts<'_>,
        service: &mut Service,
    ) -> Result<(), Veto>;
}

impl<P: Policy> Stage for P {
    type Settings = P::Settings;

    fn describe() -> Description {
        P::describe()
    }

    fn validate(settings: &Self::Settings) -> Vec<String> {
        P::validate(settings)
    }

    fn process(
        settings: &Self::Settings,
        container: &Container,
        host: &HostFacts,
        services: Vec<Service>,
    ) -> Result<Outcome, String> {
        let proposed = services.clone();
        let facts = Facts { container, host, services: &proposed };
        Ok(Outcome::apply(services, |service| P::apply(settings, facts, service)))
    }
}

/// What a policy may look at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The container that offers the services.
    pub container: &'a Container,
    /// The host that it runs on.
    pub host: &'a HostFacts,
    /// All services of the container, as they were before the policy.
    pub services: &'a [Service],
}

/// The settings of a policy that has none: every key is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}
