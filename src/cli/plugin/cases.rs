//! The cases of a plugin: a folder each, with a container, what the stage is told
//! and what is expected of it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytesize::ByteSize;
use serde::Deserialize;
use serde_json::Value;

use super::{
    compare::{self, Difference},
    failure::Failure,
    input::{self, HostArgs},
    project::Project,
    trial::{self, Start, Trial},
    workbench::{Unusable, Workbench},
};
use crate::{
    config::Grant,
    model::host::{Agent, Engine, Host},
    pipeline::Stage,
    stages::plugin::LoadError,
    tables,
};

/// The folder of the cases within a project.
pub(super) const FOLDER: &str = "cases";
const CONTAINER: &str = "container.json";
const EXPECTED: &str = "expected.json";

/// A case.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) name: String,
    folder: PathBuf,
    /// The settings of all cases, for one that has none of its own.
    common: Option<Value>,
}

/// What `case.toml` says.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Conditions {
    settings: Option<toml::Table>,
    start: Start,
    /// Whether the stage's own result has to stay as it is when the stage is handed it.
    settles: Settles,
    host: HostArgs,
    grant: Grant,
    agent: Option<AgentConditions>,
    engine: Option<EngineConditions>,
}

/// Whether a stage has to be content with what it has made; it has, unless a case says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(transparent)]
struct Settles(bool);

impl Default for Settles {
    fn default() -> Self {
        Self(true)
    }
}

/// The agent that a stage is shown that wants it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct AgentConditions {
    node: String,
    datacenter: String,
    version: String,
    node_meta: BTreeMap<String, String>,
}

/// The container engine that it is shown.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct EngineConditions {
    kind: String,
    version: String,
}

impl Conditions {
    /// The host of the case.
    fn host(&self) -> Host {
        let agent = self.agent.clone();
        let engine = self.engine.clone();
        Host {
            agent: agent.map(|AgentConditions { node, datacenter, version, node_meta }| Agent {
                node,
                datacenter,
                version,
                node_meta,
            }),
            engine: engine.map(|EngineConditions { kind, version }| Engine { kind, version }),
            ..self.host.host()
        }
    }
}

/// How a case went.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) name: String,
    pub(super) verdict: Verdict,
    /// The time of the call; none if there was no call.
    pub(super) time: Option<Duration>,
    /// The most memory of the call.
    pub(super) memory: ByteSize,
}

/// Whether a case is as expected.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    Passed,
    /// What is expected was written anew.
    Updated,
    /// Something is otherwise.
    Differs(Vec<Difference>),
    /// The stage changes its own work when it is asked again, a sentence for each change.
    Unsettled(Vec<String>),
    /// Nothing is expected yet.
    Unrecorded,
    /// It cannot be tried.
    Broken(String),
}

impl Verdict {
    /// Whether the plugin is as it should be.
    pub(super) fn is_good(&self) -> bool {
        matches!(self, Verdict::Passed | Verdict::Updated)
    }
}

impl Case {
    /// The cases of a project, sorted by their names.
    pub(super) fn all(project: &Project) -> Result<Vec<Self>, Failure> {
        let folder = project.folder.join(FOLDER);
        let unreadable = |error| Failure::new(format!("cannot read {}: {error}", folder.display()));
        let common = common(&project.folder)?;
        if !folder.is_dir() {
            return Err(none(&folder));
        }
        let mut cases = Vec::new();
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let folder = entry.map_err(unreadable)?.path();
            let Some(name) = folder.file_name().and_then(|name| name.to_str()) else { continue };
            if folder.is_dir() && !name.starts_with('.') {
                let name = name.to_string();
                cases.push(Self { name, folder, common: common.clone() });
            }
        }
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        if cases.is_empty() { Err(none(&folder)) } else { Ok(cases) }
    }

    /// Hand the case's container to the component, and hold the outcome against
    /// what is expected; or, with `update`, expect it from now on.
    pub(super) async fn run(&self, bench: &Workbench, component: &Path, update: bool) -> Tried {
        let (mut time, mut memory) = (None, ByteSize(0));
        let verdict = match self.outcome(bench, component, &mut time, &mut memory).await {
            Ok((found, unsettled)) => self.judge(&found, update).map(|verdict| {
                // What is not even as expected is said first.
                let settled = unsettled.is_empty() || !verdict.is_good();
                if settled { verdict } else { Verdict::Unsettled(unsettled) }
            }),
            Err(failure) => Err(failure),
        };
        let verdict = verdict.unwrap_or_else(|failure| Verdict::Broken(failure.message));
        Tried { name: self.name.clone(), verdict, time, memory }
    }

    async fn outcome(
        &self,
        bench: &Workbench,
        component: &Path,
        time: &mut Option<Duration>,
        memory: &mut ByteSize,
    ) -> Result<(Value, Vec<String>), Failure> {
        let conditions = self.conditions()?;
        let container = conditions.host.container(&self.folder.join(CONTAINER))?;
        let settings = self.settings(&conditions)?;
        let stage = match bench.load(component, &settings, &conditions.grant).await {
            Ok(stage) => stage,
            // That settings are refused can be what a case is about.
            Err(Unusable::Component(LoadError::Settings { faults, .. })) => {
                let error = format!("refuses its settings: {}", faults.join("; "));
                return Ok((trial::error_record(&error), Vec::new()));
            }
            Err(unusable) => return Err(unusable.into()),
        };
        let called = Arc::clone(&stage) as Arc<dyn Stage>;
        let host = conditions.host();
        let trial = Trial::of(called, &container, &host, conditions.start).await?;
        let stats = stage.stats();
        *time = (stats.calls > 0).then_some(stats.time.max);
        *memory = stats.peak_memory;
        let record = trial.record();
        let unsettled = if conditions.settles.0 { trial.unsettled } else { Vec::new() };
        Ok((record, unsettled))
    }

    fn conditions(&self) -> Result<Conditions, Failure> {
        let file = self.folder.join("case.toml");
        if !file.exists() {
            return Ok(Conditions::default());
        }
        tables::read(&input::read(&file)?)
            .map_err(|fault| Failure::new(format!("{}: {fault}", file.display())))
    }

    fn settings(&self, conditions: &Conditions) -> Result<String, Failure> {
        let own = conditions.settings.as_ref().map(serde_json::to_string).transpose();
        let own = own.map_err(|error| Failure::new(format!("case {}: {error}", self.name)))?;
        let common = || self.common.as_ref().map_or("{}".into(), Value::to_string);
        Ok(own.unwrap_or_else(common))
    }

    fn judge(&self, found: &Value, update: bool) -> Result<Verdict, Failure> {
        let file = self.folder.join(EXPECTED);
        let expected = match file.exists() {
            true => Some(input::read(&file)?),
            false => None,
        };
        if update {
            let text = format!("{found:#}\n");
            if expected.as_deref() == Some(&text) {
                return Ok(Verdict::Passed);
            }
            let written = fs::write(&file, text);
            let failed = |error| Failure::new(format!("cannot write {}: {error}", file.display()));
            return written.map(|()| Verdict::Updated).map_err(failed);
        }
        let Some(expected) = expected else { return Ok(Verdict::Unrecorded) };
        let expected = input::parse(&file, &expected).map_err(Failure::new)?;
        let differences = compare::differences(&expected, found);
        let same = differences.is_empty();
        Ok(if same { Verdict::Passed } else { Verdict::Differs(differences) })
    }
}

/// The settings of the cases that have none of their own.
fn common(project: &Path) -> Result<Option<Value>, Failure> {
    let file = project.join("settings.toml");
    if !file.exists() {
        return Ok(None);
    }
    input::parse(&file, &input::read(&file)?).map(Some).map_err(Failure::new)
}

fn none(folder: &Path) -> Failure {
    Failure::new(format!("there are no cases in {}", folder.display())).hint(format!(
        "make one: mkdir -p {0}/first && docker inspect CONTAINER >{0}/first/{CONTAINER} && \
         wharfinger plugin test --update",
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A case in a folder of its own that lives as long as the first value.
    fn case(files: &[(&str, &str)]) -> (tempfile::TempDir, Case) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in files {
            fs::write(folder.path().join(name), content).expect("a file");
        }
        let common = Some(json!({ "label": "all" }));
        let case = Case { name: "a".into(), folder: folder.path().into(), common };
        (folder, case)
    }

    #[test]
    fn settings_are_the_cases_else_those_of_all() {
        let (_folder, plain) = case(&[]);
        let conditions = plain.conditions().expect("defaults");
        assert_eq!(conditions.start, Start::Registrator);
        assert_eq!(plain.settings(&conditions).expect("settings"), r#"{"label":"all"}"#);

        let (_folder, own) = case(&[(
            "case.toml",
            "start = 'candidates'\nsettings = { label = 'own' }\n[host]\nhostname = 'h'\n\
             [grant]\nclock = true\n[agent]\nnode = 'n'\nnode-meta = { rack = 'r7' }\n\
             [engine]\nkind = 'podman'\n",
        )]);
        let conditions = own.conditions().expect("it is right");
        assert_eq!(own.settings(&conditions).expect("settings"), r#"{"label":"own"}"#);
        assert!(conditions.grant.clock && conditions.start == Start::Candidates);
        let host = conditions.host();
        assert_eq!(host.hostname, "h");
        let agent = host.agent.expect("an agent");
        assert_eq!((agent.node.as_str(), agent.node_meta["rack"].as_str()), ("n", "r7"));
        assert_eq!(host.engine.map(|engine| engine.kind).as_deref(), Some("podman"));

        let (_folder, wrong) = case(&[("case.toml", "setings = {}\n")]);
        let failure = wrong.conditions().expect_err("the key is misspelt");
        assert!(failure.message.contains("case.toml") && failure.message.contains("setings"));
    }

    #[test]
    fn an_outcome_is_held_against_the_expected_one_and_update_writes_it() {
        let found = json!({ "services": [], "vetoes": [] });
        let (folder, case) = case(&[]);
        let judge = |update| case.judge(&found, update).expect("a verdict");
        assert_eq!(judge(false), Verdict::Unrecorded);
        assert_eq!(judge(true), Verdict::Updated);
        let text = fs::read_to_string(folder.path().join(EXPECTED)).expect("it was written");
        assert_eq!(text, "{\n  \"services\": [],\n  \"vetoes\": []\n}\n");
        assert_eq!((judge(true), judge(false)), (Verdict::Passed, Verdict::Passed));
        fs::write(folder.path().join(EXPECTED), r#"{"services": [], "vetoes": [], "error": "x"}"#)
            .expect("a file");
        let Verdict::Differs(differences) = judge(false) else { panic!("it differs") };
        assert_eq!(differences[0].path, "error");
        fs::write(folder.path().join(EXPECTED), "{").expect("a file");
        assert!(case.judge(&found, false).is_err());
    }
}
