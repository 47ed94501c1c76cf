//! The facts that a template can name.

use std::fmt;

use crate::{Attribute, Container, Facts, Service, image::Image};

/// Define the facts that have a name of their own.
macro_rules! facts {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A fact of a service, its container or its host.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Fact {
            $($(#[doc = $doc])+ $variant,)+
            /// `label:KEY`: a label of the container.
            Label(String),
            /// `env:NAME`: a variable of the container's environment that the
            /// stage is granted.
            Env(String),
            /// `meta:KEY`: a value of the service's metadata.
            Meta(String),
            /// `flag:NAME`: a flag of the run by its long name.
            Flag(String),
        }

        /// All facts that have a name of their own.
        const NAMES: &[(&str, Fact)] = &[$(($name, Fact::$variant)),+];
    };
}

facts! {
    /// `name`: the service's name so far.
    Name = "name",
    /// `service-name`: what `SERVICE_NAME` says, as a label or a variable.
    ServiceName = "service-name",
    /// `port-name`: what `SERVICE_<port>_NAME` says for the container's port;
    /// the image's name if it is there and empty, as registrator has it.
    PortName = "port-name",
    /// `container`: the container's name.
    Container = "container",
    /// `hostname`: the host name inside the container.
    Hostname = "hostname",
    /// `host`: the host's name, with which service IDs begin.
    Host = "host",
    /// `address`: the service's address.
    Address = "address",
    /// `port`: the service's port.
    Port = "port",
    /// `container-port`: the port inside the container.
    ContainerPort = "container-port",
    /// `protocol`: `tcp`, `udp` or `sctp`.
    Protocol = "protocol",
    /// `image`: the image as it was given.
    Image = "image",
    /// `image.registry`: the image's registry, if it names one.
    ImageRegistry = "image.registry",
    /// `image.path`: the path in the registry, `shop/web`.
    ImagePath = "image.path",
    /// `image.folder`: the path without its last part, `shop`.
    ImageFolder = "image.folder",
    /// `image.name`: the last part of the path, `web`.
    ImageName = "image.name",
    /// `image.tag`: the image's tag.
    ImageTag = "image.tag",
    /// `compose.project`: the project of Compose.
    ComposeProject = "compose.project",
    /// `compose.service`: the service of Compose.
    ComposeService = "compose.service",
    /// `compose.number`: the number of the container in its Compose service.
    ComposeNumber = "compose.number",
    /// `swarm.stack`: the stack of Swarm.
    SwarmStack = "swarm.stack",
    /// `swarm.service`: the service of Swarm.
    SwarmService = "swarm.service",
    /// `swarm.task`: the name of the task of Swarm.
    SwarmTask = "swarm.task",
}

impl Fact {
    /// The fact of this name.
    ///
    /// # Errors
    ///
    /// There is no such fact.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some((_, fact)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(fact.clone());
        }
        match text.split_once(':') {
            Some((_, "")) => Err(format!("{text}: a key is needed after the colon")),
            Some(("label", key)) => Ok(Self::Label(key.into())),
            Some(("env", key)) => Ok(Self::Env(key.into())),
            Some(("meta", key)) => Ok(Self::Meta(key.into())),
            Some(("flag", key)) => Ok(Self::Flag(key.into())),
            _ => Err(format!(
                "there is no fact {text:?}; there are {}, label:KEY, env:NAME, meta:KEY and \
                 flag:NAME",
                NAMES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
            )),
        }
    }

    /// Whether the services of one container can differ in the fact.
    pub fn is_of_port(&self) -> bool {
        use Fact::{ContainerPort, Meta, Name, Port, PortName};
        matches!(self, Name | PortName | Port | ContainerPort | Meta(_))
    }

    /// Whether the container has the fact.
    pub fn is_known(&self, facts: Facts<'_>, service: &Service) -> bool {
        self.value(facts, service).is_some_and(|value| !value.trim().is_empty())
    }

    pub(super) fn value(&self, facts: Facts<'_>, service: &Service) -> Option<String> {
        let Facts { container, host, .. } = facts;
        let image = Image::parse(&container.image);
        let label = |key| container.label(key).map(String::from);
        Some(match self {
            Fact::Name => service.name.clone(),
            Fact::ServiceName => said(container, "SERVICE_NAME")?,
            Fact::PortName => {
                let said = said(container, &format!("SERVICE_{}_NAME", service.container_port()))?;
                if said.trim().is_empty() { image.name().into() } else { said }
            }
            Fact::Container => container.name.clone(),
            Fact::Hostname => container.hostname.clone(),
            Fact::Host => host.hostname.clone(),
            Fact::Address => service.address.clone(),
            Fact::Port => service.port.to_string(),
            Fact::ContainerPort => service.container_port().to_string(),
            Fact::Protocol => service.protocol.to_string(),
            Fact::Image => container.image.clone(),
            Fact::ImageRegistry => image.registry?.into(),
            Fact::ImagePath => image.path.into(),
            Fact::ImageFolder => image.folder()?.into(),
            Fact::ImageName => image.name().into(),
            Fact::ImageTag => image.tag?.into(),
            Fact::ComposeProject => label("com.docker.compose.project")?,
            Fact::ComposeService => label("com.docker.compose.service")?,
            Fact::ComposeNumber => label("com.docker.compose.container-number")?,
            Fact::SwarmStack => label("com.docker.stack.namespace")?,
            Fact::SwarmService => label("com.docker.swarm.service.name")?,
            Fact::SwarmTask => label("com.docker.swarm.task.name")?,
            Fact::Label(key) => label(key)?,
            Fact::Env(key) => container.env(key)?.into(),
            Fact::Meta(key) => service.meta(key)?.into(),
            Fact::Flag(key) => host.flag(key)?.into(),
        })
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::Label(key) => write!(f, "label:{key}"),
            Fact::Env(key) => write!(f, "env:{key}"),
            Fact::Meta(key) => write!(f, "meta:{key}"),
            Fact::Flag(key) => write!(f, "flag:{key}"),
            named => {
                let found = NAMES.iter().find(|(_, fact)| fact == named);
                f.write_str(found.map_or("", |(name, _)| name))
            }
        }
    }
}

/// What a container says under a key of registrator's: the last such label,
/// else the last such variable, as keys of any case after the prefix count.
fn said(container: &Container, key: &str) -> Option<String> {
    let is = |entry: &&Attribute| {
        entry.key.starts_with("SERVICE_") && entry.key.eq_ignore_ascii_case(key)
    };
    let mut all = container.env.iter().chain(&container.labels);
    all.rfind(is).map(|entry| entry.value.clone())
}
