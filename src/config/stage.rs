//! A stage's table in the configuration file.

use std::{path::PathBuf, time::Duration};

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::{Grant, StageLimits};
use crate::{
    error::error_chain,
    pipeline::{Mode, OnError},
    select::Selector,
};

/// A stage of the pipeline.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StageConfig {
    /// The name in logs and traces, unique in the pipeline.
    pub name: String,
    /// The name of a stage that is linked into the daemon.
    #[serde(default)]
    pub builtin: Option<String>,
    /// The file of a component, relative to the configuration file.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// What the stage is told; it validates it itself.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "serde_json::Map<String, serde_json::Value>"))]
    pub settings: toml::Table,
    /// The time of one call.
    #[serde(default, with = "humantime_serde")]
    #[cfg_attr(test, schemars(with = "Option<String>", extend("x-unit" = "time")))]
    pub timeout: Option<Duration>,
    /// The memory of one call.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<crate::config::schema::Size>"))]
    pub memory: Option<ByteSize>,
    /// What else one call may use.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "super::limits::shape::StageShape"))]
    pub limits: StageLimits,
    /// What the stage may see and ask for.
    #[serde(default)]
    pub grant: Grant,
    /// Whether its word counts: `enforce` unless it says `monitor`.
    #[serde(default)]
    pub mode: Mode,
    /// What becomes of a container that it fails on: `hold` unless it says
    /// `skip` or `veto`.
    #[serde(default)]
    pub on_error: OnError,
    /// Which containers it is for; all if none.
    #[serde(default)]
    pub select: Option<String>,
    /// Whether it may only keep and veto; false unless it is set.
    #[serde(default)]
    pub validate_only: bool,
}

impl StageConfig {
    /// The stage that mimics registrator, as it is without a file.
    pub fn registrator() -> Self {
        Self {
            name: "registrator".into(),
            builtin: Some("registrator".into()),
            file: None,
            settings: toml::Table::new(),
            timeout: None,
            memory: None,
            limits: StageLimits::default(),
            grant: Grant::default(),
            mode: Mode::Enforce,
            on_error: OnError::Hold,
            validate_only: false,
            select: None,
        }
    }

    /// What makes no sense in this table, a text each. The name is judged where
    /// all stages are known.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        match (&self.builtin, &self.file) {
            (Some(_), None) | (None, Some(_)) => {}
            _ => faults.push("it needs either builtin or file".into()),
        }
        // What a host runs is on its disk before it is named: a registry that is away is no reason
        // for a daemon not to start.
        if let Some(place) = self.file.as_ref().and_then(|file| file.to_str())
            && let Some((scheme, _)) = place.split_once("://")
        {
            faults.push(format!(
                "file: {scheme}:// is for a policy, of which `wharfinger policy build` makes a \
                 bundle; here it is a file, and `wharfinger plugin pull` fetches one"
            ));
        }
        faults.extend(self.grant.faults());
        faults.extend(self.selector().err());
        faults
    }

    /// Which containers it is for, ready to match.
    ///
    /// # Errors
    ///
    /// The expression is wrong; the words say how.
    pub fn selector(&self) -> Result<Option<Selector>, String> {
        let selector = self.select.as_deref().map(Selector::parse).transpose();
        selector.map_err(|error| format!("select: {}", error_chain(&error)))
    }
}
