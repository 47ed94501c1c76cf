//! The contract's types, and what makes them pleasant to use.

pub use crate::glue::bindings::wharfinger::pipeline::types::*;

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
}

impl Container {
    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        find(&self.labels, key)
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
