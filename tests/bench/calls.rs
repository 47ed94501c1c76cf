//! A stage's call, as the daemon makes it and as the engine alone would: the same component, the same
//! payload, an instance of its own from a pool.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    component::{Component, HasSelf, Linker},
};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wharfinger::model::{
    container::{Container, PublishedPort},
    service::Service,
};
use wharfinger::stages::plugin::Limits;

use crate::{
    daemon,
    hosted::{facts, proposed},
};
use bindings::{
    StageComponent, StageComponentPre,
    wharfinger::pipeline::{logging, types},
};

#[allow(missing_docs, unreachable_pub)]
mod bindings {
    wasmtime::component::bindgen!({ path: "wit/v0.2.0", world: "stage-component" });
}

/// What the engine alone needs of a host: nothing.
struct Nobody;

impl logging::Host for Nobody {
    fn log(&mut self, _level: logging::Level, _message: String) {}
}

impl types::Host for Nobody {}

/// How the engine alone is set.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Manner {
    /// As fast as it can be: a guest that does not end is not ended, and the kernel is asked which pages
    /// of its memory were written.
    Fastest,
    /// As a stranger's guests must be held: what loops is ended, and what they may have written is cleared
    /// whatever the kernel says of it, which does not tell of pages that are swapped out or on their way
    /// to another place.
    Held,
}

/// A component in an engine of its own, with nothing around it.
pub(crate) struct Alone {
    linked: StageComponentPre<Nobody>,
    settings: String,
    container: types::Container,
    host: types::HostFacts,
    services: Vec<types::Service>,
}

impl Alone {
    pub(crate) fn load(file: &Path, settings: &str, manner: Manner) -> wasmtime::Result<Self> {
        let mut pool = PoolingAllocationConfig::default();
        // What an operator who knows the engine would say of small guests.
        pool.linear_memory_keep_resident(256 << 10)
            .table_keep_resident(16 << 10)
            .table_elements(Limits::DEFAULT.table_elements as usize)
            .max_memories_per_component(4)
            .max_tables_per_component(Limits::DEFAULT.instances)
            .max_core_instances_per_component(Limits::DEFAULT.instances)
            .pagemap_scan(match manner {
                Manner::Fastest => Enabled::Auto,
                Manner::Held => Enabled::No,
            });
        let mut config = Config::new();
        config.epoch_interruption(manner == Manner::Held);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        config.concurrency_support(false);
        let engine = Engine::new(&config)?;
        let component = Component::new(&engine, fs::read(file)?)?;
        let mut linker = Linker::new(&engine);
        StageComponent::add_to_linker::<_, HasSelf<_>>(&mut linker, |nobody| nobody)?;
        // What stages with exceptions ask for the day.
        let mut clock = linker.instance("wasi:clocks/wall-clock@0.2.6")?;
        clock.func_wrap("now", |_, ()| Ok((Datetime { seconds: 0, nanoseconds: 0 },)))?;
        // What only other settings make it call.
        linker.define_unknown_imports_as_traps(&component)?;
        let linked = StageComponentPre::new(linker.instantiate_pre(&component)?)?;
        let (container, host) = facts();
        let services = proposed(&container, &host).iter().map(service).collect();
        let container = self::container(&container);
        let host = types::HostFacts {
            hostname: host.hostname,
            address: host.forced_address,
            flags: Vec::new(),
            agent: None,
            engine: None,
            attributes: Vec::new(),
        };
        Ok(Self { linked, settings: settings.into(), container, host, services })
    }

    /// One call in an instance of its own.
    pub(crate) fn call(&self) {
        let mut store = Store::new(self.linked.engine(), Nobody);
        // Without a clock it never comes, and costs what it costs where there is one.
        store.set_epoch_deadline(1);
        let instance = self.linked.instantiate(&mut store).expect("an instance");
        let stage = instance.wharfinger_pipeline_stage();
        stage
            .call_process(&mut store, &self.settings, &self.container, &self.host, &self.services)
            .expect("the guest runs")
            .expect("the stage decides");
    }

    /// How long a call takes.
    pub(crate) fn times(&self, count: usize) -> Vec<Duration> {
        let time = |_| {
            let began = Instant::now();
            self.call();
            began.elapsed()
        };
        (0..count).map(time).collect()
    }

    /// The processor's time for a call, of so many at once as there are processors.
    pub(crate) fn bulk(&self, count: usize) -> Duration {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let each = (count / threads).max(1);
        let work = || {
            let before = daemon::thread_processor();
            for _ in 0..each {
                self.call();
            }
            daemon::thread_processor() - before
        };
        let taken: Duration = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().expect("its calls are made")).sum()
        });
        taken / u32::try_from(each * threads).expect("not so many")
    }
}

fn attribute((key, value): (&String, &String)) -> types::Attribute {
    types::Attribute { key: key.clone(), value: value.clone() }
}

fn published(port: &PublishedPort) -> types::PublishedPort {
    types::PublishedPort {
        container_port: port.container_port,
        protocol: types::Protocol::Tcp,
        host_ip: port.host_ip.clone(),
        host_port: port.host_port,
    }
}

fn container(it: &Container) -> types::Container {
    types::Container {
        id: it.id.to_string(),
        name: it.name.clone(),
        image: it.image.clone(),
        image_id: it.image_id.clone(),
        hostname: it.hostname.clone(),
        env: it.env.iter().map(|(key, value)| attribute((key, value))).collect(),
        labels: it.labels.iter().map(attribute).collect(),
        exposed_ports: it
            .exposed_ports
            .iter()
            .map(|it| types::ExposedPort { port: it.port, protocol: types::Protocol::Tcp })
            .collect(),
        published_ports: it.published_ports.iter().map(published).collect(),
        networks: Vec::new(),
        network_mode: it.network_mode.clone(),
        network_peer: None,
        state: types::State::Running,
        exit_code: it.exit_code,
        health: types::Health::None,
        created_at: it.created_at.clone(),
        started_at: it.started_at.clone(),
        image_facts: None,
        setup: None,
        attributes: Vec::new(),
    }
}

fn service(it: &Service) -> types::Service {
    types::Service {
        id: it.id.clone(),
        name: it.name.clone(),
        address: it.address.clone(),
        port: it.port,
        protocol: types::Protocol::Tcp,
        tags: it.tags.clone(),
        meta: it.meta.iter().map(attribute).collect(),
        checks: Vec::new(),
        weights: None,
        enable_tag_override: it.enable_tag_override,
        tagged_addresses: Vec::new(),
        origin: it.origin.as_ref().map(|origin| types::Origin {
            container_port: origin.container_port,
            protocol: types::Protocol::Tcp,
            published: origin.published.as_ref().map(published),
        }),
        ports: Vec::new(),
        locality: None,
        socket_path: None,
        kind: String::new(),
        proxy: None,
        connect_native: false,
        definition: Vec::new(),
        attributes: it.attributes.iter().map(attribute).collect(),
    }
}
