//! A container's life, from an engine's answer.

use bollard::models::ContainerStateStatusEnum;

use super::inspected::{ContainerState, Inspected};
use crate::model::container::State;

/// Where a container is in its life.
pub(super) fn life(state: &ContainerState) -> State {
    match state.status {
        Some(ContainerStateStatusEnum::CREATED) => State::Created,
        // Podman says of a container that is being stopped what Docker does not:
        // its processes are still there.
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING) => {
            State::Running
        }
        Some(ContainerStateStatusEnum::PAUSED) => State::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => State::Restarting,
        Some(ContainerStateStatusEnum::REMOVING) => State::Removing,
        Some(ContainerStateStatusEnum::EXITED) => State::Exited,
        Some(ContainerStateStatusEnum::DEAD) => State::Dead,
        _ if state.running == Some(true) => State::Running,
        _ => State::Other,
    }
}

pub(super) fn network_mode(response: &Inspected) -> &str {
    let config = response.host_config.as_ref();
    config.and_then(|config| config.network_mode.as_deref()).unwrap_or_default()
}
