//! Takes a changed configuration over without a restart.
//!
//! The configuration file and the files of the plugins are looked at once a
//! second, through symbolic links, so that an editor's rename, `cp` and the
//! swap of links by which Kubernetes updates a ConfigMap are all seen; SIGHUP
//! asks for it at once. The new pipeline is loaded beside the one in force, and
//! takes its place only when all of it is right: a fault of any stage changes
//! nothing, and is said. So it is when it fails on containers of this host on which the
//! one in force does not: that is foretold before it counts. A stage that could not be loaded at the start, and so is not
//! part of what is in force, is tried again then, and now and then.
//!
//! Only the pipeline, its limits and the means to a policy can be taken over. Other differences are said
//! to need a restart.
//!
//! A bundle of a policy is taken over by the same steps ([`Take`]), with less indulgence: all of it
//! has to load, what it does has to be foretold, and the guard must not hold it. Somebody may ask what
//! would become of one ([`Ask`]); nothing comes into force by that.

mod differences;
mod foresee;
mod trial;
mod watched;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    signal::unix::Signal,
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::{
    config::Config,
    daemon::{hosting::Hosting, means::Means},
    error::error_chain,
    model::layer::Layer,
    pipeline::{Pipeline, Step},
    policy::{hosted::Hosted, layer::Layered, store::Store},
    reconcile::{Handle, Reloaded, TroubleKind},
    stages::loader::{BadConfig, Loaded, Stages, say_broken},
    telemetry::event,
};
use differences::say_differences;
pub use foresee::{Ask, Foreseen};
use trial::{Trial, Untried};
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

/// The pipeline in force, and the means of replacing it.
pub struct Reload {
    /// The configuration file.
    pub path: PathBuf,
    /// The folder for compiled code that a flag names, whatever the file says.
    pub cache_dir: Option<PathBuf>,
    /// The configuration at the start; for all but the pipeline it still counts.
    pub config: Config,
    /// The policy above it.
    pub hosting: Hosting,
    /// The policies that are to be taken over; the sender is gone where there is none.
    pub takes: mpsc::Receiver<Take>,
    /// The policies of which somebody asks what they would do.
    pub asks: mpsc::Receiver<Ask>,
    /// The means to the policy, if there is to be one, and whether there is a store of keys.
    pub means: Option<(watch::Sender<Arc<Means>>, bool)>,
    /// The pipeline of that.
    pub pipeline: Pipeline,
    /// The loader of its stages.
    pub stages: Stages,
    /// The files as they were before they were read.
    pub watched: Watched,
    /// The loop, which takes the new pipeline.
    pub handle: Handle,
}

/// A policy that is to be taken over.
pub struct Take {
    /// The bundle, which was verified and may follow what is in force.
    pub hosted: Arc<Hosted>,
    /// Where its components can be had from again.
    pub store: Store,
    /// It is only tried out.
    pub trial: bool,
    /// Keeps it for the next start, when all of it is right and before it comes into force. If that
    /// fails nothing comes into force.
    pub keep: Box<dyn FnOnce() -> Result<(), String> + Send>,
    /// Takes the outcome: the reason if it was refused.
    pub answer: oneshot::Sender<Result<(), String>>,
}

/// Take changed configurations over until `stop`; without a file there is
/// nothing to take over, and SIGHUP says so.
pub async fn run(reload: Option<Reload>, mut hangup: Signal, stop: CancellationToken) {
    match reload {
        Some(reload) => reload.run(hangup, stop).await,
        None => loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(()) = hangup.recv() => {
                    info!(
                        event = event::CONFIG_UNCHANGED,
                        "SIGHUP: there is no configuration file to read again"
                    );
                }
            }
        },
    }
}

impl Reload {
    async fn run(mut self, mut hangup: Signal, stop: CancellationToken) {
        let started = self.config.clone();
        let mut clock = interval(PERIOD);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pause = FIRST_PAUSE;
        let mut again = Instant::now() + pause;
        let work = async {
            self.say_overruled(&[], &self.hosting.over(&self.config).overruled);
            loop {
                let asked = tokio::select! {
                    _ = clock.tick() => false,
                    Some(()) = hangup.recv() => true,
                    Some(ask) = self.asks.recv() => {
                        self.foresee(ask).await;
                        continue;
                    }
                    Some(take) = self.takes.recv() => {
                        let Take { hosted, store, trial, keep, answer } = take;
                        let became = self.take(hosted, store, trial, keep).await;
                        // Whoever asked may have gone; that does not matter.
                        let _ = answer.send(became);
                        continue;
                    }
                };
                if asked || self.watched.has_changed() {
                    self.come_to_rest().await;
                    self.reload(&started, true, asked).await;
                    pause = FIRST_PAUSE;
                } else if again <= Instant::now() && gaps(&self.pipeline).next().is_some() {
                    // It may not have been the file's fault.
                    self.reload(&started, false, false).await;
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

    async fn reload(&mut self, started: &Config, by_hand: bool, asked: bool) {
        let (became, refused) = match self.take_over(started, asked).await {
            Ok(became) => (became, None),
            Err(words) => (Reloaded::Refused, Some(words)),
        };
        // A loop that has ended counts nothing.
        let _ = self.handle.count_reload(became).await;
        let file = self.path.display().to_string();
        let words = refused.as_ref().map(|error| format!("{file} is not in force: {error}"));
        let whole = words.is_none();
        // A loop that has ended has no trouble.
        let news = self.handle.note_trouble(TroubleKind::Reload, words).await.unwrap_or_default();
        // An operator who has changed something is answered; that it still fails by itself is no news.
        if let Some(reason) = refused.filter(|_| by_hand || news) {
            error!(
                event = event::NOT_RELOADED,
                file, reason, "not reloaded; what was in force stays so"
            );
        }
        if whole && news {
            info!(
                event = event::CONFIG_WHOLE,
                file, "the configuration file is whole again, and in force"
            );
        }
    }

    /// Read the configuration and, if it is another one and all of it is right, use it.
    async fn take_over(&mut self, started: &Config, asked: bool) -> Result<Reloaded, String> {
        // Their state is noted before they are read: what changes meanwhile is
        // seen at the next look.
        let mut watched = Watched::default();
        watched.add(&self.path);
        let mut config = match Config::read(&self.path) {
            Ok(config) => config,
            Err(error) => {
                self.watched.take_over(watched);
                return Err(error_chain(&error));
            }
        };
        config.cache = config.cache.or_flag(self.cache_dir.as_deref());
        let (hosting, former) = (self.hosting.clone(), self.hosting.over(&self.config));
        let layered = hosting.over(&config);
        watched.add_plugins(&layered.config);
        self.watched = watched;
        let file = self.path.display().to_string();
        let means = self.means_of(&config).map_err(|error| format!("{error:#}"))?;
        let loaded = self.load(&layered).await.map_err(|error| format!("{error:#}"))?;
        let Loaded { pipeline, broken } = loaded;
        self.note_restart(started, &config).await;
        self.say_overruled(&former.overruled, &layered.overruled);
        if self.is_same(&former.config, &layered.config, &pipeline) {
            self.config = config;
            self.move_to(means);
            if asked {
                info!(
                    event = event::CONFIG_UNCHANGED,
                    file, "read again; the pipeline is the same"
                );
            } else {
                debug!(file, "a file was written; the pipeline is the same");
            }
            return Ok(Reloaded::Unchanged);
        }
        let pipeline = pipeline.succeeding(&self.pipeline);
        if let Err(Untried::Worse(words)) = self.try_out(&pipeline, false).await {
            return Err(words);
        }
        say_broken(&pipeline, &broken);
        self.config = config;
        self.move_to(means);
        self.enforce(pipeline).await;
        info!(event = event::RELOADED, file, "reloaded; the new pipeline is in force");
        Ok(Reloaded::Ok)
    }

    /// The means to the policy by another file, if it still names one. The files with keys are read again.
    fn means_of(&self, config: &Config) -> anyhow::Result<Option<Means>> {
        match &self.means {
            Some((_, kv)) => Means::of(config, *kv),
            None => Ok(None),
        }
    }

    /// Fetch the policy by these means from now on.
    fn move_to(&self, means: Option<Means>) {
        let Some((sender, means)) = self.means.as_ref().zip(means) else { return };
        sender.0.send_if_modified(|now| {
            let other = **now != means;
            if other {
                *now = Arc::new(means);
            }
            other
        });
    }

    /// The pipeline of a policy above the host's file, as it may be taken over.
    async fn loaded(&mut self, hosting: &Hosting, layered: &Layered) -> Result<Loaded, String> {
        let loaded = hosting.load(&mut self.stages, layered).await;
        let Loaded { pipeline, broken } = loaded.map_err(|error| format!("{error:#}"))?;
        // A fault in a stage of the host's own keeps no policy from it.
        let of_bundle = |stage: &str| layered.stages.get(stage) == Some(&Layer::Bundle);
        let ours = broken.iter().filter(|fault| of_bundle(&fault.stage));
        let ours: Vec<_> = ours.map(ToString::to_string).collect();
        match ours.is_empty() {
            true => {
                let pipeline = pipeline.succeeding(&self.pipeline);
                Ok(Loaded { pipeline, broken })
            }
            false => Err(ours.join("; ")),
        }
    }

    /// Whether a pipeline is as good as the one in force, as far as it can be told.
    async fn try_out(&self, pipeline: &Pipeline, policy: bool) -> Result<(), Untried> {
        let trial = Trial::of(&self.handle, pipeline, policy).await?;
        trial.judged(policy, self.config.guard.failing)
    }

    /// Take a policy over, or only try it out.
    async fn take(
        &mut self,
        hosted: Arc<Hosted>,
        store: Store,
        trial: bool,
        keep: Box<dyn FnOnce() -> Result<(), String> + Send>,
    ) -> Result<(), String> {
        // It is not in the store yet.
        let hosting = Hosting::Below(hosted.clone(), None);
        let former = self.hosting.over(&self.config).overruled;
        let layered = hosting.over(&self.config);
        let Loaded { pipeline, broken } = self.loaded(&hosting, &layered).await?;
        self.try_out(&pipeline, true).await.map_err(|error| error.to_string())?;
        if trial {
            return Ok(());
        }
        tokio::task::spawn_blocking(keep).await.map_err(|error| error.to_string())??;
        say_broken(&pipeline, &broken);
        self.say_overruled(&former, &layered.overruled);
        // As the files are from now on; those of the former policy may go.
        let mut watched = Watched::default();
        watched.add(&self.path);
        watched.add_plugins(&layered.config);
        self.watched = watched;
        self.hosting = Hosting::Below(hosted, Some(store));
        self.enforce(pipeline).await;
        Ok(())
    }

    /// Use another pipeline from now on.
    async fn enforce(&mut self, pipeline: Pipeline) {
        say_differences(&self.pipeline, &pipeline);
        self.pipeline = pipeline.clone();
        // A loop that has ended needs no pipeline.
        drop(self.handle.replace_pipeline(pipeline).await);
    }

    /// Say what of the host's file does not hold below its policy, unless it was said.
    fn say_overruled(&self, former: &[String], overruled: &[String]) {
        if overruled.is_empty() || former == overruled {
            return;
        }
        let (file, reason) = (self.path.display().to_string(), overruled.join("; "));
        warn!(
            event = event::POLICY_OVERRULES,
            file, reason, "the policy stands above a part of the host's file, which does not count"
        );
    }

    /// Say what differs from the start and cannot be taken over.
    async fn note_restart(&self, started: &Config, new: &Config) {
        let keys = restart_keys(started, new);
        let words = (!keys.is_empty())
            .then(|| format!("{keys}: changed in the file, and needs a restart to take effect"));
        let news = self.handle.note_trouble(TroubleKind::Restart, words).await;
        if news.unwrap_or_default() && !keys.is_empty() {
            let file = self.path.display().to_string();
            warn!(
                event = event::RESTART_NEEDED,
                file,
                keys,
                "{keys}: changed in the configuration file, and needs a restart to take effect"
            );
        }
    }

    /// The pipeline of a configuration, of which all must be right but what is wrong
    /// already with the one in force.
    async fn load(&mut self, layered: &Layered) -> anyhow::Result<Loaded> {
        let loaded = self.hosting.load(&mut self.stages, layered).await?;
        let known = |stage: &str| gaps(&self.pipeline).any(|step| step.name() == stage);
        let new: Vec<_> = loaded.broken.iter().filter(|fault| !known(&fault.stage)).collect();
        if new.is_empty() {
            return Ok(loaded);
        }
        let all: Vec<_> = loaded.broken.iter().map(ToString::to_string).collect();
        Err(BadConfig(anyhow::anyhow!("{}", all.join("; "))).into())
    }

    fn is_same(&self, former: &Config, config: &Config, pipeline: &Pipeline) -> bool {
        let made = |pipeline: &Pipeline| -> Vec<_> {
            let of = |step: &Step| (step.made().cloned(), step.unloaded().map(String::from));
            pipeline.steps().iter().map(of).collect()
        };
        former.pipeline == config.pipeline
            && former.limits == config.limits
            && former.containers == config.containers
            && former.address == config.address
            && made(&self.pipeline) == made(pipeline)
    }
}

/// The keys that differ from the start and cannot be taken over.
fn restart_keys(started: &Config, new: &Config) -> String {
    let keys = [
        ("registry", started.registry != new.registry),
        ("compat", started.compat != new.compat),
        ("lifecycle", started.lifecycle != new.lifecycle),
        ("guard", started.guard != new.guard),
        ("host", started.host != new.host),
        ("registrator", started.registrator != new.registrator),
        ("daemon", started.daemon != new.daemon),
        ("listen", started.listen != new.listen),
        ("fleet", started.fleet != new.fleet),
        ("decisions", started.decisions != new.decisions),
        ("telemetry", started.telemetry != new.telemetry),
        ("policy", started.policy.source.is_some() != new.policy.source.is_some()),
        ("policy.store", started.policy.store != new.policy.store),
        ("policy.required", started.policy.required != new.policy.required),
    ];
    let keys = keys.into_iter().filter_map(|(key, differs)| differs.then_some(key));
    keys.collect::<Vec<_>>().join(", ")
}

/// The stages of a pipeline that could not be loaded.
fn gaps(pipeline: &Pipeline) -> impl Iterator<Item = &Step> {
    pipeline.steps().iter().filter(|step| step.unloaded().is_some())
}
