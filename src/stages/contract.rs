//! The adapter between the daemon's own types and those that are generated
//! from the contract.
//!
//! The types are generated for each version of the contract, and for stages that
//! are linked natively, with the same names and fields. The macro writes the adapter for
//! each of them, so that there is one place that knows the contract's records. The additions
//! of a later version to the first one are said where the macro is used.

/// Define the module `$module` with the adapter to the generated types of
/// `$types`, which must have `types`'s records and `logging::Level`. Further fields of the
/// container and the host are filled by the functions that are named with them.
macro_rules! adapter {
    ($module:ident, [$($types:tt)+]) => {
        $crate::stages::contract::adapter!(
            $module, [$($types)+], container {}, host {},
            service {} by $crate::model::service::Further::default
        );
    };
    (
        $module:ident, [$($types:tt)+],
        container { $($of_container:ident: $from_container:path),* $(,)? },
        host { $($of_host:ident: $from_host:path),* $(,)? },
        service { $($of_service:ident: $from_service:path),* $(,)? } by $further:path
    ) => {
        mod $module {
            use $($types)+ as t;

            use crate::{
                model::{container as c, host::Host, service as s},
                pipeline::Level,
            };

            pub(in super::super) fn attributes<'a, K: AsRef<str> + 'a, V: AsRef<str> + 'a>(
                map: impl IntoIterator<Item = (K, V)>,
            ) -> Vec<t::Attribute> {
                map.into_iter()
                    .map(|(key, value)| t::Attribute {
                        key: key.as_ref().to_string(),
                        value: value.as_ref().to_string(),
                    })
                    .collect()
            }

            pub(in super::super) fn pairs<C: FromIterator<(String, String)>>(list: Vec<t::Attribute>) -> C {
                list.into_iter().map(|entry| (entry.key, entry.value)).collect()
            }

            fn protocol(protocol: c::Protocol) -> t::Protocol {
                match protocol {
                    c::Protocol::Tcp => t::Protocol::Tcp,
                    c::Protocol::Udp => t::Protocol::Udp,
                    c::Protocol::Sctp => t::Protocol::Sctp,
                }
            }

            fn published(ports: &[c::PublishedPort]) -> Vec<t::PublishedPort> {
                ports.iter().map(published_port).collect()
            }

            fn published_port(port: &c::PublishedPort) -> t::PublishedPort {
                t::PublishedPort {
                    container_port: port.container_port,
                    protocol: protocol(port.protocol),
                    host_ip: port.host_ip.clone(),
                    host_port: port.host_port,
                }
            }

            fn networks(networks: &[c::Network]) -> Vec<t::Network> {
                networks
                    .iter()
                    .map(|network| t::Network {
                        name: network.name.clone(),
                        id: network.id.clone(),
                        ipv4: network.ipv4.clone(),
                        ipv6: network.ipv6.clone(),
                        aliases: network.aliases.clone(),
                    })
                    .collect()
            }

            /// The container as a stage may see it: of the environment, only
            /// the variables that `visible` admits.
            pub(in super::super) fn container(
                container: &c::Container,
                visible: impl Fn(&str) -> bool,
            ) -> t::Container {
                t::Container {
                    id: container.id.to_string(),
                    name: container.name.clone(),
                    image: container.image.clone(),
                    image_id: container.image_id.clone(),
                    hostname: container.hostname.clone(),
                    env: attributes(
                        container.env.iter().filter(|(key, _)| visible(key)).map(|(k, v)| (k, v)),
                    ),
                    labels: attributes(&container.labels),
                    exposed_ports: container
                        .exposed_ports
                        .iter()
                        .map(|exposed| t::ExposedPort {
                            port: exposed.port,
                            protocol: protocol(exposed.protocol),
                        })
                        .collect(),
                    published_ports: published(&container.published_ports),
                    networks: networks(&container.networks),
                    network_mode: container.network_mode.clone(),
                    network_peer: container.network_peer.as_ref().map(|peer| t::NetworkPeer {
                        id: peer.id.to_string(),
                        name: peer.name.clone(),
                        network_mode: peer.network_mode.clone(),
                        networks: networks(&peer.networks),
                        published_ports: published(&peer.published_ports),
                    }),
                    state: match container.state {
                        c::State::Created => t::State::Created,
                        c::State::Running => t::State::Running,
                        c::State::Paused => t::State::Paused,
                        c::State::Restarting => t::State::Restarting,
                        c::State::Removing => t::State::Removing,
                        c::State::Exited => t::State::Exited,
                        c::State::Dead => t::State::Dead,
                        c::State::Other => t::State::Other,
                    },
                    exit_code: container.exit_code,
                    health: match container.health {
                        c::Health::None => t::Health::None,
                        c::Health::Starting => t::Health::Starting,
                        c::Health::Healthy => t::Health::Healthy,
                        c::Health::Unhealthy => t::Health::Unhealthy,
                    },
                    created_at: container.created_at.clone(),
                    started_at: container.started_at.clone(),
                    $($of_container: $from_container(container),)*
                    attributes: attributes(&container.attributes),
                }
            }

            pub(in super::super) fn host(host: &Host) -> t::HostFacts {
                t::HostFacts {
                    hostname: host.hostname.clone(),
                    address: host.address().map(String::from),
                    flags: attributes(&host.flags),
                    $($of_host: $from_host(host),)*
                    attributes: Vec::new(),
                }
            }

            pub(in super::super) fn service(service: &s::Service) -> t::Service {
                let s::Service {
                    id,
                    name,
                    address,
                    port,
                    protocol: spoken,
                    tags,
                    meta,
                    checks,
                    weights,
                    enable_tag_override,
                    tagged_addresses,
                    origin,
                    further: _,
                    attributes: notes,
                } = service;
                let tagged = |(tag, (address, port)): (&String, &(String, u16))| {
                    t::TaggedAddress { tag: tag.clone(), address: address.clone(), port: *port }
                };
                t::Service {
                    id: id.clone(),
                    name: name.clone(),
                    address: address.clone(),
                    port: *port,
                    protocol: protocol(*spoken),
                    tags: tags.clone(),
                    meta: attributes(meta),
                    checks: checks.iter().map(check).collect(),
                    weights: weights.map(|s::Weights { passing, warning }| t::Weights { passing, warning }),
                    enable_tag_override: *enable_tag_override,
                    tagged_addresses: tagged_addresses.iter().map(tagged).collect(),
                    origin: origin.as_ref().map(origin_of),
                    $($of_service: $from_service(&service.further),)*
                    attributes: attributes(notes),
                }
            }

            fn origin_of(origin: &s::Origin) -> t::Origin {
                let s::Origin { container_port, protocol: spoken, published } = origin;
                t::Origin {
                    container_port: *container_port,
                    protocol: protocol(*spoken),
                    published: published.as_ref().map(published_port),
                }
            }

            fn check(check: &s::Check) -> t::Check {
                let s::Check {
                    id,
                    name,
                    notes,
                    kind,
                    interval,
                    timeout,
                    initial_status,
                    deregister_after,
                    success_before_passing,
                    failures_before_critical,
                    attributes: further,
                } = check;
                t::Check {
                    id: id.clone(),
                    name: name.clone(),
                    notes: notes.clone(),
                    kind: check_kind(kind.clone()),
                    interval: interval.clone(),
                    timeout: timeout.clone(),
                    initial_status: initial_status.map(|status| match status {
                        s::CheckStatus::Passing => t::CheckStatus::Passing,
                        s::CheckStatus::Warning => t::CheckStatus::Warning,
                        s::CheckStatus::Critical => t::CheckStatus::Critical,
                    }),
                    deregister_after: deregister_after.clone(),
                    success_before_passing: *success_before_passing,
                    failures_before_critical: *failures_before_critical,
                    attributes: attributes(further),
                }
            }

            fn check_kind(kind: s::CheckKind) -> t::CheckKind {
                use s::CheckKind as K;
                match kind {
                    K::Http { url, method, headers, body, tls_skip_verify, tls_server_name } => {
                        t::CheckKind::Http(t::HttpCheck {
                            url,
                            method,
                            headers: attributes(headers),
                            body,
                            tls_skip_verify,
                            tls_server_name,
                        })
                    }
                    K::Tcp { address } => t::CheckKind::Tcp(t::TcpCheck { address }),
                    K::Udp { address } => t::CheckKind::Udp(t::UdpCheck { address }),
                    K::Grpc { target, use_tls, tls_skip_verify, tls_server_name } => {
                        t::CheckKind::Grpc(t::GrpcCheck {
                            target,
                            use_tls,
                            tls_skip_verify,
                            tls_server_name,
                        })
                    }
                    K::H2Ping { address, use_tls, tls_skip_verify } => {
                        t::CheckKind::H2Ping(t::H2PingCheck { address, use_tls, tls_skip_verify })
                    }
                    K::Script { args } => t::CheckKind::Script(t::ScriptCheck { args }),
                    K::Docker { container_id, shell, args } => {
                        t::CheckKind::Docker(t::DockerCheck { container_id, shell, args })
                    }
                    K::Ttl { ttl } => t::CheckKind::Ttl(t::TtlCheck { ttl }),
                    K::Alias { node, service } => {
                        t::CheckKind::Alias(t::AliasCheck { node, service })
                    }
                    K::OsService { name } => t::CheckKind::OsService(name),
                }
            }

            fn protocol_back(protocol: t::Protocol) -> c::Protocol {
                match protocol {
                    t::Protocol::Tcp => c::Protocol::Tcp,
                    t::Protocol::Udp => c::Protocol::Udp,
                    t::Protocol::Sctp => c::Protocol::Sctp,
                }
            }

            /// The service without its origin, which is not the stage's to say, and without what
            /// this version does not show.
            pub(in super::super) fn service_back(service: t::Service) -> s::Service {
                let t::Service {
                    id,
                    name,
                    address,
                    port,
                    protocol,
                    tags,
                    meta,
                    checks,
                    weights,
                    enable_tag_override,
                    tagged_addresses,
                    origin: _,
                    $($of_service,)*
                    attributes,
                } = service;
                let tagged = |tagged| {
                    let t::TaggedAddress { tag, address, port } = tagged;
                    (tag, (address, port))
                };
                s::Service {
                    id,
                    name,
                    address,
                    port,
                    protocol: protocol_back(protocol),
                    tags,
                    meta: pairs(meta),
                    checks: checks.into_iter().map(check_back).collect(),
                    weights: weights.map(|t::Weights { passing, warning }| s::Weights { passing, warning }),
                    enable_tag_override,
                    tagged_addresses: tagged_addresses.into_iter().map(tagged).collect(),
                    origin: None,
                    further: $further($($of_service),*),
                    attributes: pairs(attributes),
                }
            }

            fn check_back(check: t::Check) -> s::Check {
                let t::Check {
                    id,
                    name,
                    notes,
                    kind,
                    interval,
                    timeout,
                    initial_status,
                    deregister_after,
                    success_before_passing,
                    failures_before_critical,
                    attributes,
                } = check;
                s::Check {
                    id,
                    name,
                    notes,
                    kind: check_kind_back(kind),
                    interval,
                    timeout,
                    initial_status: initial_status.map(|status| match status {
                        t::CheckStatus::Passing => s::CheckStatus::Passing,
                        t::CheckStatus::Warning => s::CheckStatus::Warning,
                        t::CheckStatus::Critical => s::CheckStatus::Critical,
                    }),
                    deregister_after,
                    success_before_passing,
                    failures_before_critical,
                    attributes: pairs(attributes),
                }
            }

            fn check_kind_back(kind: t::CheckKind) -> s::CheckKind {
                use s::CheckKind as K;
                match kind {
                    t::CheckKind::Http(http) => K::Http {
                        url: http.url,
                        method: http.method,
                        headers: pairs(http.headers),
                        body: http.body,
                        tls_skip_verify: http.tls_skip_verify,
                        tls_server_name: http.tls_server_name,
                    },
                    t::CheckKind::Tcp(tcp) => K::Tcp { address: tcp.address },
                    t::CheckKind::Udp(udp) => K::Udp { address: udp.address },
                    t::CheckKind::Grpc(grpc) => K::Grpc {
                        target: grpc.target,
                        use_tls: grpc.use_tls,
                        tls_skip_verify: grpc.tls_skip_verify,
                        tls_server_name: grpc.tls_server_name,
                    },
                    t::CheckKind::H2Ping(ping) => K::H2Ping {
                        address: ping.address,
                        use_tls: ping.use_tls,
                        tls_skip_verify: ping.tls_skip_verify,
                    },
                    t::CheckKind::Script(script) => K::Script { args: script.args },
                    t::CheckKind::Docker(docker) => K::Docker {
                        container_id: docker.container_id,
                        shell: docker.shell,
                        args: docker.args,
                    },
                    t::CheckKind::Ttl(ttl) => K::Ttl { ttl: ttl.ttl },
                    t::CheckKind::Alias(alias) => {
                        K::Alias { node: alias.node, service: alias.service }
                    }
                    t::CheckKind::OsService(name) => K::OsService { name },
                }
            }

            pub(in super::super) fn level(level: t::logging::Level) -> Level {
                match level {
                    t::logging::Level::Trace => Level::Trace,
                    t::logging::Level::Debug => Level::Debug,
                    t::logging::Level::Info => Level::Info,
                    t::logging::Level::Warn => Level::Warn,
                    t::logging::Level::Error => Level::Error,
                }
            }
        }
    };
}

/// Define the function `decision` for a version of which a veto is a reason and nothing else,
/// beside the module `$module` of [`adapter`].
macro_rules! plain_decision {
    ($module:ident, [$($types:tt)+]) => {
        /// `unseen` is what the stage was not shown of the services, in their order.
        fn decision(
            outcome: $($types)+::Outcome,
            unseen: Vec<$crate::model::service::Unseen>,
        ) -> $crate::pipeline::Decision {
            use $($types)+::Verdict as Said;
            use $crate::pipeline::{Decision, Verdict, veto_reason};
            let mut unseen = unseen.into_iter();
            let verdict = |said| {
                let unseen = unseen.next();
                match said {
                    Said::Keep => Verdict::Keep,
                    Said::Replace(service) => {
                        let after = $module::service_back(service);
                        Verdict::Replace(Box::new(match unseen {
                            Some(unseen) => after.with_unseen(unseen),
                            // Too many verdicts, for which the answer is refused as a whole.
                            None => after,
                        }))
                    }
                    Said::Veto(reason) => Verdict::Veto(veto_reason(&reason)),
                }
            };
            Decision {
                verdicts: outcome.verdicts.into_iter().map(verdict).collect(),
                added: outcome.added.into_iter().map($module::service_back).collect(),
                remarks: Vec::new(),
            }
        }
    };
}

/// Define the function `decision` for a version of which a verdict has notes and a veto a code, beside the
/// module `$module` of [`adapter`]. `$whole` makes a whole service of what a stage put in the place of one
/// that it was shown, with what it was not shown of that one, if there was such a one.
macro_rules! remarked_decision {
    ($module:ident, [$($types:tt)+], $whole:path) => {
        /// `unseen` is what the stage was not shown of the services, in their order.
        fn decision(
            outcome: $($types)+::Outcome,
            unseen: Vec<$crate::model::service::Unseen>,
        ) -> $crate::pipeline::Decision {
            use $($types)+::Decision as Said;
            use $crate::pipeline::{Decision, Remark, Verdict, veto_code, veto_reason};
            let mut unseen = unseen.into_iter();
            let (mut verdicts, mut remarks) = (Vec::new(), Vec::new());
            for said in outcome.verdicts {
                let unseen = unseen.next();
                let (verdict, code) = match said.decision {
                    Said::Keep => (Verdict::Keep, None),
                    Said::Replace(service) => {
                        let after = $whole($module::service_back(service), unseen);
                        (Verdict::Replace(Box::new(after)), None)
                    }
                    Said::Veto(veto) => {
                        let code = veto.code.and_then(|code| veto_code(&code));
                        (Verdict::Veto(veto_reason(&veto.reason)), code)
                    }
                };
                verdicts.push(verdict);
                remarks.push(Remark::new(code, said.notes));
            }
            // Mostly nothing is said.
            if remarks.iter().all(Remark::is_empty) {
                remarks.clear();
            }
            let added = outcome.added.into_iter().map($module::service_back).collect();
            Decision { verdicts, added, remarks }
        }
    };
}

pub(crate) use {adapter, plain_decision, remarked_decision};
