//! From Docker's JSON to the values a template sees: the structs that
//! registrator's Docker client (go-dockerclient) decoded it into.
//!
//! The structs matter because Go treats their fields unlike the keys of a map:
//! a field that the JSON leaves out is there with its zero value, and a field
//! that the struct does not have is an error. JSON keys and fields are the same
//! but for case (`Id` and `ID`), and Go decodes without regard to it; both
//! spellings work in a template. Keys that are no field of the struct are passed
//! on, so a template may use what Docker has learnt to say since.

use std::collections::HashMap;

use gtmpl_ng::Value;
use serde_json::Value as Json;

/// The type of a field.
enum Kind {
    Text,
    Number,
    Flag,
    /// RFC 3339 in the JSON.
    Time,
    /// A struct without fields, as in a set.
    Unit,
    List(&'static Kind),
    Map(&'static Kind),
    Struct(Fields),
    /// A pointer: nothing rather than a zero value.
    Optional(&'static Kind),
}

/// The fields of a struct: a type, and the names that have it.
type Fields = &'static [(Kind, &'static str)];

use Kind::{Flag, List, Map, Number, Optional, Struct, Text, Time, Unit};

const CONTAINER: Fields = &[
    (Text, "ID Path Image SysInitPath ResolvConfPath HostnamePath HostsPath LogPath Name Driver"),
    (Text, "AppArmorProfile MountLabel ProcessLabel Platform"),
    (Number, "RestartCount SizeRw SizeRootFs"),
    (Time, "Created"),
    (List(&Text), "Args ExecIDs"),
    (Map(&Text), "Volumes"),
    (Map(&Flag), "VolumesRW"),
    (List(&Struct(MOUNT)), "Mounts"),
    (Struct(STATE), "State"),
    (Optional(&Struct(CONFIG)), "Config"),
    (Optional(&Struct(HOST_CONFIG)), "HostConfig"),
    (Optional(&Struct(NETWORK_SETTINGS)), "NetworkSettings"),
    (Optional(&Struct(&[(Text, "Name"), (Map(&Text), "Data")])), "GraphDriver"),
    (
        Optional(&Struct(&[
            (Text, "ID IP Addr Name"),
            (Number, "CPUs Memory"),
            (Map(&Text), "Labels"),
        ])),
        "Node",
    ),
];

const MOUNT: Fields =
    &[(Text, "Name Source Destination Driver Mode Type Propagation"), (Flag, "RW")];

const STATE: Fields = &[
    (Text, "Status Error"),
    (Flag, "Running Paused Restarting OOMKilled RemovalInProgress Dead"),
    (Number, "Pid ExitCode"),
    (Time, "StartedAt FinishedAt"),
    (Struct(HEALTH), "Health"),
];

const HEALTH: Fields = &[
    (Text, "Status"),
    (Number, "FailingStreak"),
    (List(&Struct(&[(Time, "Start End"), (Number, "ExitCode"), (Text, "Output")])), "Log"),
];

const CONFIG: Fields = &[
    (Text, "Hostname Domainname User CPUSet PublishService StopSignal Image VolumeDriver"),
    (Text, "WorkingDir MacAddress VolumesFrom"),
    (Number, "Memory MemorySwap MemoryReservation KernelMemory CPUShares StopTimeout"),
    (Flag, "AttachStdin AttachStdout AttachStderr ArgsEscaped Tty OpenStdin StdinOnce"),
    (Flag, "NetworkDisabled"),
    (List(&Text), "PortSpecs Env Cmd Shell DNS Entrypoint SecurityOpts OnBuild"),
    (Map(&Text), "Labels"),
    (Map(&Unit), "ExposedPorts Volumes"),
    (List(&Struct(MOUNT)), "Mounts"),
    (
        Optional(&Struct(&[
            (List(&Text), "Test"),
            (Number, "Interval Timeout StartPeriod StartInterval Retries"),
        ])),
        "Healthcheck",
    ),
];

const HOST_CONFIG: Fields = &[
    (Text, "ContainerIDFile UsernsMode NetworkMode IpcMode Isolation PidMode UTSMode"),
    (Text, "CgroupnsMode Cgroup CgroupParent CPUSet CPUSetCPUs CPUSetMEMs VolumeDriver Runtime"),
    (Number, "Memory MemoryReservation KernelMemory MemorySwap CPUShares CPUQuota CPUPeriod"),
    (Number, "CPURealtimePeriod CPURealtimeRuntime NanoCPUs BlkioWeight OomScoreAdj ShmSize"),
    (Number, "CPUCount CPUPercent IOMaximumBandwidth IOMaximumIOps"),
    (Flag, "Init Privileged PublishAllPorts ReadonlyRootfs AutoRemove"),
    (List(&Text), "Binds CapAdd CapDrop Capabilities GroupAdd Links DNS DNSOptions DNSSearch"),
    (List(&Text), "ExtraHosts VolumesFrom DeviceCgroupRules SecurityOpt MaskedPaths"),
    (List(&Text), "ReadonlyPaths"),
    (List(&Number), "ConsoleSize"),
    (Map(&Text), "Tmpfs StorageOpt Sysctls Annotations"),
    (Map(&List(&Struct(PORT_BINDING))), "PortBindings"),
    (Struct(&[(Text, "Name"), (Number, "MaximumRetryCount")]), "RestartPolicy"),
    (Struct(&[(Text, "Type"), (Map(&Text), "Config")]), "LogConfig"),
    (Optional(&Number), "MemorySwappiness PidsLimit"),
    (Optional(&Flag), "OOMKillDisable"),
    (List(&Struct(&[(Text, "Key Value")])), "LxcConf"),
    (List(&Struct(&[(Text, "Name"), (Number, "Soft Hard")])), "Ulimits"),
    (List(&Struct(&[(Text, "PathOnHost PathInContainer CgroupPermissions")])), "Devices"),
    (List(&Struct(&[(Text, "Driver"), (Number, "Count")])), "DeviceRequests"),
    (List(&Struct(&[(Text, "Path Weight")])), "BlkioWeightDevice"),
    (List(&Struct(LIMIT)), "BlkioDeviceReadBps BlkioDeviceReadIOps"),
    (List(&Struct(LIMIT)), "BlkioDeviceWriteBps BlkioDeviceWriteIOps"),
    (List(&Struct(&[(Text, "Target Source Type"), (Flag, "ReadOnly")])), "Mounts"),
];

const LIMIT: Fields = &[(Text, "Path"), (Number, "Rate")];

const PORT_BINDING: Fields = &[(Text, "HostIP HostPort")];

const NETWORK_SETTINGS: Fields = &[
    (Text, "Bridge NetworkID SandboxKey LinkLocalIPv6Address"),
    (Text, DEFAULT_BRIDGE_TEXT),
    (Number, "LinkLocalIPv6PrefixLen"),
    (Number, DEFAULT_BRIDGE_NUMBER),
    (List(&Text), "SecondaryIPAddresses SecondaryIPv6Addresses"),
    (Map(&Map(&Text)), "PortMapping"),
    (Map(&List(&Struct(PORT_BINDING))), "Ports"),
    (Map(&Struct(NETWORK)), "Networks"),
];

const NETWORK: Fields = &[
    (Text, "NetworkID"),
    (Text, DEFAULT_BRIDGE_TEXT),
    (Number, DEFAULT_BRIDGE_NUMBER),
    (List(&Text), "Aliases"),
];

/// The fields of a network that Docker, before API 1.52, repeated beside the
/// networks for the default bridge.
const DEFAULT_BRIDGE_TEXT: &str =
    "IPAddress MacAddress Gateway EndpointID GlobalIPv6Address IPv6Gateway";
const DEFAULT_BRIDGE_NUMBER: &str = "IPPrefixLen GlobalIPv6PrefixLen";

/// The container that a template is rendered over.
pub(super) fn container(json: &Json) -> Value {
    let mut container = fields(CONTAINER, json);
    let settings = container.get_mut("NetworkSettings");
    if let Some((Value::Object(settings), said)) = settings.zip(json.get("NetworkSettings")) {
        repeat_default_bridge(settings, said);
    }
    Value::Object(container)
}

/// Fill in what a Docker of today says of the default bridge only among the
/// networks.
fn repeat_default_bridge(settings: &mut HashMap<String, Value>, said: &Json) {
    let Some(Value::Map(networks)) = settings.get("Networks") else { return };
    let Some(Value::Object(bridge)) = networks.get("bridge").cloned() else { return };
    for name in DEFAULT_BRIDGE_TEXT.split(' ').chain(DEFAULT_BRIDGE_NUMBER.split(' ')) {
        if let Some(value) = bridge.get(name).filter(|_| said.get(name).is_none()) {
            settings.insert(name.to_string(), value.clone());
        }
    }
}

fn fields(fields: Fields, json: &Json) -> HashMap<String, Value> {
    let mut values: HashMap<_, _> = json
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, json)| (key.clone(), any(json)))
        .collect();
    for (kind, names) in fields {
        for name in names.split(' ') {
            let said = json.as_object().and_then(|json| {
                json.get_key_value(name)
                    .or_else(|| json.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)))
            });
            let value = value(kind, said.map(|(_, json)| json));
            if let Some((key, _)) = said.filter(|(key, _)| *key != name) {
                values.insert(key.clone(), value.clone());
            }
            values.insert(name.to_string(), value);
        }
    }
    values
}

fn value(kind: &'static Kind, json: Option<&Json>) -> Value {
    let json = json.filter(|json| !json.is_null());
    match (kind, json) {
        (Optional(_), None) => Value::Nil,
        (Optional(kind), json) => value(kind, json),
        (Struct(of), json) => Value::Object(fields(of, json.unwrap_or(&Json::Null))),
        (List(of), Some(Json::Array(list))) => {
            Value::Array(list.iter().map(|json| value(of, Some(json))).collect())
        }
        (Map(of), Some(Json::Object(map))) => {
            let entry = |(key, json): (&String, _)| (key.clone(), value(of, Some(json)));
            Value::Map(map.iter().map(entry).collect())
        }
        (Unit, _) => Value::from("{}"),
        (Time, Some(Json::String(text))) => Value::from(time(text)),
        (_, Some(json)) => any(json),
        (Text, None) => Value::from(""),
        (Number, None) => Value::from(0),
        (Flag, None) => Value::from(false),
        (Time, None) => Value::from(time("0001-01-01T00:00:00Z")),
        (List(_), None) => Value::Array(Vec::new()),
        (Map(_), None) => Value::Map(HashMap::new()),
    }
}

/// A value that no struct describes.
fn any(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(flag) => Value::from(*flag),
        Json::String(text) => Value::from(text),
        Json::Array(list) => Value::Array(list.iter().map(any).collect()),
        Json::Object(map) => {
            Value::Map(map.iter().map(|(key, json)| (key.clone(), any(json))).collect())
        }
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (_, Some(number)) => Value::from(number),
            _ => Value::from(number.as_f64().unwrap_or_default()),
        },
    }
}

/// A point in time as Go prints it. Docker's are in UTC; others stay as they are.
fn time(text: &str) -> String {
    let Some((date, clock)) = text.strip_suffix('Z').and_then(|text| text.split_once('T')) else {
        return text.to_string();
    };
    let clock = match clock.split_once('.') {
        Some(_) => clock.trim_end_matches('0').trim_end_matches('.'),
        None => clock,
    };
    format!("{date} {clock} +0000 UTC")
}
