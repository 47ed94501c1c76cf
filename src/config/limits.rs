//! The keys of `[limits]`, and those by which a stage has its own.

use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;

use super::StageConfig;
use crate::plugin::Limits;

/// What a stage may use unless it says otherwise, and what all stages share.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DefaultLimits {
    /// The time of one call.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// The memory of one call, all memories and tables together.
    pub memory: ByteSize,
    /// How many calls of components may run at once.
    pub concurrency: usize,
    /// The stack of a call.
    pub stack: ByteSize,
    /// The elements of all tables of one call together.
    pub table_elements: u32,
    /// Core instances, and tables, of a component.
    pub instances: u32,
    /// The services that one call may add.
    pub services: u32,
    /// The tags that one service may get.
    pub tags: u32,
    /// The bytes of an answer.
    pub output: ByteSize,
    /// The messages of one call.
    pub log_lines: u32,
    /// The messages of all calls in a second.
    pub log_rate: u32,
    /// The time of one request that a component makes.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
}

/// The limits of one stage beside its `timeout` and `memory`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[allow(missing_docs)] // They are those of `DefaultLimits`.
pub struct StageLimits {
    pub table_elements: Option<u32>,
    pub instances: Option<u32>,
    pub services: Option<u32>,
    pub tags: Option<u32>,
    pub output: Option<ByteSize>,
    pub log_lines: Option<u32>,
    pub log_rate: Option<u32>,
    #[serde(with = "humantime_serde")]
    pub request_timeout: Option<Duration>,
}

impl Default for DefaultLimits {
    fn default() -> Self {
        let Limits {
            timeout,
            memory,
            table_elements,
            instances,
            services,
            tags,
            output,
            log_lines,
            log_rate,
            request_timeout,
        } = Limits::DEFAULT;
        Self {
            timeout,
            memory,
            concurrency: 8,
            stack: Limits::DEFAULT_STACK,
            table_elements,
            instances,
            services,
            tags,
            output,
            log_lines,
            log_rate,
            request_timeout,
        }
    }
}

impl DefaultLimits {
    /// What a stage may use in one call.
    pub(super) fn of(&self, stage: &StageConfig) -> Limits {
        let own = &stage.limits;
        Limits {
            timeout: stage.timeout.unwrap_or(self.timeout),
            memory: stage.memory.unwrap_or(self.memory),
            table_elements: own.table_elements.unwrap_or(self.table_elements),
            instances: own.instances.unwrap_or(self.instances),
            services: own.services.unwrap_or(self.services),
            tags: own.tags.unwrap_or(self.tags),
            output: own.output.unwrap_or(self.output),
            log_lines: own.log_lines.unwrap_or(self.log_lines),
            log_rate: own.log_rate.unwrap_or(self.log_rate),
            request_timeout: own.request_timeout.unwrap_or(self.request_timeout),
        }
    }

    /// What holds for a stage that says nothing.
    fn limits(&self) -> Limits {
        let Self { timeout, memory, table_elements, instances, services, tags, .. } = *self;
        let Self { output, log_lines, log_rate, request_timeout, .. } = *self;
        Limits {
            timeout,
            memory,
            table_elements,
            instances,
            services,
            tags,
            output,
            log_lines,
            log_rate,
            request_timeout,
        }
    }

    /// What is wrong with these limits: the key, and a sentence.
    pub(super) fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = self.limits().faults();
        if !(1..=256).contains(&self.concurrency) {
            faults.push(("concurrency", format!("{} is not between 1 and 256", self.concurrency)));
        }
        faults.extend(Limits::stack_fault(self.stack).map(|fault| ("stack", fault)));
        faults
    }

    /// What is wrong with the limits that a stage has of its own.
    pub(super) fn faults_of(&self, stage: &StageConfig) -> Vec<String> {
        // What it has not of its own is reported once, in its place.
        let inherited = self.limits().faults();
        let own = self.of(stage).faults().into_iter().filter(|fault| !inherited.contains(fault));
        own.map(|(key, text)| {
            let place = if matches!(key, "timeout" | "memory") { "" } else { "limits." };
            format!("{place}{key}: {text}")
        })
        .collect()
    }
}
