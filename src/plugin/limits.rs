//! What a stage may use in one call: the limits, what they are where nothing
//! is said, and the bounds within which they make sense.

use std::{fmt, ops::RangeInclusive, time::Duration};

use bytesize::ByteSize;

/// What a stage may use in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The time from the first instruction to the answer.
    pub timeout: Duration,
    /// All linear memories and tables of the instance together.
    pub memory: ByteSize,
    /// The elements of all tables together.
    pub table_elements: u32,
    /// Core instances, and tables, that the component is made of. One of Python
    /// has 38.
    pub instances: u32,
    /// The services that one call may add.
    pub services: u32,
    /// The tags that one service may get.
    pub tags: u32,
    /// What the host holds of an answer or of the arguments of a host call.
    pub output: ByteSize,
    /// The messages that one call may write; the rest is counted and dropped.
    pub log_lines: u32,
    /// The messages that all calls of the stage may write in a second.
    pub log_rate: u32,
    /// The time of one HTTP request, or one look into Consul's KV store.
    pub request_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The bounds within which a limit makes sense.
impl Limits {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self {
        timeout: Duration::from_millis(200),
        memory: ByteSize::mib(64),
        table_elements: 50_000,
        instances: 64,
        services: 1_000,
        tags: 256,
        output: ByteSize::mib(1),
        log_lines: 100,
        log_rate: 1_000,
        request_timeout: Duration::from_millis(100),
    };

    /// The shortest deadline is several ticks of the clock that enforces it.
    pub const TIMEOUT: RangeInclusive<Duration> =
        Duration::from_millis(10)..=Duration::from_secs(60);
    /// What the runtime of a small guest needs, and the most that a guest can
    /// address.
    pub const MEMORY: RangeInclusive<ByteSize> = ByteSize::mib(1)..=ByteSize::gib(4);
    /// The largest known table, of a Python interpreter, has 12,000 elements.
    pub const TABLE_ELEMENTS: RangeInclusive<u32> = 16..=1_000_000;
    /// The smallest component that was made by a toolchain has three.
    pub const INSTANCES: RangeInclusive<u32> = 3..=100;
    /// More than a container has ports.
    pub const SERVICES: RangeInclusive<u32> = 1..=10_000;
    /// The bounds of [`Limits::tags`].
    pub const TAGS: RangeInclusive<u32> = 1..=10_000;
    /// The least holds one service with some metadata.
    pub const OUTPUT: RangeInclusive<ByteSize> = ByteSize::kib(16)..=ByteSize::mib(64);
    /// The bounds of [`Limits::log_lines`].
    pub const LOG_LINES: RangeInclusive<u32> = 1..=10_000;
    /// The bounds of [`Limits::log_rate`].
    pub const LOG_RATE: RangeInclusive<u32> = 1..=100_000;
    /// The bounds of [`Limits::request_timeout`].
    pub const REQUEST_TIMEOUT: RangeInclusive<Duration> =
        Duration::from_millis(1)..=Duration::from_secs(60);
    /// The bounds of the stack, which all stages have in common. Above, the
    /// stacks of 256 calls at once would not fit into the address space of a
    /// small machine.
    pub const STACK: RangeInclusive<ByteSize> = ByteSize::kib(64)..=ByteSize::mib(8);
    /// The stack where nothing is said.
    pub const DEFAULT_STACK: ByteSize = ByteSize::kib(512);

    /// Of each limit, the larger one.
    pub fn or_larger(self, other: Self) -> Self {
        Self {
            timeout: self.timeout.max(other.timeout),
            memory: self.memory.max(other.memory),
            table_elements: self.table_elements.max(other.table_elements),
            instances: self.instances.max(other.instances),
            services: self.services.max(other.services),
            tags: self.tags.max(other.tags),
            output: self.output.max(other.output),
            log_lines: self.log_lines.max(other.log_lines),
            log_rate: self.log_rate.max(other.log_rate),
            request_timeout: self.request_timeout.max(other.request_timeout),
        }
    }

    /// What is out of its bounds: the key in the configuration, and a sentence
    /// with the least and the most.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let time = |value: &Duration| humantime::format_duration(*value).to_string();
        [
            ("timeout", outside(&self.timeout, &Self::TIMEOUT, time)),
            ("memory", outside(&self.memory, &Self::MEMORY, ByteSize::to_string)),
            ("table-elements", number(self.table_elements, &Self::TABLE_ELEMENTS)),
            ("instances", number(self.instances, &Self::INSTANCES)),
            ("services", number(self.services, &Self::SERVICES)),
            ("tags", number(self.tags, &Self::TAGS)),
            ("output", outside(&self.output, &Self::OUTPUT, ByteSize::to_string)),
            ("log-lines", number(self.log_lines, &Self::LOG_LINES)),
            ("log-rate", number(self.log_rate, &Self::LOG_RATE)),
            ("request-timeout", outside(&self.request_timeout, &Self::REQUEST_TIMEOUT, time)),
        ]
        .into_iter()
        .filter_map(|(key, fault)| Some((key, fault?)))
        .collect()
    }

    /// What is wrong with a size of the stack.
    pub fn stack_fault(size: ByteSize) -> Option<String> {
        outside(&size, &Self::STACK, ByteSize::to_string)
    }
}

fn number(value: u32, bounds: &RangeInclusive<u32>) -> Option<String> {
    outside(&value, bounds, u32::to_string)
}

fn outside<T: PartialOrd, S: fmt::Display>(
    value: &T,
    bounds: &RangeInclusive<T>,
    shown: impl Fn(&T) -> S,
) -> Option<String> {
    (!bounds.contains(value)).then(|| {
        let (least, most) = (shown(bounds.start()), shown(bounds.end()));
        format!("{} is not between {least} and {most}", shown(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_bounds() {
        assert_eq!(Limits::DEFAULT.faults(), []);
        assert_eq!(Limits::stack_fault(Limits::DEFAULT_STACK), None);
    }

    #[test]
    fn a_limit_outside_is_named_with_its_bounds() {
        let zero = Limits {
            timeout: Duration::ZERO,
            memory: ByteSize::b(0),
            table_elements: 0,
            instances: 0,
            services: 0,
            tags: 0,
            output: ByteSize::b(0),
            log_lines: 0,
            log_rate: 0,
            request_timeout: Duration::ZERO,
        };
        let faults: Vec<_> =
            zero.faults().into_iter().map(|(key, fault)| format!("{key}: {fault}")).collect();
        assert_eq!(
            faults,
            [
                "timeout: 0s is not between 10ms and 1m",
                "memory: 0 B is not between 1.0 MiB and 4.0 GiB",
                "table-elements: 0 is not between 16 and 1000000",
                "instances: 0 is not between 3 and 100",
                "services: 0 is not between 1 and 10000",
                "tags: 0 is not between 1 and 10000",
                "output: 0 B is not between 16.0 KiB and 64.0 MiB",
                "log-lines: 0 is not between 1 and 10000",
                "log-rate: 0 is not between 1 and 100000",
                "request-timeout: 0s is not between 1ms and 1m",
            ]
        );
    }
}
