//! Checks: one by default for services that have none, none that run a
//! program, and no more often than an operator wants.
//!
//! ```toml
//! settings = { scripts = "drop", min-interval = "5s", default = [{ kind = "tcp" }] }
//! ```

mod bounds;
mod default;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharfinger_plugin::{
    CheckKind, Description, Facts, Policy, Service, Veto, description, logging,
};

use bounds::Bounds;
use default::DefaultCheck;

/// The stage.
pub struct Checks;

wharfinger_plugin::export!(Checks);

/// What the operator can set. Durations are Consul's: `500ms`, `10s`, `1h30m`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// What becomes of checks for which the agent runs a program, on its host
    /// or in a container.
    scripts: Scripts,
    /// The check of a service that has none. The first one counts that fits
    /// the service's port and protocol.
    default: Vec<DefaultCheck>,
    /// The shortest interval; a shorter one becomes this.
    min_interval: Option<String>,
    /// The longest interval; a longer one becomes this.
    max_interval: Option<String>,
    /// The shortest timeout; a shorter one becomes this.
    min_timeout: Option<String>,
    /// The longest timeout; a longer one becomes this. Without one a check has
    /// Consul's ten seconds.
    max_timeout: Option<String>,
    /// After how long in the state critical a service is deregistered, where
    /// its check does not say it. Consul's minimum is one minute.
    deregister_after: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Scripts {
    /// They stay.
    #[default]
    Keep,
    /// The service is registered without them.
    Drop,
    /// The service is not registered.
    Veto,
}

impl Policy for Checks {
    type Settings = Settings;

    fn describe() -> Description {
        description!("Gives services a check, and bounds those they have.")
    }

    fn validate(settings: &Settings) -> Vec<String> {
        let mut faults = Bounds::of(settings).err().unwrap_or_default();
        for (index, check) in settings.default.iter().enumerate() {
            let number = index + 1;
            faults.extend(
                check.faults().into_iter().map(|f| format!("default, number {number}: {f}")),
            );
        }
        faults
    }

    fn apply(settings: &Settings, _facts: Facts, service: &mut Service) -> Result<(), Veto> {
        scripts(settings.scripts, service)?;
        if service.checks.is_empty() {
            let fitting = settings.default.iter().find(|check| check.fits(service));
            service.checks.extend(fitting.and_then(|check| check.check(service)));
        }
        // They were found valid before.
        if let Ok(bounds) = Bounds::of(settings) {
            service.checks.iter_mut().for_each(|check| bounds.apply(check));
        }
        Ok(())
    }
}

fn scripts(scripts: Scripts, service: &mut Service) -> Result<(), Veto> {
    let runs = |kind: &CheckKind| matches!(kind, CheckKind::Script(_) | CheckKind::Docker(_));
    let count = service.checks.iter().filter(|check| runs(&check.kind)).count();
    match scripts {
        _ if count == 0 => Ok(()),
        Scripts::Keep => Ok(()),
        Scripts::Veto => Err("a check of it runs a program, which is not allowed".into()),
        Scripts::Drop => {
            service.checks.retain(|check| !runs(&check.kind));
            let id = &service.id;
            logging::warn(format!(
                "service {id}: registered without {count} check(s) that run a program"
            ));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
