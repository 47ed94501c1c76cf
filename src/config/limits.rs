//! The keys of `[limits]`: what a container may ask for, what a stage may use, and
//! those by which a stage has its own.

use std::{ops::RangeInclusive, time::Duration};

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::StageConfig;
use crate::{
    pipeline::{Bounds, every_bound},
    stages::plugin::{Limits, Written, every_limit, outside},
};

/// The bounds of the calls at once.
const CONCURRENCY: RangeInclusive<usize> = 1..=256;
/// A number of something, or of bytes.
trait Amount: Written + PartialOrd {
    fn of(number: usize) -> Self;
    fn number(&self) -> usize;
}

impl Amount for usize {
    fn of(number: usize) -> Self {
        number
    }

    fn number(&self) -> usize {
        *self
    }
}

impl Amount for ByteSize {
    fn of(number: usize) -> Self {
        Self::b(number as u64)
    }

    fn number(&self) -> usize {
        usize::try_from(self.as_u64()).unwrap_or(usize::MAX)
    }
}

macro_rules! tables {
    (
        $($(#[$doc:meta])* $own:ident: $own_type:ty $(where $own_with:literal)?, $own_key:literal,
            $own_default:expr, $own_bounds:ident;)*
        => limits
        $($(#[$more_doc:meta])* $more:ident: $more_type:ty $(where $with:literal)?, $key:literal,
            $default:expr, $bounds:ident;)*
        => bounds
        $($(#[$bound_doc:meta])* $bound:ident: $bound_type:ty, $bound_key:literal,
            $bound_default:expr, $least:expr, $most:expr;)*
    ) => {
        /// What a stage may use unless it says otherwise, and what all stages share.
        #[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        pub struct DefaultLimits {
            $($(#[$doc])* $(#[serde(with = $own_with)])? pub $own: $own_type,)*
            $($(#[$more_doc])* $(#[serde(with = $with)])? pub $more: $more_type,)*
            /// How many calls of components may run at once.
            pub concurrency: usize,
            /// The stack of a call.
            pub stack: ByteSize,
            $($(#[$bound_doc])* pub $bound: $bound_type,)*
        }

        /// The limits of one stage beside its `timeout` and `memory`.
        #[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        pub struct StageLimits {
            $($(#[$more_doc])* $(#[serde(with = $with)])? pub $more: Option<$more_type>,)*
        }

        /// The schemas of both, of fields that say what they are measured in.
        #[cfg(test)]
        pub(in crate::config) mod shape {
            use super::*;
            use crate::config::schema::Measured;

            #[derive(Serialize, schemars::JsonSchema)]
            #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
            pub(in crate::config) struct DefaultShape {
                $($(#[$doc])* $own: Measured<$own_type>,)*
                $($(#[$more_doc])* $more: Measured<$more_type>,)*
                /// How many calls of components may run at once.
                concurrency: Measured<usize>,
                /// The stack of a call.
                stack: Measured<ByteSize>,
                $($(#[$bound_doc])* $bound: Measured<$bound_type>,)*
            }

            impl Default for DefaultShape {
                fn default() -> Self {
                    let all = DefaultLimits::default();
                    Self {
                        $($own: Measured(all.$own),)*
                        $($more: Measured(all.$more),)*
                        concurrency: Measured(all.concurrency),
                        stack: Measured(all.stack),
                        $($bound: Measured(all.$bound),)*
                    }
                }
            }

            #[derive(Default, Serialize, schemars::JsonSchema)]
            #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
            pub(in crate::config) struct StageShape {
                $($(#[$more_doc])* $more: Option<Measured<$more_type>>,)*
            }
        }

        impl Default for DefaultLimits {
            fn default() -> Self {
                Self {
                    $($own: Limits::DEFAULT.$own,)*
                    $($more: Limits::DEFAULT.$more,)*
                    concurrency: 8,
                    stack: Limits::DEFAULT_STACK,
                    $($bound: Amount::of(Bounds::DEFAULT.$bound),)*
                }
            }
        }

        impl DefaultLimits {
            /// What a stage may use in one call.
            pub(super) fn of(&self, stage: &StageConfig) -> Limits {
                Limits {
                    $($own: stage.$own.unwrap_or(self.$own),)*
                    $($more: stage.limits.$more.unwrap_or(self.$more),)*
                }
            }

            /// What holds for a stage that says nothing.
            fn limits(&self) -> Limits {
                Limits { $($own: self.$own,)* $($more: self.$more,)* }
            }

            /// What containers may ask for, if they may have so many services and tags.
            fn bounds_with(&self, services: usize, tags: usize) -> Bounds {
                Bounds { services, tags, $($bound: self.$bound.number(),)* }
            }

            /// What is out of its bounds of what containers may ask for.
            fn faults_of_bounds(&self) -> Vec<(&'static str, String)> {
                let of = |key, fault: Option<String>| Some((key, fault?));
                [$(of(
                    $bound_key,
                    outside(&self.$bound, &(Amount::of($least)..=Amount::of($most))),
                ),)*]
                .into_iter()
                .flatten()
                .collect()
            }

            /// The key, what holds where nothing is said, the least and the most.
            #[cfg(test)]
            fn rows_of_bounds() -> Vec<[String; 4]> {
                let written = |number: &dyn Written| number.written();
                vec![$([
                    $bound_key.to_string(),
                    written(&<$bound_type as Amount>::of($bound_default)),
                    written(&<$bound_type as Amount>::of($least)),
                    written(&<$bound_type as Amount>::of($most)),
                ]),*]
            }

            /// The keys that a stage has in its own table and not in `limits`.
            const OWN: &[&str] = &[$($own_key),*];
        }
    };
}
macro_rules! with_bounds {
    ($($limits:tt)*) => {
        every_bound!(tables $($limits)*);
    };
}
every_limit!(with_bounds);

impl DefaultLimits {
    /// What containers may ask for. What a stage may give a service by limits of its own, a
    /// service may have.
    pub(super) fn bounds(&self, stages: &[StageConfig]) -> Bounds {
        let most = |default: u32, own: fn(&StageLimits) -> Option<u32>| {
            let own = stages.iter().filter_map(|stage| own(&stage.limits)).max();
            usize::try_from(own.unwrap_or_default().max(default)).unwrap_or(usize::MAX)
        };
        self.bounds_with(most(self.services, |own| own.services), most(self.tags, |own| own.tags))
    }

    /// What is wrong with these limits: the key, and a sentence.
    pub(super) fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = self.limits().faults();
        faults.extend(outside(&self.concurrency, &CONCURRENCY).map(|fault| ("concurrency", fault)));
        faults.extend(Limits::stack_fault(self.stack).map(|fault| ("stack", fault)));
        faults.extend(self.faults_of_bounds());
        faults
    }

    /// What is wrong with the limits that a stage has of its own.
    pub(super) fn faults_of(&self, stage: &StageConfig) -> Vec<String> {
        // What it has not of its own is reported once, in its place.
        let inherited = self.limits().faults();
        let own = self.of(stage).faults().into_iter().filter(|fault| !inherited.contains(fault));
        own.map(|(key, text)| {
            let place = if Self::OWN.contains(&key) { "" } else { "limits." };
            format!("{place}{key}: {text}")
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::{
        config::Config,
        model::{container::Container, host::Host, service::Service},
        pipeline::{
            Called, Decision, Pipeline, Stage, Verdict,
            tests::{container, host},
        },
    };

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

    /// A stage that adds so many services, each with so many tags.
    struct Adds(usize, usize);

    #[async_trait::async_trait]
    impl Stage for Adds {
        fn name(&self) -> &str {
            "adds"
        }

        async fn process(&self, _: &Container, _: &Host, services: &[Service]) -> Called {
            let like = &services[0];
            let tags: Vec<_> = (0..self.1).map(|n| n.to_string()).collect();
            let add = |n| Service { id: format!("added-{n}"), tags: tags.clone(), ..like.clone() };
            let verdicts = vec![Verdict::Veto("no".into()); services.len()];
            let added = (0..self.0).map(add).collect();
            Called {
                result: Ok(Decision { verdicts, added, remarks: Vec::new() }),
                messages: Vec::new(),
            }
        }
    }

    /// Whatever the file may say holds: no rule has a smaller number of its own.
    #[tokio::test]
    async fn the_most_that_the_file_may_say_is_what_a_stage_may_do() {
        let (services, tags) = (*Limits::SERVICES.end(), *Limits::TAGS.end());
        let text = format!(
            "[limits]\nservices = {services}\ntags = {tags}\nbytes = \"1GiB\"\n\
             all-bytes = \"1GiB\"\n[[pipeline]]\nname = \"a\"\nbuiltin = \"registrator\"\n"
        );
        let bounds = parse(&text).expect("the file is right").bounds();
        let (services, tags) = (services as usize, tags as usize);
        for (more_services, more_tags, fault) in [
            (services, 1, None),
            (1, tags, None),
            (services + 1, 1, Some("limits.services")),
            (1, tags + 1, Some("limits.tags")),
        ] {
            let stage: Arc<dyn Stage> = Arc::new(Adds(more_services, more_tags));
            let pipeline = Pipeline::new(vec![stage]).bounded(bounds);
            let outcome = pipeline.evaluate(&container(), &host()).await;
            match (outcome, fault) {
                (Ok(outcome), None) => assert_eq!(outcome.services.len(), more_services),
                (Err(error), Some(key)) => {
                    let words = error.source.to_string();
                    assert!(words.contains(key), "{words}");
                }
                (outcome, fault) => panic!("{more_services} {more_tags}: {fault:?} {outcome:?}"),
            }
        }
    }

    #[test]
    fn the_documents_say_what_containers_may_ask_for() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/containers.md");
        let page = std::fs::read_to_string(page).expect("it is there");
        let rows = DefaultLimits::rows_of_bounds();
        assert_eq!(rows.len(), 5, "{rows:?}");
        for row in rows {
            let [key, default, least, most] = row.map(|cell| cell.replace(".0 ", ""));
            let expected = format!("| `{key}` | {default} | {least} | {most} |");
            assert!(page.contains(&expected), "{expected}");
        }
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
