//! Fields of Consul's service definition beside name, ID, tags and checks.

use serde::Deserialize;
use wharfinger_plugin::{HostFacts, Service, TaggedAddress, Weights};

use crate::{
    keys::Said,
    log::{Log, shown},
    metadata::is_true,
};

/// The largest weight that Consul takes.
const MAX_WEIGHT: u32 = 65_535;

/// Set what the container says of the service.
pub(crate) fn set(said: &Said<'_>, host: &HostFacts, service: &mut Service, log: &Log) {
    service.enable_tag_override = is_true(said.get("enable_tag_override"));
    service.weights = weights(said, log);
    tagged(said, service, log);
    for key in ["namespace", "partition"] {
        let Some(wanted) = said.set(key) else { continue };
        if host.flag(key) != Some(wanted) {
            log.warn(format!(
                "{}: {:?} is not the daemon's own {key} (CONSUL_{}), in which all services are \
                 registered: in another one they could not be removed again",
                said.spelling(key),
                shown(wanted),
                key.to_uppercase()
            ));
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pair {
    #[serde(alias = "Passing")]
    passing: Option<u32>,
    #[serde(alias = "Warning")]
    warning: Option<u32>,
}

fn weights(said: &Said<'_>, log: &Log) -> Option<Weights> {
    let both: Pair = said.set("weights").map_or_else(Pair::default, |text| {
        serde_json::from_str(text).unwrap_or_else(|_| {
            let key = said.spelling("weights");
            log.warn(format!("{key}: not a JSON object such as {{\"Passing\": 10, \"Warning\": 1}}; it is not used"));
            Pair::default()
        })
    });
    let one = |key: &str, from_both: Option<u32>, least: u32| {
        let own = said.set(key).and_then(|text| text.trim().parse().ok());
        let (key, wanted) = match said.set(key) {
            Some(_) => (key, own),
            None => ("weights", from_both),
        };
        let valid = wanted.filter(|weight| (least..=MAX_WEIGHT).contains(weight));
        if valid.is_none() && (said.set(key).is_some() && (key != "weights" || wanted.is_some())) {
            let (key, value) = (said.spelling(key), shown(said.get(key)));
            log.warn(format!(
                "{key}: {value:?} is no weight from {least} to {MAX_WEIGHT}; Consul's default is used"
            ));
        }
        valid
    };
    let passing = one("weights_passing", both.passing, 1);
    let warning = one("weights_warning", both.warning, 0);
    (passing.is_some() || warning.is_some())
        .then(|| Weights { passing: passing.unwrap_or(1), warning: warning.unwrap_or(1) })
}

#[derive(Debug, Deserialize)]
struct Place {
    #[serde(alias = "Address")]
    address: String,
    #[serde(alias = "Port")]
    port: Option<u16>,
}

/// Further addresses take the place of those of the same name.
fn tagged(said: &Said<'_>, service: &mut Service, log: &Log) {
    let Some(text) = said.set("tagged_addresses") else { return };
    let Ok(places) = serde_json::from_str::<std::collections::BTreeMap<String, Place>>(text) else {
        log.warn(format!(
            "{}: not a JSON object such as {{\"wan\": {{\"Address\": \"192.0.2.1\", \"Port\": 80}}}}; \
             it is not used",
            said.spelling("tagged_addresses")
        ));
        return;
    };
    for (tag, Place { address, port }) in places {
        service.tagged_addresses.retain(|one| one.tag != tag);
        let port = port.unwrap_or(service.port);
        service.tagged_addresses.push(TaggedAddress { tag, address, port });
    }
}
