//! The allowance of a stage: its limits, grants and imports in each of its calls.

use std::sync::Arc;

use crate::stages::plugin::{Limits, grants::Grants, imports::Imports, kv::KvReader};

/// The allowance that all calls of a stage have in common.
pub(super) struct Allowance {
    pub(super) limits: Limits,
    pub(super) grants: Grants,
    pub(super) imports: Imports,
    /// There if the stage is granted a part of the KV store.
    pub(super) kv: Option<Arc<dyn KvReader>>,
    /// There if the stage imports HTTP and is granted it.
    pub(super) http: Option<reqwest::Client>,
}
