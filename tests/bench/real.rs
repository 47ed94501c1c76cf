//! A private Docker and a private Consul agent, with the daemon and a bare client between them in turn: from
//! what the engine says of when a container started or ended to the agent's answer to the write.
//!
//! The bare client listens to the same events, inspects and writes by way of the same relay, so that the difference is the
//! daemon's alone. Rounds of lives are measured, of the client and of the daemon one after the other, since both at
//! once would wait for each other.

use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{runtime::Runtime, task::AbortHandle};

use crate::{
    bare::{self, Bare, Ways},
    cache_folder,
    common::{consul, dockerd::Dockerd, find_tool},
    daemon::{Program, binary},
    engine::{Engine, Events, IMAGE},
    millis,
    relay::{Relay, Write},
    report::{self, Figure, percentile},
};

/// How much is measured.
pub(crate) struct Extent {
    pub(crate) rounds: usize,
    /// Lives of a round.
    pub(crate) lives: usize,
    /// Containers that are there when the daemon starts.
    pub(crate) loads: &'static [usize],
    /// How often it is started with them.
    pub(crate) starts: usize,
}

/// The daemons, and what stands between.
struct Real {
    runtime: Runtime,
    relay: Arc<Relay>,
    address: SocketAddr,
    events: Arc<Events>,
    engine: Engine,
    program: Program,
    consul: consul::Consul,
    dockerd: Dockerd,
}

/// The times of lives, in milliseconds: to visible, and to gone.
#[derive(Default)]
struct Lives {
    starts: Vec<f64>,
    deaths: Vec<f64>,
}

/// Measure, if a private Docker can be had here.
///
/// # Errors
///
/// The daemons are there, and something did not happen that was waited for; it was said what.
pub(crate) fn measure(extent: &Extent, figures: &mut Vec<Figure>) -> Result<(), &'static str> {
    let needed = ["dockerd", "docker", "busybox", "ip", "consul"];
    if let Some(tool) = needed.into_iter().find(|tool| find_tool(tool).is_none()) {
        eprintln!(
            "No real Docker and Consul, since there is no {tool}: tests/env/install.sh docker consul"
        );
        return Ok(());
    }
    // It needs root, and more than every container gives.
    let Ok(mut real) = catch_unwind(Real::start) else {
        eprintln!("No real Docker and Consul, since they do not start here (see above)");
        return Ok(());
    };
    // What was measured before is not lost with it.
    let measured = catch_unwind(AssertUnwindSafe(|| {
        let mut found = real.lives(extent);
        found.extend(real.loads(extent));
        found
    }));
    let found = measured.map_err(|_| "the figures with a real Docker and Consul are missing")?;
    eprintln!("{}", report::table(&found));
    figures.extend(found);
    Ok(())
}

impl Real {
    fn start() -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().expect("threads");
        let (relay, events) = <(Arc<Relay>, Arc<Events>)>::default();
        let (dockerd, consul, address, engine) = runtime.block_on(async {
            let dockerd = Dockerd::start().await;
            let consul = consul::Consul::start(consul::Options::default()).await;
            let address = relay.listen(consul.addr()).await;
            let engine = Engine::connect(&dockerd.socket()).await;
            (dockerd, consul, address, engine)
        });
        dockerd.import_busybox(IMAGE, &["EXPOSE 80"]);
        let program = Program {
            file: binary(),
            docker: dockerd.host(),
            consul: format!("consul://{address}"),
            folder: cache_folder(),
        };
        Self { runtime, relay, address, events, engine, program, consul, dockerd }
    }

    fn socket(&self) -> PathBuf {
        self.dockerd.socket()
    }

    /// Containers' lives, one at a time.
    fn lives(&mut self, extent: &Extent) -> Vec<Figure> {
        // What a daemon registers when it starts shows that it works.
        let first = self.container();
        let (mut bare, mut daemon) = (Vec::new(), [(0, Vec::new()), (5, Vec::new())]);
        for _ in 0..extent.rounds {
            bare.push(self.bare(extent.lives));
            for (stages, rounds) in &mut daemon {
                rounds.push(self.daemon(*stages, extent.lives));
            }
        }
        self.runtime.block_on(self.engine.remove(&first));
        let mut found = Vec::new();
        type Of = fn(&Lives) -> &Vec<f64>;
        let kinds: [(&str, &str, Of); 2] = [
            ("start to visible", "event, inspection and write by a bare client", |it| &it.starts),
            ("death to gone", "event and write by a bare client", |it| &it.deaths),
        ];
        for (stages, rounds) in &daemon {
            for (what, beside, of) in kinds {
                let name = format!("real Docker and Consul: a container's {what}, {stages} stages");
                for (word, part) in [("p50", 0.5), ("p95", 0.95)] {
                    let pair = |(one, limit): (&Lives, &Lives)| {
                        (percentile(of(one), part), percentile(of(limit), part))
                    };
                    let pairs: Vec<_> = rounds.iter().zip(&bare).map(pair).collect();
                    found.push(Figure::paired(format!("{name}, {word}"), "ms", &pairs, beside));
                }
            }
        }
        found
    }

    fn container(&mut self) -> String {
        self.runtime.block_on(async {
            let id = self.engine.create().await;
            self.engine.start(&id).await;
            id
        })
    }

    /// A round of the bare client.
    fn bare(&mut self, lives: usize) -> Lives {
        let listener = self.listen(true);
        let times = self.round(lives);
        listener.abort();
        times
    }

    /// A round of the daemon.
    fn daemon(&mut self, stages: usize, lives: usize) -> Lives {
        self.clear();
        let listener = self.listen(false);
        let daemon = self.program.start(stages, &[]);
        self.relay.wait(Write::Register, 1);
        // The events are listened to, and what runs at the start is over.
        thread::sleep(Duration::from_secs(1));
        let times = self.round(lives);
        drop(daemon);
        listener.abort();
        times
    }

    /// Listen to the events, and do at once what follows from them, if that is wanted.
    fn listen(&self, does: bool) -> AbortHandle {
        let (socket, address, events) = (self.socket(), self.address, self.events.clone());
        let listening = self.runtime.spawn(async move {
            let ways = Ways::open(&socket, address).await;
            let ways = Arc::new(tokio::sync::Mutex::new(ways));
            let hear = move |told: crate::engine::Told| {
                let ways = ways.clone();
                async move {
                    match &*told.action {
                        "start" if does => {
                            let (inspect, register) = bare::requests(&told.id);
                            let mut ways = ways.lock().await;
                            ways.docker(&inspect).await;
                            ways.consul(&register).await;
                        }
                        "die" if does => {
                            let id = bare::service(&told.id);
                            let deregister = format!(
                                "PUT /v1/agent/service/deregister/{id} HTTP/1.1\r\nHost: c\r\n\
                                 Content-Length: 0\r\n\r\n"
                            );
                            ways.lock().await.consul(deregister.as_bytes()).await;
                        }
                        _ => {}
                    }
                }
            };
            events.listen(socket, hear).await;
        });
        thread::sleep(Duration::from_millis(200));
        listening.abort_handle()
    }

    fn round(&mut self, lives: usize) -> Lives {
        let mut times = Lives::default();
        // The first one finds nothing warm.
        for life in 0..=lives {
            self.relay.reset();
            let id = self.container();
            let began = self.events.wait("start", &id);
            let (visible, _) = self.relay.wait(Write::Register, 1);
            // Whatever else the start had to be followed by.
            thread::sleep(Duration::from_millis(100));
            self.runtime.block_on(self.engine.kill(&id));
            let ended = self.events.wait("die", &id);
            let (gone, _) = self.relay.wait(Write::Deregister, 1);
            thread::sleep(Duration::from_millis(100));
            self.runtime.block_on(self.engine.remove(&id));
            if life > 0 {
                let since = |at: std::time::SystemTime, then| {
                    millis(at.duration_since(then).unwrap_or_default())
                };
                times.starts.push(since(visible, began));
                times.deaths.push(since(gone, ended));
            }
        }
        times
    }

    /// Nothing is registered, and nothing has passed.
    fn clear(&self) {
        self.runtime.block_on(async {
            for id in self.consul.services().await.keys() {
                self.consul.deregister(id).await;
            }
        });
        self.relay.reset();
    }

    /// From the start of the daemon until all containers are registered.
    fn loads(&mut self, extent: &Extent) -> Vec<Figure> {
        let (mut ids, mut found) = (Vec::new(), Vec::new());
        let client = Bare::new(&self.socket(), self.address);
        for load in extent.loads {
            ids.extend((ids.len()..*load).map(|_| self.container()).collect::<Vec<_>>());
            for stages in [0, 5] {
                let mut walls = Vec::new();
                for _ in 0..extent.starts {
                    self.clear();
                    let (limit, _) = client.best(&ids);
                    self.clear();
                    let daemon = self.program.start(stages, &[]);
                    let (_, all) = self.relay.wait(Write::Register, *load);
                    walls.push(((all - daemon.began).as_secs_f64(), limit.as_secs_f64()));
                }
                found.push(Figure::paired(
                    format!("real Docker and Consul: {load} containers, {stages} stages: start to all registered"),
                    "s",
                    &walls,
                    "a bare client",
                ));
            }
        }
        for id in ids {
            self.runtime.block_on(self.engine.remove(&id));
        }
        found
    }
}
