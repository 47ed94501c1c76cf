//! A stage of the contract's draft 0.2.0, made without the SDK. It tags every service with the
//! facts that the draft adds, and vetoes those of privileged containers with a code and notes. A
//! label `facts` makes it misbehave. The host's tests load it.

#[cfg(target_family = "wasm")]
mod component {
    #[allow(missing_docs, unreachable_pub)]
    mod bindings {
        wit_bindgen::generate!({ path: "../../wit/v0.2.0", world: "stage-component" });
    }

    use bindings::{
        exports::wharfinger::pipeline::stage::{
            Container, Description, Guest, HostFacts, Outcome, Service,
        },
        wharfinger::pipeline::{
            logging::{Level, log},
            types::{Decision, Verdict, Veto},
        },
    };

    struct Facts;

    bindings::export!(Facts with_types_in bindings);

    impl Guest for Facts {
        fn describe() -> Description {
            Description {
                name: "facts".into(),
                version: "0.1.0".into(),
                summary: "Tags every service with what the draft 0.2.0 adds.".into(),
                settings_schema: None,
                attributes: Vec::new(),
            }
        }

        fn validate_settings(settings: String) -> Result<(), Vec<String>> {
            if settings == "{}" { Ok(()) } else { Err(vec!["there are no settings".into()]) }
        }

        fn process(
            _settings: String,
            container: Container,
            host: HostFacts,
            services: Vec<Service>,
        ) -> Result<Outcome, String> {
            log(Level::Info, &container.name);
            misbehave(&container)?;
            let facts = facts(&container, &host);
            let verdict = |service: Service| match container.privileged {
                true => Verdict {
                    decision: Decision::Veto(Veto {
                        reason: "it is privileged".into(),
                        code: Some("privileged".into()),
                    }),
                    notes: vec![format!("{} may do anything to this host", service.id)],
                },
                false => {
                    let mut service = service;
                    service.tags.extend(facts.iter().cloned());
                    let notes = vec![format!("{} facts", facts.len())];
                    Verdict { decision: Decision::Replace(service), notes }
                }
            };
            let verdicts = services.into_iter().map(verdict).collect();
            Ok(Outcome { verdicts, added: Vec::new() })
        }
    }

    /// Each fact as a word. Those that are empty are left out.
    fn facts(container: &Container, host: &HostFacts) -> Vec<String> {
        let mut all = vec!["contract-0.2.0".to_string()];
        let mut fact = |name: &str, value: String| {
            if !value.is_empty() {
                all.push(format!("{name}={value}"));
            }
        };
        let number = |number: Option<u64>| number.map(|it| it.to_string()).unwrap_or_default();
        fact("user", container.user.clone());
        fact("cap-add", container.added_capabilities.join("+"));
        fact("cap-drop", container.dropped_capabilities.join("+"));
        fact("read-only", container.read_only_root.to_string());
        for mount in &container.mounts {
            let mode = if mount.writable { "rw" } else { "ro" };
            fact("mount", format!("{}:{}:{}:{mode}", mount.kind, mount.source, mount.target));
        }
        let policy = &container.restart_policy;
        fact("restart", format!("{}:{}", policy.name, policy.retries));
        fact("memory", number(container.limits.memory));
        fact("processors", number(container.limits.processors));
        fact("processes", number(container.limits.processes));
        if let Some(check) = &container.health_check {
            fact("health", check.test.join(" "));
            fact("health-interval", check.interval.clone().unwrap_or_default());
            fact("health-retries", number(check.retries.map(u64::from)));
        }
        match &container.image_facts {
            None => fact("image", "unknown".into()),
            Some(image) => {
                fact("image-digests", image.digests.len().to_string());
                for label in &image.labels {
                    fact("image-label", format!("{}:{}", label.key, label.value));
                }
            }
        }
        for network in &container.networks {
            fact("aliases", network.aliases.join("+"));
        }
        if let Some(agent) = &host.agent {
            fact("node", agent.node.clone());
            fact("datacenter", agent.datacenter.clone());
            fact("agent", agent.version.clone());
            for meta in &agent.node_meta {
                fact("node-meta", format!("{}:{}", meta.key, meta.value));
            }
        }
        if let Some(engine) = &host.engine {
            fact("engine", engine.kind.clone());
            fact("engine-version", engine.version.clone());
        }
        all
    }

    /// What a label asks for.
    fn misbehave(container: &Container) -> Result<(), String> {
        let how = container.labels.iter().find(|label| label.key == "facts");
        match how.map(|label| label.value.as_str()) {
            Some("error") => Err("a label asked for it".into()),
            Some("trap") => panic!("a label asked for it"),
            Some("loop") => loop {
                std::hint::black_box(());
            },
            Some("memory") => {
                let mut held: Vec<Vec<u8>> = Vec::new();
                loop {
                    held.push(vec![1; 1 << 20]);
                    std::hint::black_box(&held);
                }
            }
            _ => Ok(()),
        }
    }
}
