//! A container's way through the stages, one after the other.
//!
//! Stages may have threads of their own. From the first one on that has to be called there, the rest of the
//! run goes on there, with copies of what it is about, instead of a change of threads and back for each call.
//! A run whose answers are all remembered stays where it is.

use std::{sync::Arc, time::Instant};

use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::{
    Called, Outcome, Pipeline, PipelineError, Shown, StageError, Step, Trace,
    digest::{Digest, Facts, services_digest},
    failed, hush,
    judge::{Judge, Judged},
    memory::{self, Answer},
    outcome::Then,
};
use crate::model::{container::Container, host::Host, timed::Timer};

/// A container on its way through the pipeline.
struct Run {
    facts: Facts,
    shown: Shown,
    /// For each step, whether it is part of it.
    takes_part: Arc<[bool]>,
    /// The step that is next.
    next: usize,
    /// Set if the next step is for this container and does not remember the answer: the key
    /// by which it will, if it may.
    pending: Option<Option<Digest>>,
    /// The digest of the services so far, if it is known.
    services: Option<Digest>,
    outcome: Outcome,
}

/// Where a run has got to.
enum Reached {
    End(Outcome),
    /// The next step's calls are made there.
    Threads(Handle, Box<Run>),
}

impl Pipeline {
    /// Run services through those stages that `takes_part` names.
    pub(super) async fn run(
        &self,
        container: &Container,
        host: &Host,
        outcome: Outcome,
        takes_part: impl Fn(&Step) -> bool,
    ) -> Result<Outcome, PipelineError> {
        let takes_part = self.steps.iter().map(takes_part).collect();
        let facts = Facts::of(container, host);
        let shown = Shown::default();
        let run = Run { facts, shown, takes_part, next: 0, pending: None, services: None, outcome };
        let (threads, run) = match self.go_on(container, host, run, false).await? {
            Reached::End(outcome) => return Ok(outcome),
            Reached::Threads(threads, run) => (threads, *run),
        };
        let stage = self.steps[run.next].name();
        let there = {
            let (pipeline, container, host) = (self.clone(), container.clone(), host.clone());
            threads.spawn(async move { pipeline.go_on(&container, &host, run, true).await })
        };
        let ended =
            |error: String| failed(stage, container, StageError::Host(error), Outcome::default());
        match AbortOnDropHandle::new(there).await {
            Ok(Ok(Reached::End(outcome))) => Ok(outcome),
            Ok(Ok(Reached::Threads(..))) => Err(ended("its threads have changed".into())),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(ended(error.to_string())),
        }
    }

    /// Take the steps that are left, or those that do not have to be taken elsewhere. A run that is
    /// told to stay leaves it to the stages to change threads.
    async fn go_on(
        &self,
        container: &Container,
        host: &Host,
        mut run: Run,
        stay: bool,
    ) -> Result<Reached, PipelineError> {
        let mut hush = hush::Hush::of(container);
        while let Some(step) = self.steps.get(run.next) {
            if !run.takes_part[run.next] {
                run.next += 1;
                continue;
            }
            let mut trace = Trace::of(step);
            let timer = Timer::start();
            let (services, bounds) = (&run.outcome.services, &self.bounds);
            let judge = Judge { step, container, host, services, bounds };
            let selected = match run.pending.is_some() {
                true => Ok(true),
                false => step.selects(container).await,
            };
            let answer = match selected {
                Ok(true) => {
                    let (key, known) = match run.pending.take() {
                        Some(key) => (key, None),
                        None => self.remembered(&judge, &run.facts, &mut run.services),
                    };
                    match known {
                        Some(known) => {
                            trace.timing.remembered = true;
                            self.recall(&judge, key, known, &mut trace)
                        }
                        None => {
                            if let Some(threads) = elsewhere(step).filter(|_| !stay) {
                                run.pending = Some(key);
                                return Ok(Reached::Threads(threads, Box::new(run)));
                            }
                            self.ask(&judge, &run.shown, key, &mut trace).await
                        }
                    }
                }
                Ok(false) => {
                    trace.skipped = true;
                    run.outcome.trace.push(trace);
                    run.next += 1;
                    continue;
                }
                Err(error) => Err(error),
            };
            trace.timing.timed = Some(timer.stop());
            hush.messages(&mut trace.messages);
            let answer = hush.answer(answer);
            match &answer {
                Err(error) => step.record().failed(step.name(), &container.id, error),
                // What is as it was has the digest that it had.
                Ok(judged) if judged.changes.is_empty() => {}
                Ok(_) => run.services = None,
            }
            match run.outcome.take(step, trace, answer) {
                Ok(Then::GoOn) => {}
                Ok(Then::End) => break,
                Err(source) => return Err(failed(step.name(), container, source, run.outcome)),
            }
            run.next += 1;
        }
        Ok(Reached::End(run.outcome))
    }

    /// The key by which the stage's answer is remembered, if it is, and the answer.
    fn remembered(
        &self,
        judge: &Judge<'_>,
        facts: &Facts,
        services: &mut Option<Digest>,
    ) -> (Option<Digest>, Option<Answer>) {
        let Some((memory, fingerprint)) = self.memory.as_ref().zip(judge.step.fingerprint()) else {
            return (None, None);
        };
        let services = services.get_or_insert_with(|| services_digest(judge.services));
        let key = facts.key(fingerprint, judge.step.stage().wants(), services);
        (Some(key), memory.get(&key, judge.services))
    }

    /// Ask a stage about the services so far.
    async fn ask(
        &self,
        judge: &Judge<'_>,
        shown: &Shown,
        key: Option<Digest>,
        trace: &mut Trace,
    ) -> Result<Judged, StageError> {
        let Judge { step, container, host, services, .. } = *judge;
        let began = Instant::now();
        let Called { result, messages } =
            step.stage().process_in_run(container, host, services, shown).await;
        let decided = result.as_ref().ok().filter(|_| key.is_some());
        let mode = step.rules().mode;
        let packed = decided.map(|decision| memory::pack(services, decision, &messages, mode));
        trace.messages = messages;
        let answer = result.and_then(|decision| judge.judge(decision));
        step.record().called(began.elapsed(), key.is_some());
        let judged = answer?;
        step.record().answered(step, &container.id, judged.said());
        if let (Some(memory), Some(key), Some(packed)) = (&self.memory, key, packed) {
            memory.put(key, packed);
        }
        Ok(judged)
    }

    /// Judge a stage's remembered answer on the same.
    fn recall(
        &self,
        judge: &Judge<'_>,
        key: Option<Digest>,
        known: Answer,
        trace: &mut Trace,
    ) -> Result<Judged, StageError> {
        let (step, counted) = (judge.step, judge.step.rules().mode);
        let judged = judge.judge(known.decision.clone())?;
        step.record().remembered(step.name(), &judge.container.id);
        // What it only would have done before it does now, or the other way round.
        if let (Some(memory), Some(key)) = (&self.memory, key.filter(|_| known.counted != counted))
        {
            step.record().counted_anew(step, judged.said());
            memory
                .put(key, memory::pack(judge.services, &known.decision, &known.messages, counted));
        }
        trace.messages = known.messages;
        Ok(judged)
    }
}

/// The threads on which a stage's calls are made, if they are others than this one.
fn elsewhere(step: &Step) -> Option<Handle> {
    let threads = step.stage().threads()?;
    let here = Handle::try_current().is_ok_and(|here| here.id() == threads.id());
    (!here).then(|| threads.clone())
}
