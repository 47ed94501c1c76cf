//! The limits of a stage in one call, their defaults, and the bounds within which
//! they make sense.

use std::{ops::RangeInclusive, time::Duration};

use bytesize::ByteSize;

use crate::pipeline::Bounds;

/// Hand the list of all limits of a call to a macro: first those that a stage has in its own
/// table, then those in its `limits`. Of each: what it bounds, its field, type and key, what it is
/// where nothing is said, and the constant with the bounds within which it makes sense.
///
/// It is the one place where they stand: the types here and in the configuration, the defaults,
/// the rules and what overrides what are made of it.
macro_rules! every_limit {
    ($then:ident) => {
        $then! {
            /// The time from the first instruction to the answer.
            timeout: Duration where "humantime_serde", "timeout", Duration::from_millis(200), TIMEOUT;
            /// All linear memories and tables of the instance together.
            memory: ByteSize, "memory", ByteSize::mib(64), MEMORY;
            => limits
            /// The elements of all tables together.
            table_elements: u32, "table-elements", 50_000, TABLE_ELEMENTS;
            /// Core instances, and tables, that the component is made of. One of Python
            /// has 38.
            instances: u32, "instances", 64, INSTANCES;
            /// The services that one call may add, and that one container may have.
            services: u32, "services", Bounds::DEFAULT.services as u32, SERVICES;
            /// The tags that one service may get.
            tags: u32, "tags", Bounds::DEFAULT.tags as u32, TAGS;
            /// What the host holds of an answer or of the arguments of a host call.
            output: ByteSize, "output", ByteSize::mib(1), OUTPUT;
            /// The messages that one call may write; the rest is counted and dropped.
            log_lines: u32, "log-lines", 100, LOG_LINES;
            /// The messages that all calls of the stage may write in a second.
            log_rate: u32, "log-rate", 1_000, LOG_RATE;
            /// The time of one HTTP request, or one look into Consul's KV store.
            request_timeout: Duration where "humantime_serde", "request-timeout", Duration::from_millis(100), REQUEST_TIMEOUT;
        }
    };
}
pub(crate) use every_limit;

macro_rules! limits_of_a_call {
    (
        $($(#[$doc:meta])* $own:ident: $own_type:ty $(where $own_with:literal)?, $own_key:literal,
            $own_default:expr, $own_bounds:ident;)*
        => limits
        $($(#[$more_doc:meta])* $more:ident: $more_type:ty $(where $with:literal)?, $key:literal,
            $default:expr, $bounds:ident;)*
    ) => {
        /// The limits of a stage in one call.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Limits {
            $($(#[$doc])* pub $own: $own_type,)*
            $($(#[$more_doc])* pub $more: $more_type,)*
        }

        impl Limits {
            /// The limits where none are configured.
            pub const DEFAULT: Self = Self { $($own: $own_default,)* $($more: $default,)* };

            /// Of each limit, the larger one.
            pub fn or_larger(self, other: Self) -> Self {
                Self {
                    $($own: self.$own.max(other.$own),)*
                    $($more: self.$more.max(other.$more),)*
                }
            }

            /// The limits that are out of their bounds: the key in the configuration, and a
            /// sentence with the least and the most.
            pub fn faults(&self) -> Vec<(&'static str, String)> {
                [
                    $(($own_key, outside(&self.$own, &Self::$own_bounds)),)*
                    $(($key, outside(&self.$more, &Self::$bounds)),)*
                ]
                .into_iter()
                .filter_map(|(key, fault)| Some((key, fault?)))
                .collect()
            }

            /// The key, what holds where nothing is said, the least and the most.
            #[cfg(test)]
            fn rows() -> Vec<[String; 4]> {
                let row = |key: &str, default: String, least: String, most: String| {
                    [key.to_string(), default, least, most]
                };
                vec![
                    $(row(
                        $own_key,
                        Self::DEFAULT.$own.written(),
                        Self::$own_bounds.start().written(),
                        Self::$own_bounds.end().written(),
                    ),)*
                    $(row(
                        $key,
                        Self::DEFAULT.$more.written(),
                        Self::$bounds.start().written(),
                        Self::$bounds.end().written(),
                    ),)*
                ]
            }
        }
    };
}
every_limit!(limits_of_a_call);

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The bounds within which a limit makes sense.
impl Limits {
    /// The shortest deadline is several ticks of the clock that enforces it.
    pub const TIMEOUT: RangeInclusive<Duration> =
        Duration::from_millis(10)..=Duration::from_secs(60);
    /// The need of a small guest's runtime, and the most that a guest can address.
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

    /// The fault of a size of the stack, if it has one.
    pub fn stack_fault(size: ByteSize) -> Option<String> {
        outside(&size, &Self::STACK)
    }
}

/// A value as it is written in the configuration.
pub(crate) trait Written {
    fn written(&self) -> String;
}

impl Written for Duration {
    fn written(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

macro_rules! written_as_shown {
    ($($type:ty),*) => {
        $(impl Written for $type {
            fn written(&self) -> String {
                self.to_string()
            }
        })*
    };
}
written_as_shown!(u32, usize, ByteSize);

/// The fault of a value that is outside of its bounds; none if it is within.
pub(crate) fn outside<T: Written + PartialOrd>(
    value: &T,
    bounds: &RangeInclusive<T>,
) -> Option<String> {
    (!bounds.contains(value)).then(|| {
        let (least, most) = (bounds.start().written(), bounds.end().written());
        format!("{} is not between {least} and {most}", value.written())
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
    fn the_documents_say_what_holds() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/policies.md");
        let page = std::fs::read_to_string(page).expect("it is there");
        let rows = Limits::rows();
        assert_eq!(rows.len(), 10, "{rows:?}");
        for row in rows {
            let [key, default, least, most] = row.map(|cell| cell.replace(".0 ", ""));
            let expected = format!("| `{key}` | {default} | {least} | {most} |");
            assert!(page.contains(&expected), "{expected}");
        }
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
