//! Takes a changed configuration over without a restart.
//!
//! The configuration file and the files of the plugins are looked at once a
//! second, through symbolic links, so that an editor's rename, `cp` and the
//! swap of links by which Kubernetes updates a ConfigMap are all seen; SIGHUP
//! asks for it at once. The new pipeline is loaded beside the one in force, and
//! takes its place only when all of it is right: a fault of any stage changes
//! nothing, and is said. A stage that could not be loaded at the start, and so is not
//! part of what is in force, is tried again then, and now and then.
//!
//! Only the pipeline and its limits can be taken over. What else differs is said
//! to need a restart.

mod watched;

use std::{path::PathBuf, time::Duration};

use tokio::{
    signal::unix::Signal,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::{
    app::{BadConfig, Loaded, Stages, say_broken},
    config::Config,
    pipeline::{Pipeline, Step},
};
pub use watched::Watched;

/// The time between two looks at the files.
const PERIOD: Duration = Duration::from_secs(1);
/// The pauses before stages that could not be loaded are tried again although no file
/// has changed: a busy machine at its start is no fault of a component.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Files must be at rest for this long: who writes several writes one after the
/// other.
const REST: Duration = Duration::from_millis(250);
/// Files that do not come to rest are read as they are.
const MAX_RESTLESS: u32 = 20;

/// What is in force, and how it is replaced.
pub struct Reload<F> {
    /// The configuration file.
    pub path: PathBuf,
    /// What it said at the start; for all but the pipeline it still counts.
    pub config: Config,
    /// The pipeline of that.
    pub pipeline: Pipeline,
    /// What loaded it.
    pub stages: Stages,
    /// The files as they were before they were read.
    pub watched: Watched,
    /// Takes the new pipeline.
    pub hand_over: F,
}

/// Take changed configurations over until `stop`; without a file there is
/// nothing to take over, and SIGHUP says so.
pub async fn run<F, D>(reload: Option<Reload<F>>, mut hangup: Signal, stop: CancellationToken)
where
    F: Fn(Pipeline) -> D + Send,
    D: Future<Output = ()> + Send,
{
    match reload {
        Some(reload) => reload.run(hangup, stop).await,
        None => loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(()) = hangup.recv() => {
                    info!("SIGHUP: there is no configuration file to read again");
                }
            }
        },
    }
}

impl<F, D> Reload<F>
where
    F: Fn(Pipeline) -> D + Send,
    D: Future<Output = ()> + Send,
{
    async fn run(mut self, mut hangup: Signal, stop: CancellationToken) {
        let started = self.config.clone();
        let mut clock = interval(PERIOD);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pause = FIRST_PAUSE;
        let mut again = Instant::now() + pause;
        let work = async {
            loop {
                let asked = tokio::select! {
                    _ = clock.tick() => false,
                    Some(()) = hangup.recv() => true,
                };
                if asked || self.watched.has_changed() {
                    self.come_to_rest().await;
                    self.reload(&started, asked).await;
                    pause = FIRST_PAUSE;
                } else if again <= Instant::now() && gaps(&self.pipeline).next().is_some() {
                    // It may not have been the file's fault.
                    self.reload(&started, false).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                } else {
                    continue;
                }
                again = Instant::now() + pause;
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    }

    async fn come_to_rest(&self) {
        let mut before = self.watched.now();
        for _ in 0..MAX_RESTLESS {
            sleep(REST).await;
            let now = self.watched.now();
            if now == before {
                return;
            }
            before = now;
        }
    }

    async fn reload(&mut self, started: &Config, asked: bool) {
        // Their state is noted before they are read: what changes meanwhile is
        // seen at the next look.
        let mut watched = Watched::default();
        watched.add(&self.path);
        let config = match Config::read(&self.path) {
            Ok(config) => config,
            Err(error) => {
                self.watched.take_over(watched);
                let file = self.path.display().to_string();
                let error = crate::error::error_chain(&error);
                return error!(file, error, "not reloaded; what was in force stays so");
            }
        };
        watched.add_plugins(&config);
        self.watched = watched;
        let file = self.path.display().to_string();
        let Loaded { pipeline, broken } = match self.load(&config).await {
            Ok(loaded) => loaded,
            Err(error) => {
                let error = format!("{error:#}");
                return error!(file, error, "not reloaded; what was in force stays so");
            }
        };
        warn_of_restart(started, &config);
        if self.is_same(&config, &pipeline) {
            if asked {
                info!(file, "read again; the pipeline is the same");
            } else {
                debug!(file, "a file was written; the pipeline is the same");
            }
            return;
        }
        say_broken(&pipeline, &broken);
        let pipeline = pipeline.succeeding(&self.pipeline);
        say_differences(&self.pipeline, &pipeline);
        (self.config, self.pipeline) = (config, pipeline.clone());
        (self.hand_over)(pipeline).await;
        info!(file, "reloaded; the new pipeline is in force");
    }

    /// The pipeline of a configuration, of which all must be right but what is wrong
    /// already with the one in force.
    async fn load(&mut self, config: &Config) -> anyhow::Result<Loaded> {
        let loaded = self.stages.load_with_gaps(config).await?;
        let known = |stage: &str| gaps(&self.pipeline).any(|step| step.name() == stage);
        let new: Vec<_> = loaded.broken.iter().filter(|fault| !known(&fault.stage)).collect();
        if new.is_empty() {
            return Ok(loaded);
        }
        let all: Vec<_> = loaded.broken.iter().map(ToString::to_string).collect();
        Err(BadConfig(anyhow::anyhow!("{}", all.join("; "))).into())
    }

    fn is_same(&self, config: &Config, pipeline: &Pipeline) -> bool {
        let made = |pipeline: &Pipeline| -> Vec<_> {
            let of = |step: &Step| (step.made().cloned(), step.unloaded().map(String::from));
            pipeline.steps().iter().map(of).collect()
        };
        self.config.pipeline == config.pipeline
            && self.config.limits == config.limits
            && self.config.containers == config.containers
            && self.config.address == config.address
            && made(&self.pipeline) == made(pipeline)
    }
}

/// Say what differs from the start and cannot be taken over.
fn warn_of_restart(started: &Config, new: &Config) {
    let keys: Vec<_> = [
        ("registry", started.registry != new.registry),
        ("compat", started.compat != new.compat),
        ("lifecycle", started.lifecycle != new.lifecycle),
        ("guard", started.guard != new.guard),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect();
    if !keys.is_empty() {
        let keys = keys.join(", ");
        warn!(keys, "changed in the configuration file, and needs a restart to take effect");
    }
}

/// Say of each stage what it was and what it is.
fn say_differences(old: &Pipeline, new: &Pipeline) {
    let find = |pipeline: &Pipeline, name: &str| -> Option<Step> {
        pipeline.steps().iter().find(|step| step.name() == name).cloned()
    };
    for step in new.steps() {
        let (stage, to) = (step.name(), version(step));
        let mode = step.rules().mode;
        match find(old, stage) {
            None => info!(stage, to, %mode, "a new stage"),
            Some(old) if is_same_step(&old, step) => {
                debug!(stage, version = to, %mode, "an unchanged stage");
            }
            Some(old) if old.unloaded().is_some() && step.unloaded().is_none() => {
                info!(stage, to, %mode, "the stage is whole again: it is loaded");
            }
            Some(old) => info!(stage, from = version(&old), to, %mode, "a changed stage"),
        }
    }
    for step in old.steps().iter().filter(|step| find(new, step.name()).is_none()) {
        info!(stage = step.name(), from = version(step), "a stage is gone");
    }
}

/// The stages of a pipeline that could not be loaded.
fn gaps(pipeline: &Pipeline) -> impl Iterator<Item = &Step> {
    pipeline.steps().iter().filter(|step| step.unloaded().is_some())
}

fn is_same_step(old: &Step, new: &Step) -> bool {
    let rules = |step: &Step| format!("{:?}", step.rules());
    old.made() == new.made() && old.unloaded() == new.unloaded() && rules(old) == rules(new)
}

/// The plugin with its version and its digest, for people.
fn version(step: &Step) -> String {
    step.made().map_or_else(String::new, |made| {
        format!("{} {} {}", made.plugin, made.version, made.short_digest())
    })
}
