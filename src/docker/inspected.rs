//! The fields of Docker's answer about a container. The names are those of Docker's API, and of
//! bollard's models, of which only the small ones are used: to read all that the large ones have
//! takes more of the program, and of the time of each look, than all the rest of the answer.

use std::{collections::HashMap, fmt};

use bollard::models::{ContainerStateStatusEnum, HealthStatusEnum, PortBinding};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

/// Where ports are published, by keys such as `80/tcp`.
pub(super) type PortMap = HashMap<String, Option<Vec<PortBinding>>>;

/// An answer about a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Inspected {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) image: Option<String>,
    pub(super) created: Option<String>,
    pub(super) state: Option<ContainerState>,
    pub(super) config: Option<ContainerConfig>,
    pub(super) host_config: Option<HostConfig>,
    pub(super) network_settings: Option<NetworkSettings>,
    pub(super) mounts: Option<Vec<MountPoint>>,
    /// Something of how it was set up is there that cannot be read.
    #[serde(skip)]
    pub(super) obscure: bool,
    /// All of the answer, where a template is to be rendered over it.
    #[serde(skip)]
    pub(super) whole: Option<String>,
}

/// Its state.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ContainerState {
    pub(super) status: Option<ContainerStateStatusEnum>,
    pub(super) running: Option<bool>,
    pub(super) exit_code: Option<i64>,
    pub(super) started_at: Option<String>,
    pub(super) health: Option<HealthState>,
}

/// The result of its health check.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HealthState {
    pub(super) status: Option<HealthStatusEnum>,
}

/// The configuration that it was made of.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ContainerConfig {
    pub(super) image: Option<String>,
    pub(super) hostname: Option<String>,
    pub(super) env: Option<Vec<String>>,
    pub(super) labels: Option<HashMap<String, String>>,
    #[serde(default, deserialize_with = "keys")]
    pub(super) exposed_ports: Option<Vec<String>>,
    pub(super) healthcheck: Option<HealthCheck>,
    pub(super) stop_signal: Option<String>,
    pub(super) user: Option<String>,
}

/// Its health check.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HealthCheck {
    pub(super) test: Option<Vec<String>>,
    pub(super) interval: Option<i64>,
    pub(super) timeout: Option<i64>,
    pub(super) start_period: Option<i64>,
    pub(super) retries: Option<i64>,
}

/// The options that it was started with.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HostConfig {
    pub(super) network_mode: Option<String>,
    pub(super) port_bindings: Option<PortMap>,
    pub(super) publish_all_ports: Option<bool>,
    pub(super) privileged: Option<bool>,
    pub(super) cap_add: Option<Vec<String>>,
    pub(super) cap_drop: Option<Vec<String>>,
    pub(super) readonly_rootfs: Option<bool>,
    pub(super) tmpfs: Option<HashMap<String, String>>,
    pub(super) restart_policy: Option<Restarts>,
    pub(super) memory: Option<i64>,
    pub(super) nano_cpus: Option<i64>,
    pub(super) cpu_quota: Option<i64>,
    pub(super) cpu_period: Option<i64>,
    pub(super) pids_limit: Option<i64>,
}

/// When it is started again.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Restarts {
    pub(super) name: Option<String>,
    pub(super) maximum_retry_count: Option<i64>,
}

/// A part of its files that is not of its image.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MountPoint {
    #[serde(rename = "Type")]
    pub(super) kind: Option<String>,
    pub(super) name: Option<String>,
    pub(super) source: Option<String>,
    pub(super) destination: Option<String>,
    #[serde(rename = "RW")]
    pub(super) writable: Option<bool>,
}

/// An answer about an image.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InspectedImage {
    pub(super) id: Option<String>,
    pub(super) repo_digests: Option<Vec<String>>,
    pub(super) config: Option<ImageConfig>,
}

/// An image's configuration for the containers that are made of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ImageConfig {
    pub(super) labels: Option<HashMap<String, String>>,
}

/// Where it is reached.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NetworkSettings {
    pub(super) ports: Option<PortMap>,
    pub(super) networks: Option<HashMap<String, EndpointSettings>>,
}

/// Its place in a network.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EndpointSettings {
    #[serde(rename = "NetworkID")]
    pub(super) network_id: Option<String>,
    #[serde(rename = "IPAddress")]
    pub(super) ip_address: Option<String>,
    #[serde(rename = "GlobalIPv6Address")]
    pub(super) global_ipv6_address: Option<String>,
    pub(super) aliases: Option<Vec<String>>,
}

/// The keys of an object, whatever their values are.
fn keys<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    struct Keys;
    impl<'de> Visitor<'de> for Keys {
        type Value = Option<Vec<String>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object, or null")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut keys = Vec::new();
            while let Some((key, _)) = map.next_entry::<_, IgnoredAny>()? {
                keys.push(key);
            }
            Ok(Some(keys))
        }
    }
    from.deserialize_any(Keys)
}
