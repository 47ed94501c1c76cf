//! A host's standing towards its policy: the bundles in force and refused, and why it
//! waits. A value without I/O; the policy's follower changes it, and others watch it.

use serde::{Deserialize, Serialize};

use super::{Digest, rollout::Waits};

/// A bundle that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// Its digest.
    pub digest: Digest,
    /// The policy's name.
    pub name: String,
    /// The number of its version.
    pub sequence: u64,
    /// The name of the key that signed it.
    pub key: String,
}

/// A bundle that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its digest, as it was asked for.
    pub digest: Digest,
    /// Why, as one line.
    pub reason: String,
}

/// A host's standing towards its policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The bundle that is in force.
    pub in_force: Option<InForce>,
    /// The bundle that is asked for and was refused; gone when another one is asked for.
    pub refused: Option<Refused>,
    /// The reason why the wanted bundle is not taken yet.
    pub waits: Option<Waits>,
    /// Whether its stages are monitored only, by a rollout's first pass.
    pub monitored: bool,
    /// Where the host looks for its policy, as its configuration says.
    pub source: Option<String>,
    /// The error that keeps the source from being read, as one line.
    pub source_failing: Option<String>,
}
