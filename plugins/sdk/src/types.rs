//! The contract's types, and what makes them pleasant to use.

pub use crate::glue::bindings::wharfinger::pipeline::types::*;

/// Which facts a stage wants to be shown beyond a container and its services: `Wants::IMAGE`,
/// `Wants::SETUP`, `Wants::AGENT` and `Wants::ENGINE`, or several of them with `|`.
pub use crate::glue::bindings::wharfinger::pipeline::types::Facts as Wants;

impl Attribute {
    /// A key with its value.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

impl Description {
    /// A description without a settings schema, of a stage that wants no further facts.
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
            wants: Wants::empty(),
            attributes: Vec::new(),
        }
    }

    /// The same of a stage that is shown these facts, too. What it does not want is none for it.
    pub fn wanting(self, wants: Wants) -> Self {
        Self { wants, ..self }
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

    /// How it was set up: its user, its rights, its mounts and limits.
    ///
    /// # Errors
    ///
    /// The stage does not want to know: its description lacks [`Wants::SETUP`].
    pub fn setup(&self) -> Result<&Setup, String> {
        self.setup.as_ref().ok_or_else(|| not_wanted("how the container was set up", "SETUP"))
    }

    /// What is known of its image, for a stage that has to decide by it.
    ///
    /// # Errors
    ///
    /// The engine does not tell, or the stage's description lacks [`Wants::IMAGE`].
    pub fn image_facts(&self) -> Result<&ImageFacts, String> {
        self.image_facts.as_ref().ok_or_else(|| not_wanted("the container's image", "IMAGE"))
    }

    /// The value of one of the container's attributes.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        find(&self.attributes, key)
    }
}

impl Service {
    /// A TCP service that a stage makes up, with nothing but this. The daemon knows best how it is
    /// reached if it has the address of another service of the container.
    pub fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        address: impl Into<String>,
        port: u16,
    ) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            address: address.into(),
            port,
            protocol: Protocol::Tcp,
            tags: Vec::new(),
            meta: Vec::new(),
            checks: Vec::new(),
            weights: None,
            enable_tag_override: false,
            tagged_addresses: Vec::new(),
            origin: None,
            ports: Vec::new(),
            locality: None,
            socket_path: None,
            kind: String::new(),
            proxy: None,
            connect_native: false,
            definition: Vec::new(),
            attributes: Vec::new(),
        }
    }

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

impl Veto {
    /// For this reason, a line of text for the operator. Any text can be turned into one, so that
    /// `?` does it.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), code: None }
    }

    /// The same with a short word for figures, such as `privileged`: of small letters, digits and
    /// `-`, one of few.
    pub fn with_code(self, code: impl Into<String>) -> Self {
        Self { code: Some(code.into()), ..self }
    }
}

impl From<String> for Veto {
    fn from(reason: String) -> Self {
        Self::new(reason)
    }
}

impl From<&String> for Veto {
    fn from(reason: &String) -> Self {
        Self::new(reason)
    }
}

impl From<&str> for Veto {
    fn from(reason: &str) -> Self {
        Self::new(reason)
    }
}

impl Verdict {
    /// The service stays as it is.
    pub fn keep() -> Self {
        Decision::Keep.into()
    }

    /// This service takes its place.
    pub fn replace(service: Service) -> Self {
        Decision::Replace(service).into()
    }

    /// It must not be registered.
    pub fn veto(veto: impl Into<Veto>) -> Self {
        Decision::Veto(veto.into()).into()
    }

    /// The same with a note for people who ask why.
    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

impl From<Decision> for Verdict {
    fn from(decision: Decision) -> Self {
        Self { decision, notes: Vec::new() }
    }
}

impl Outcome {
    /// Keep every one of `count` services as it is.
    pub fn keep_all(count: usize) -> Self {
        Self { verdicts: vec![Verdict::keep(); count], added: Vec::new() }
    }

    /// Veto every one of `count` services for the same reason.
    pub fn veto_all(count: usize, veto: impl Into<Veto>) -> Self {
        Self { verdicts: vec![Verdict::veto(veto); count], added: Vec::new() }
    }

    /// Veto the services for which there is a reason, and keep the others.
    pub fn veto_if(services: &[Service], reason: impl FnMut(&Service) -> Option<String>) -> Self {
        let verdict = |reason: Option<String>| reason.map_or_else(Verdict::keep, Verdict::veto);
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
                Err(veto) => Verdict::veto(veto),
                Ok(()) if after == before => Verdict::keep(),
                Ok(()) => Verdict::replace(after),
            }
        })
    }

    /// Decide on each service by itself.
    pub fn each(services: Vec<Service>, decide: impl FnMut(Service) -> Verdict) -> Self {
        Self { verdicts: services.into_iter().map(decide).collect(), added: Vec::new() }
    }

    /// The same with a note for people at each verdict.
    pub fn noting(mut self, note: &str) -> Self {
        self.verdicts.iter_mut().for_each(|verdict| verdict.notes.push(note.into()));
        self
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

/// That a fact is not there by which a stage has to decide.
fn not_wanted(what: &str, fact: &str) -> String {
    format!("{what} is not known, or the stage's description does not say that it wants {fact}")
}

fn find<'a>(list: &'a [Attribute], key: &str) -> Option<&'a str> {
    list.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
}
