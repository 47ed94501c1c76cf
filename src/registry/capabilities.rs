//! The capabilities of a registry beyond noting which services there are: it states them itself,
//! and nobody guesses them from a URI.

/// The capabilities of a registry beyond registering, deregistering and being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The marks of the daemon that it keeps, by which a service is known again after a restart.
    pub marks: Marks,
    /// Services can be put into maintenance.
    pub maintenance: bool,
    /// Services have health checks, and reports to them are taken.
    pub checks: bool,
    /// A lookup by ID tells more than a read of everything does, or at less cost.
    pub lookups: bool,
    /// It may lose everything at once, as a Consul agent does that is started again without
    /// its data. Such a registry is watched.
    pub may_forget: bool,
    /// [`Registry::neighbours`](super::Registry::neighbours) tells of other daemons.
    pub neighbours: bool,
    /// There is a store of keys and values beside it, of which a stage can be granted a part.
    pub key_values: bool,
}

/// The marks of a service that a registry keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Marks {
    /// Nothing: a daemon knows only what it has registered itself since its start.
    Nothing,
    /// Whose host's a service is, and not which container's.
    Host,
    /// All, in the service's metadata.
    Metadata,
}

impl Capabilities {
    /// Those of a registry that can do nothing else.
    pub const LEAST: Self = Self {
        marks: Marks::Nothing,
        maintenance: false,
        checks: false,
        lookups: false,
        may_forget: false,
        neighbours: false,
        key_values: false,
    };
}
