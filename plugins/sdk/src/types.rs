//! The contract's types, and what makes them pleasant to use.

pub use crate::glue::bindings::wharfinger::pipeline::types::*;

use crate::Veto;

impl Attribute {
    /// A key with its value.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

impl Description {
    /// A description without a settings schema.
    pub fn new(
        name: impl Into<String>,
        version: impl Into<String>,
        summary: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            summary: summary.into(),
            settings_schema: None,
            attributes: Vec::new(),
        }
    }

    #[doc(hidden)]
    pub fn of_package(package: &str, version: &str, summary: &str) -> Self {
        Self::new(package.strip_prefix("wharfinger-").unwrap_or(package), version, summary)
    }
}

impl Container {
    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        find(&self.labels, key)
    }

    /// The value of a label without the space around it; none if nothing is
    /// left.
    pub fn label_set(&self, key: &str) -> Option<&str> {
        self.label(key).map(str::trim).filter(|value| !value.is_empty())
    }

    /// The value of an environment variable; the last one where it occurs
    /// several times.
    pub fn env(&self, key: &str) -> Option<&str> {
        self.env.iter().rev().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    }

    /// The value of one of the container's attributes.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        find(&self.attributes, key)
    }
}

impl Service {
    /// The port inside the container that the service stands for; the
    /// service's own if a stage made it up.
    pub fn container_port(&self) -> u16 {
        self.origin.as_ref().map_or(self.port, |origin| origin.container_port)
    }

    /// `host:port` for a check, with an IPv6 address in brackets. Without an
    /// address Consul advertises its own node's, which is where its agent runs
    /// the check.
    pub fn target(&self) -> String {
        let Self { address, port, .. } = self;
        match address.as_str() {
            "" => format!("localhost:{port}"),
            address if address.contains(':') => format!("[{address}]:{port}"),
            address => format!("{address}:{port}"),
        }
    }

    /// A value of the metadata.
    pub fn meta(&self, key: &str) -> Option<&str> {
        find(&self.meta, key)
    }

    /// Set a value of the metadata.
    pub fn set_meta(&mut self, key: &str, value: impl Into<String>) {
        let value = value.into();
        match self.meta.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => entry.value = value,
            None => self.meta.push(Attribute::new(key, value)),
        }
    }
}

impl Check {
    /// A check that does this, with the interval that every kind but a TTL and
    /// an alias needs. Everything else is Consul's default.
    pub fn new(kind: CheckKind, interval: Option<String>) -> Self {
        Self {
            id: None,
            name: None,
            notes: None,
            kind,
            interval,
            timeout: None,
            initial_status: None,
            deregister_after: None,
            success_before_passing: None,
            failures_before_critical: None,
            attributes: Vec::new(),
        }
    }
}

impl HostFacts {
    /// The value of a flag of the run, by its long name.
    pub fn flag(&self, name: &str) -> Option<&str> {
        find(&self.flags, name)
    }
}

impl Outcome {
    /// Keep every one of `count` services as it is.
    pub fn keep_all(count: usize) -> Self {
        Self { verdicts: vec![Verdict::Keep; count], added: Vec::new() }
    }

    /// Veto every one of `count` services for the same reason.
    pub fn veto_all(count: usize, reason: &str) -> Self {
        Self { verdicts: vec![Verdict::Veto(reason.into()); count], added: Vec::new() }
    }

    /// Veto the services for which there is a reason, and keep the others.
    pub fn veto_if(services: &[Service], reason: impl FnMut(&Service) -> Option<String>) -> Self {
        let verdict = |reason: Option<String>| reason.map_or(Verdict::Keep, Verdict::Veto);
        Self { verdicts: services.iter().map(reason).map(verdict).collect(), added: Vec::new() }
    }

    /// Change each service, or veto it for the reason that is returned. What
    /// is left as it is, is kept.
    pub fn apply(
        services: Vec<Service>,
        mut change: impl FnMut(&mut Service) -> Result<(), Veto>,
    ) -> Self {
        Self::each(services, |before| {
            let mut after = before.clone();
            match change(&mut after) {
                Err(Veto(reason)) => Verdict::Veto(reason),
                Ok(()) if after == before => Verdict::Keep,
                Ok(()) => Verdict::Replace(after),
            }
        })
    }

    /// Decide on each service by itself.
    pub fn each(services: Vec<Service>, decide: impl FnMut(Service) -> Verdict) -> Self {
        Self { verdicts: services.into_iter().map(decide).collect(), added: Vec::new() }
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

fn find<'a>(list: &'a [Attribute], key: &str) -> Option<&'a str> {
    list.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
}
