//! What a check has found, as text, as JSON, and as cases of a test.

use std::{fmt::Write as _, path::Path};

use serde_json::{Value, json};

use super::junit::Case;
use crate::{
    pipeline::{Pipeline, Step},
    text::{self, counted},
};

/// The exit code of a configuration that cannot be used; the `EX_CONFIG` of sysexits(3).
const BAD_CONFIG: u8 = 78;

/// What a check has found.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The file, for people.
    pub(super) file: String,
    /// The stages that the file names.
    pub(super) stage_names: Vec<String>,
    /// Name, mode, plugin, version, digest and layer of each stage that could be loaded.
    stages: Vec<[String; 6]>,
    /// Why the daemon would refuse it.
    pub(super) faults: Vec<String>,
    /// What works and may not be meant.
    pub(super) warnings: Vec<String>,
    /// How many recorded containers were tried, if any were to be.
    pub(super) containers: Option<usize>,
    /// Their names.
    pub(super) names: Vec<String>,
    /// What they show to be wrong.
    pub(super) findings: Vec<Finding>,
}

/// One thing that recorded containers show to be wrong.
#[derive(Debug)]
pub(super) struct Finding {
    /// The container that it is about, if it is about one.
    pub(super) container: Option<String>,
    pub(super) words: String,
}

impl Finding {
    fn shown(&self) -> String {
        match &self.container {
            Some(name) => format!("{name}: {}", self.words),
            None => self.words.clone(),
        }
    }
}

impl Report {
    pub(super) fn of(file: Option<&Path>) -> Self {
        let file =
            file.unwrap_or("the command line and the defaults".as_ref()).display().to_string();
        Self { file, ..Self::default() }
    }

    /// Note what the stages are.
    pub(super) fn describe(&mut self, pipeline: &Pipeline) {
        let cells = |step: &Step| {
            let made = step.made().cloned().unwrap_or_default();
            let digest = if made.digest.is_empty() { "built-in".into() } else { made.digest };
            let mode = step.rules().mode.to_string();
            let layer = step.layer().map(|layer| layer.to_string()).unwrap_or_default();
            [step.name().into(), mode, made.plugin, made.version, digest, layer]
        };
        self.stages = pipeline.steps().iter().map(cells).collect();
    }

    pub(super) fn code(&self) -> u8 {
        match () {
            () if !self.faults.is_empty() => BAD_CONFIG,
            () => u8::from(!self.findings.is_empty()),
        }
    }

    /// A line for each stage, and what is wrong with recorded containers.
    pub(super) fn text(&self) -> String {
        let shown = |row: &[String; 6]| row.each_ref().map(|cell| text::shown(cell).into_owned());
        let rows: Vec<_> = self.stages.iter().map(shown).collect();
        let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2), width(3)];
        let mut printed = rows.iter().fold(String::new(), |mut text, row| {
            for (cell, width) in row.iter().zip(widths) {
                let _ = write!(text, "{cell:width$}  ");
            }
            let layer = Some(&row[5]).filter(|layer| !layer.is_empty());
            let layer = layer.map_or_else(String::new, |layer| format!("  {layer}"));
            text + &row[4] + &layer + "\n"
        });
        let Some(count) = self.containers else { return printed };
        let containers = counted(count, "recorded container", "recorded containers");
        let found = match self.findings.len() {
            0 => "nothing is wrong.".into(),
            n => counted(n, "finding", "findings"),
        };
        let _ = writeln!(printed, "\n{containers}: {found}");
        for finding in &self.findings {
            let _ = writeln!(printed, "  - {}", text::shown(&finding.shown()));
        }
        printed
    }

    /// All of it.
    pub(super) fn json(&self) -> Value {
        let stage = |[name, mode, plugin, version, digest, layer]: &[String; 6]| {
            let digest = Some(digest).filter(|digest| *digest != "built-in");
            let mut all = json!({
                "name": name, "mode": mode, "plugin": plugin, "version": version,
                "digest": digest,
            });
            if !layer.is_empty() {
                all["layer"] = json!(layer);
            }
            all
        };
        let finding = |one: &Finding| json!({ "container": one.container, "message": one.words });
        json!({
            "file": self.file,
            "usable": self.faults.is_empty(),
            "faults": self.faults,
            "warnings": self.warnings,
            "stages": self.stages.iter().map(stage).collect::<Vec<_>>(),
            "containers": self.containers,
            "findings": self.findings.iter().map(finding).collect::<Vec<_>>(),
        })
    }

    /// The same as cases of a test: the file, each stage, each recorded container, and all
    /// of these together.
    pub(super) fn cases(&self) -> Vec<Case> {
        let is_of = |fault: &str, stage: &str| {
            let name = format!("stage {stage:?}: ");
            fault.strip_prefix("pipeline ").unwrap_or(fault).starts_with(&name)
        };
        let stages = self.stage_names.iter().map(|stage| {
            let faults = self.faults.iter().filter(|fault| is_of(fault, stage)).cloned();
            Case::new("stages", stage, faults)
        });
        let others = self
            .faults
            .iter()
            .filter(|fault| !self.stage_names.iter().any(|stage| is_of(fault, stage)));
        let mut cases = vec![Case::new("configuration", &self.file, others.cloned())];
        cases.extend(stages);
        let found = |name: Option<&String>| {
            let found = self.findings.iter().filter(move |one| one.container.as_ref() == name);
            found.map(|one| one.words.clone()).collect::<Vec<_>>()
        };
        cases
            .extend(self.names.iter().map(|name| Case::new("containers", name, found(Some(name)))));
        if self.containers.is_some() {
            cases.push(Case::new("containers", "all of them together", found(None)));
        }
        cases
    }
}
