//! Answers in which something is not what Docker's API says: a number in the
//! place of a text, a state that nobody knows, `null` in a list.
//!
//! One odd field costs that field and not the container, unless nothing could be
//! said of the container without it: then it is an error, and the container keeps
//! what it has.

use serde_json::{Map, Value};

use super::{inspect::InspectFault, inspected::Inspected, podman};
use crate::{json, model::container::ContainerId};

/// Fields that must not be taken for empty where they were said and could not be
/// read.
const WHOLE: [&str; 9] = [
    "/Config",
    "/Config/Env",
    "/Config/Labels",
    "/HostConfig",
    "/HostConfig/NetworkMode",
    "/NetworkSettings",
    "/NetworkSettings/Networks",
    "/NetworkSettings/Ports",
    "/State",
];
/// The fields of a container's setup. A policy must not take one for harmless where it was said
/// in another form: then nothing of the setup is known.
const SETUP: [&str; 14] = [
    "/Config/User",
    "/Config/Healthcheck",
    "/HostConfig/Privileged",
    "/HostConfig/CapAdd",
    "/HostConfig/CapDrop",
    "/HostConfig/ReadonlyRootfs",
    "/HostConfig/Tmpfs",
    "/HostConfig/RestartPolicy",
    "/HostConfig/Memory",
    "/HostConfig/NanoCpus",
    "/HostConfig/CpuQuota",
    "/HostConfig/CpuPeriod",
    "/HostConfig/PidsLimit",
    "/Mounts",
];
const STATUS: &str = "/State/Status";

/// A container as `docker inspect` prints it, as far as it can be read, with all of the answer
/// beside it if that is wanted.
///
/// # Errors
///
/// A part cannot be read without which it is not known what the container is.
pub(super) fn inspected(mut answer: Value, whole: bool) -> Result<Inspected, InspectFault> {
    podman::rename_state(&mut answer);
    let inspected = readable(&answer)?;
    Ok(Inspected { whole: whole.then(|| answer.to_string()), ..inspected })
}

fn readable(answer: &Value) -> Result<Inspected, InspectFault> {
    if let Ok(response) = json::from_value(answer) {
        return Ok(response);
    }
    let fits = |value: &Value| json::from_value::<Inspected>(value).is_ok();
    let mended = mend(answer.clone(), &fits).unwrap_or_default();
    let lost = |place: &&str| {
        let said = answer.pointer(place).is_some_and(|value| !is_blank(value));
        said && mended.pointer(place).is_none_or(Value::is_null)
    };
    if let Some(place) = WHOLE.into_iter().find(lost) {
        return Err(InspectFault::Unreadable(place));
    }
    let tells = mended.pointer("/State/Running").is_some_and(Value::is_boolean);
    if lost(&STATUS) && !tells {
        return Err(InspectFault::Unreadable(STATUS));
    }
    let differs = |place: &str| {
        let (said, read) = (answer.pointer(place), mended.pointer(place));
        said.is_some_and(|value| !is_blank(value)) && said != read
    };
    let obscure = SETUP.iter().any(|place| differs(place));
    let inspected: Result<Inspected, _> = json::from_value(&mended);
    let inspected = inspected.map_err(|_| InspectFault::Missing("Config"))?;
    Ok(Inspected { obscure, ..inspected })
}

/// The identifiers of a list of containers, as far as each of them has one; none
/// if it is no such list.
pub(super) fn listed(list: &str) -> Option<Vec<ContainerId>> {
    let list: Vec<Value> = serde_json::from_slice(list.as_bytes()).ok()?;
    let id = |one: &Value| Some(ContainerId(one.get("Id")?.as_str()?.into()));
    list.iter().map(id).collect()
}

/// The identity of an engine and its data folder, from its answer to `/info`; none
/// if it is no such answer.
pub(super) fn identity(info: &str) -> Option<(Option<String>, String)> {
    let info: Map<String, Value> = serde_json::from_slice(info.as_bytes()).ok()?;
    let text = |key: &str| info.get(key).and_then(Value::as_str).map(String::from);
    Some((text("ID"), text("DockerRootDir").unwrap_or_default()))
}

/// The value without what does not fit, or with it in a form that does.
fn mend(value: Value, fits: &dyn Fn(&Value) -> bool) -> Option<Value> {
    if fits(&value) {
        return Some(value);
    }
    let whole = match value {
        Value::Object(members) => {
            let member = |(key, value): (String, Value)| {
                let alone = |value: &Value| {
                    let one = [(key.clone(), value.clone())];
                    fits(&Value::Object(Map::from_iter(one)))
                };
                let mended = mend(value, &alone)?;
                Some((key, mended))
            };
            Value::Object(members.into_iter().filter_map(member).collect())
        }
        Value::Array(elements) => {
            let alone = |value: &Value| fits(&Value::Array(vec![value.clone()]));
            Value::Array(elements.into_iter().filter_map(|one| mend(one, &alone)).collect())
        }
        Value::Null => Value::Object(Map::new()),
        Value::String(text) => match text.trim().parse::<serde_json::Number>() {
            Ok(number) => Value::Number(number),
            Err(_) => Value::Bool(text.trim().parse().ok()?),
        },
        other => Value::String(other.to_string()),
    };
    fits(&whole).then_some(whole)
}

/// Whether a value says that there is nothing.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests;
