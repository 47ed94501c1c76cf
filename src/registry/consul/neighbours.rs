//! The services of daemons of other engines, or of other names, in the same agent, by a
//! read that the agent filters.

use std::collections::BTreeMap;

use super::{Call, Consul};
use crate::{
    model::{
        marks::{META_ENGINE, META_HOST},
        registered::Registered,
    },
    registry::RegistryError,
};

impl Consul {
    /// See [`crate::registry::Registry::neighbours`].
    pub(super) async fn read_neighbours(
        &self,
        host: &str,
        engine: Option<&str>,
    ) -> Result<BTreeMap<String, Registered>, RegistryError> {
        let call = Call {
            attempt: "read what other daemons have registered",
            subject: "",
            permission: "service_prefix \"\" { policy = \"read\" }",
        };
        // The filter's language has no way to write these.
        let plain =
            |text: &str| !text.contains(['"', '\\', '`']) && !text.contains(char::is_control);
        if !plain(host) || !engine.is_none_or(plain) {
            return Ok(BTreeMap::new());
        }
        self.services(call, &[("filter", &filter(host, engine))]).await
    }
}

/// The services of this host's name for other engines, and those of other names for
/// this engine.
fn filter(host: &str, engine: Option<&str>) -> String {
    let of =
        |key: &str, operator: &str, value: &str| format!("Meta[\"{key}\"] {operator} \"{value}\"");
    let name = of(META_HOST, "==", host);
    let any = format!("{name} and \"{META_ENGINE}\" in Meta");
    let Some(engine) = engine else { return any };
    let [here, elsewhere] = ["==", "!="].map(|operator| of(META_ENGINE, operator, engine));
    let other = of(META_HOST, "!=", host);
    format!("({any} and {elsewhere}) or ({here} and {other})")
}
