//! The keys of `[limits]`: what a container may ask for, what a stage may use, and
//! those by which a stage has its own.

use std::{fmt::Display, ops::RangeInclusive, time::Duration};

use bytesize::ByteSize;
use serde::Deserialize;

use super::StageConfig;
use crate::{pipeline::Bounds, plugin::Limits};

/// The bounds of the keys by which a container is limited.
const PORTS: RangeInclusive<usize> = 1..=65_535;
const CHECKS: RangeInclusive<usize> = 1..=1_000;
const BYTES: RangeInclusive<ByteSize> = ByteSize::kib(64)..=ByteSize::gib(1);
const ALL_SERVICES: RangeInclusive<usize> = 1..=1_000_000;
const ALL_BYTES: RangeInclusive<ByteSize> = ByteSize::mib(1)..=ByteSize::gib(16);

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
    /// The services that one call may add, and that one container may have.
    pub services: u32,
    /// The tags that one service may get.
    pub tags: u32,
    /// The ports that one container may offer.
    pub ports: usize,
    /// The checks that one service may have.
    pub checks: usize,
    /// The bytes of one container's labels and variables, and of its services.
    pub bytes: ByteSize,
    /// The services of all containers.
    pub all_services: usize,
    /// The bytes of the services of all containers.
    pub all_bytes: ByteSize,
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
            ports: Bounds::DEFAULT.ports,
            checks: Bounds::DEFAULT.checks,
            bytes: ByteSize::b(Bounds::DEFAULT.bytes as u64),
            all_services: Bounds::DEFAULT.all_services,
            all_bytes: ByteSize::b(Bounds::DEFAULT.all_bytes as u64),
        }
    }
}

impl DefaultLimits {
    /// What containers may ask for. What a stage may give a service by limits of its own, a
    /// service may have.
    pub(super) fn bounds(&self, stages: &[StageConfig]) -> Bounds {
        let most = |default: u32, own: fn(&StageLimits) -> Option<u32>| {
            let own = stages.iter().filter_map(|stage| own(&stage.limits)).max();
            usize::try_from(own.unwrap_or_default().max(default)).unwrap_or(usize::MAX)
        };
        let bytes = |size: ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
        Bounds {
            ports: self.ports,
            services: most(self.services, |own| own.services),
            checks: self.checks,
            tags: most(self.tags, |own| own.tags),
            bytes: bytes(self.bytes),
            all_services: self.all_services,
            all_bytes: bytes(self.all_bytes),
        }
    }

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
        let of_containers = [
            ("ports", outside(&self.ports, &PORTS)),
            ("checks", outside(&self.checks, &CHECKS)),
            ("bytes", outside(&self.bytes, &BYTES)),
            ("all-services", outside(&self.all_services, &ALL_SERVICES)),
            ("all-bytes", outside(&self.all_bytes, &ALL_BYTES)),
        ];
        faults.extend(of_containers.into_iter().filter_map(|(key, fault)| Some((key, fault?))));
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

fn outside<T: PartialOrd + Display>(value: &T, bounds: &RangeInclusive<T>) -> Option<String> {
    let (least, most) = (bounds.start(), bounds.end());
    (!bounds.contains(value)).then(|| format!("{value} is not between {least} and {most}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("wharfinger.toml"), Path::new(""))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_stage_may_give_a_service_may_have() {
        assert_eq!(Config::default().bounds(), Bounds::DEFAULT);
        let text = "[limits]\ntags = 7\nservices = 9\nports = 5\nbytes = \"1MiB\"\n\
            [[pipeline]]\nname = \"a\"\nfile = \"a.wasm\"\nlimits = { tags = 8, services = 3 }\n";
        let bounds = parse(text).expect("the file is right").bounds();
        let expected = Bounds { ports: 5, services: 9, tags: 8, bytes: 1 << 20, ..Bounds::DEFAULT };
        assert_eq!(bounds, expected);
    }

    #[test]
    fn a_bound_that_makes_no_sense_is_named_with_its_bounds() {
        for (line, part) in [
            ("ports = 0", "limits.ports: 0 is not between 1 and 65535"),
            ("checks = 1001", "limits.checks: 1001 is not between 1 and 1000"),
            ("bytes = \"1KiB\"", "limits.bytes: 1.0 KiB is not between 64.0 KiB and 1.0 GiB"),
            ("all-services = 0", "limits.all-services: 0 is not between 1 and 1000000"),
            ("all-bytes = \"1KiB\"", "limits.all-bytes: 1.0 KiB is not between 1.0 MiB"),
        ] {
            let fault = parse(&format!("[limits]\n{line}\n")).expect_err(line);
            assert!(fault.contains(part), "{line}: {fault}");
        }
    }
}
