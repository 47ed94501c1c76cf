//! The requirements of the flags and the file that a registry cannot meet.
//!
//! A requirement without which services would be treated otherwise than is wanted is a fault, and
//! nothing starts; one that only stays without effect is said.

use anyhow::anyhow;
use tracing::warn;

use crate::daemon::app::BadConfig;
use crate::{
    config::Config,
    model::host::Compat,
    reconcile::{Deregister, DrainBy, Healthcheck, Lifecycle, OnExit, Options, Rename},
    registry::{Capabilities, Marks},
    telemetry::event,
};

/// The requirements on a registry.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// How a container's life is to show in its services.
    pub lifecycle: &'a Lifecycle,
    /// Whether services are marked as the daemon's own.
    pub provenance: bool,
    /// Which services of ended containers stay.
    pub deregister: Deregister,
    /// Whether a stage is granted a part of the key-value store, by its name.
    pub reads_keys: Option<&'a str>,
    /// Whether the daemon registers itself.
    pub registers_itself: bool,
    /// Whose rules hold.
    pub compat: Compat,
}

impl<'a> Asked<'a> {
    /// The requirements of these options and this file.
    pub fn of(options: &'a Options, config: &'a Config, compat: Compat) -> Self {
        let Options { lifecycle, provenance, deregister, .. } = options;
        let reads = config.pipeline.iter().find(|stage| stage.grant.kv.is_some());
        Self {
            lifecycle,
            provenance: *provenance,
            deregister: *deregister,
            reads_keys: reads.map(|stage| stage.name.as_str()),
            registers_itself: config.fleet.registers(false),
            compat,
        }
    }

    /// The requirements that the registry behind this adapter cannot meet: the key, and why.
    pub fn faults(&self, adapter: &str, can: Capabilities) -> Vec<String> {
        let Lifecycle { drain, drain_by, on_exit, rename, .. } = self.lifecycle;
        let mut faults = Vec::new();
        if !can.maintenance {
            let by_drain = drain.is_some() && *drain_by == DrainBy::Maintenance;
            let keys = [("on-exit", *on_exit == OnExit::Maintenance), ("drain-by", by_drain)];
            for (key, _) in keys.iter().filter(|(_, asked)| *asked) {
                faults
                    .push(format!("lifecycle.{key}: the registry {adapter} knows no maintenance"));
            }
        }
        if self.registers_itself && !can.key_values {
            faults.push(format!(
                "fleet.register: there is no Consul behind the registry {adapter} in which the \
                 daemon could register itself"
            ));
        }
        if let Rename::Overlap(_) = rename {
            if !self.provenance {
                let fault = "an overlap needs the marks that --no-provenance leaves out";
                faults.push(format!("lifecycle.rename: {fault}"));
            } else if can.marks < Marks::Metadata {
                faults.push(format!(
                    "lifecycle.rename: an overlap needs metadata, for which the registry {adapter} \
                     has no place"
                ));
            }
        }
        faults
    }

    /// The keys that stay without effect there, and why.
    pub fn remarks(&self, adapter: &str, can: Capabilities) -> Vec<String> {
        let Lifecycle { healthcheck, heartbeat, .. } = self.lifecycle;
        let mut remarks = Vec::new();
        if *heartbeat && !can.checks {
            remarks.push(format!(
                "lifecycle.heartbeat: the registry {adapter} knows no health checks, so that there \
                 is nothing to report to"
            ));
        }
        if *healthcheck == Healthcheck::Check && !can.checks {
            remarks.push(format!(
                "lifecycle.healthcheck: the registry {adapter} knows no health checks, so that \
                 Docker's health does not show there; \"gate\" registers only what is healthy"
            ));
        }
        if let Some(stage) = self.reads_keys.filter(|_| !can.key_values) {
            remarks.push(format!(
                "pipeline stage {stage:?}: grant.kv: the registry {adapter} has no key-value store, \
                 so that the stage cannot read it"
            ));
        }
        // Of its own restarts registrator knew nothing either.
        let marked = self.provenance && self.compat == Compat::None;
        if marked && can.marks == Marks::Nothing {
            remarks.push(format!(
                "the registry {adapter} keeps no marks: what this daemon leaves there is nobody's \
                 for the next one, which takes none of it out (--no-provenance)"
            ));
        } else if marked && can.marks < Marks::Metadata && self.deregister == Deregister::OnSuccess
        {
            remarks.push(format!(
                "--deregister on-success: the registry {adapter} does not keep whose container a \
                 service is, so that after a restart of the daemon what had failed before keeps \
                 nothing"
            ));
        }
        remarks
    }

    /// Say what stays without effect.
    ///
    /// # Errors
    ///
    /// [`BadConfig`] with everything that the registry cannot do.
    pub fn hold_against(&self, adapter: &str, can: Capabilities) -> Result<(), BadConfig> {
        let faults = self.faults(adapter, can);
        if !faults.is_empty() {
            return Err(BadConfig(anyhow!("{}", faults.join("; "))));
        }
        for remark in self.remarks(adapter, can) {
            warn!(event = event::WITHOUT_EFFECT, reason = remark, "{remark}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::registry::{Consul, ConsulKv, Memory};

    /// Everything that may be asked.
    fn greedy() -> (Options, Config) {
        let text = "[lifecycle]\nheartbeat = true\nhealthcheck = \"check\"\ndrain = \"5s\"\n\
            on-exit = \"maintenance\"\nrename = \"overlap 5m\"\n\
            [[pipeline]]\nname = \"reads\"\nfile = \"a.wasm\"\ngrant.kv = \"teams/\"\n";
        let config = Config::parse(text, "w.toml".as_ref(), "".as_ref()).expect("a file");
        let lifecycle = config.lifecycle.clone();
        assert_eq!(lifecycle.rename, Rename::Overlap(Duration::from_secs(300)));
        (Options { lifecycle, deregister: Deregister::OnSuccess, ..Options::default() }, config)
    }

    /// The keys of which something is said: those that are faults, and those without effect.
    fn check(can: Capabilities, faults: &[&str], remarks: &[&str]) {
        let (options, config) = greedy();
        let asked = Asked::of(&options, &config, Compat::None);
        let check = |said: Vec<String>, expected: &[&str]| {
            assert_eq!(said.len(), expected.len(), "{said:?}");
            for (said, key) in said.iter().zip(expected) {
                assert!(said.contains(key) && said.contains("somewhere"), "{said}: {key}");
            }
        };
        check(asked.faults("somewhere", can), faults);
        check(asked.remarks("somewhere", can), remarks);
        assert_eq!(asked.hold_against("somewhere", can).is_err(), !faults.is_empty());
    }

    #[test]
    fn all_that_a_registry_cannot_do_is_said_by_its_key() {
        let maintenance = ["lifecycle.on-exit", "lifecycle.drain-by"];
        let checks = ["lifecycle.heartbeat", "lifecycle.healthcheck"];
        let all = ["lifecycle.on-exit", "lifecycle.drain-by", "lifecycle.rename"];
        check(Consul::CAPABILITIES, &[], &[]);
        check(ConsulKv::CAPABILITIES, &all, &[checks[0], checks[1], "on-success"]);
        check(Memory::CAPABILITIES, &maintenance, &[checks[0], checks[1], "grant.kv"]);
        let least = [checks[0], checks[1], "grant.kv", "keeps no marks"];
        check(Capabilities::LEAST, &all, &least);
    }

    #[test]
    fn what_is_not_asked_for_is_not_spoken_of() {
        let (options, config) = (Options::default(), Config::default());
        let asked = Asked::of(&options, &config, Compat::None);
        assert_eq!(asked.faults("kv", ConsulKv::CAPABILITIES), [""; 0]);
        assert_eq!(asked.remarks("kv", ConsulKv::CAPABILITIES), [""; 0]);
        let unmarked = Options { provenance: false, ..Options::default() };
        let asked = Asked::of(&unmarked, &config, Compat::None);
        assert_eq!(asked.remarks("least", Capabilities::LEAST), [""; 0]);
        // An overlap needs marks wherever they would be kept.
        let (mut greedy, config) = greedy();
        greedy.provenance = false;
        let asked = Asked::of(&greedy, &config, Compat::None);
        let faults = asked.faults("consul", Consul::CAPABILITIES);
        assert!(matches!(&faults[..], [one] if one.contains("--no-provenance")), "{faults:?}");
    }
}
