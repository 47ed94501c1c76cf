//! A stage of version 0.2.0 of the contract, made without the SDK. It wants all facts, tags every service with
//! those that this version has added, and vetoes those of privileged containers with a code and notes. A
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
            types::{
                Attribute, Decision, Facts as Wants, Locality, NamedPort, Proxy, Setup, Upstream,
                Verdict, Veto,
            },
        },
    };

    struct Facts;

    bindings::export!(Facts with_types_in bindings);

    impl Guest for Facts {
        fn describe() -> Description {
            Description {
                name: "facts".into(),
                version: "0.1.0".into(),
                summary: "Tags every service with what version 0.2.0 adds.".into(),
                settings_schema: None,
                wants: Wants::IMAGE | Wants::SETUP | Wants::AGENT | Wants::ENGINE,
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
            let setup = container.setup.as_ref().ok_or("it is not shown how it was set up")?;
            let facts = facts(&container, setup, &host);
            let verdict = |service: Service| match setup.privileged {
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
                    service.tags.extend(sees(&service));
                    fill(&mut service, &container);
                    let notes = vec![format!("{} facts", facts.len())];
                    Verdict { decision: Decision::Replace(service), notes }
                }
            };
            let verdicts = services.into_iter().map(verdict).collect();
            Ok(Outcome { verdicts, added: Vec::new() })
        }
    }

    /// Each fact as a word. Those that are empty are left out.
    fn facts(container: &Container, setup: &Setup, host: &HostFacts) -> Vec<String> {
        let mut all = vec!["contract-0.2.0".to_string()];
        let mut fact = |name: &str, value: String| {
            if !value.is_empty() {
                all.push(format!("{name}={value}"));
            }
        };
        let number = |number: Option<u64>| number.map(|it| it.to_string()).unwrap_or_default();
        fact("user", setup.user.clone());
        fact("cap-add", setup.added_capabilities.join("+"));
        fact("cap-drop", setup.dropped_capabilities.join("+"));
        fact("read-only", setup.read_only_root.to_string());
        for mount in &setup.mounts {
            let mode = if mount.writable { "rw" } else { "ro" };
            fact("mount", format!("{}:{}:{}:{mode}", mount.kind, mount.source, mount.target));
        }
        let policy = &setup.restart_policy;
        fact("restart", format!("{}:{}", policy.name, policy.retries));
        fact("memory", number(setup.limits.memory));
        fact("processors", number(setup.limits.processors));
        fact("processes", number(setup.limits.processes));
        if let Some(check) = &setup.health_check {
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

    /// The fields that a service has beyond the first version's, as a word.
    fn sees(service: &Service) -> Option<String> {
        let fields = [
            ("ports", !service.ports.is_empty()),
            ("locality", service.locality.is_some()),
            ("socket-path", service.socket_path.is_some()),
            ("kind", !service.kind.is_empty()),
            ("proxy", service.proxy.is_some()),
            ("connect-native", service.connect_native),
            ("definition", !service.definition.is_empty()),
        ];
        let given: Vec<_> = fields.iter().filter(|field| field.1).map(|field| field.0).collect();
        (!given.is_empty()).then(|| format!("sees={}", given.join("+")))
    }

    /// Give a service the fields that a label names.
    fn fill(service: &mut Service, container: &Container) {
        let label = container.labels.iter().find(|label| label.key == "fields");
        let pair = |key: &str, value: &str| Attribute { key: key.into(), value: value.into() };
        for field in label.map(|label| label.value.split(',')).into_iter().flatten() {
            match field {
                "ports" => {
                    let http = NamedPort { name: "http".into(), port: service.port, default: true };
                    let admin = NamedPort { name: "admin".into(), port: 9_091, default: false };
                    service.ports = vec![http, admin];
                }
                "locality" => {
                    let zone = Some("eu-1".into());
                    service.locality = Some(Locality { region: "eu".into(), zone });
                }
                "socket-path" => service.socket_path = Some("/run/web.sock".into()),
                "native" => service.connect_native = true,
                "definition" => service.definition = vec![pair("FutureField", "{\"a\":1}")],
                "token" => service.definition = vec![pair("Token", "\"secret\"")],
                "proxy" => {
                    service.kind = "connect-proxy".into();
                    service.proxy = Some(Proxy {
                        destination_service_name: "shop".into(),
                        destination_service_id: None,
                        local_service_address: Some("192.0.2.7".into()),
                        local_service_port: Some(8_080),
                        upstreams: vec![Upstream {
                            destination_name: "db".into(),
                            datacenter: None,
                            local_bind_address: None,
                            local_bind_port: 5_432,
                            definition: vec![pair("MeshGateway", "{\"Mode\":\"local\"}")],
                        }],
                        config: vec![pair("protocol", "\"http\""), pair("limit", "1.5")],
                        definition: Vec::new(),
                    });
                }
                "gateway" => service.kind = "mesh-gateway".into(),
                _ => {}
            }
        }
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
