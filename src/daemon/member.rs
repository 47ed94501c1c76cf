//! The daemon as a service of its own in Consul, by which the fleet and its rollouts see it: it
//! is there, its loop answers, and how it stands to its policy.
//!
//! It is a task beside the loop that nothing waits for. Its facts are written when they change;
//! that all is well stays with the agent. A daemon that hangs tells nothing, and Consul shows it as
//! critical; one that was told to end takes itself out, so that a host which is switched off is
//! not waited for.
//!
//! Two daemons of one host's name on one agent do not take out each other: each has a number of
//! its own in the metadata, and the one that finds another's under its ID takes an ID with its
//! number.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    net::SocketAddr,
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    daemon::hosting::awaits,
    error::error_chain,
    model::{few::Pairs, marks::META_MEMBER},
    policy::{
        Digest,
        member::{Told, differ_in_counts},
        standing::Standing,
    },
    reconcile::{Handle, Seen},
    registry::{
        Consul, Registry as _, RegistryError,
        consul::member::{Membership, TTL},
    },
    telemetry::event,
};

/// The time between two looks at how the daemon is, and so between two writes.
const PERIOD: Duration = Duration::from_secs(5);
/// The time between two writes of mere counts, and between two looks at what the agent has.
const SELDOM: Duration = Duration::from_secs(60);
/// The time that the loop has to answer: several tries fit into the TTL.
const ANSWER: Duration = Duration::from_secs(10);
/// The time for taking the daemon out at its end.
const LEAVE: Duration = Duration::from_secs(2);
/// Meta key: which process it is.
const META_INSTANCE: &str = "instance";

const _: () = assert!(2 * ANSWER.as_secs() + PERIOD.as_secs() < TTL.as_secs());

/// The daemon as a service.
pub struct Member {
    consul: Consul,
    host: String,
    service: String,
    handle: Handle,
    listens_at: watch::Receiver<Option<SocketAddr>>,
    standing: watch::Receiver<Standing>,
    instance: String,
    id: String,
    /// The membership that was written last, and when; none if the agent may not have it.
    written: Option<(Membership, Instant)>,
    looked: Option<Instant>,
    /// Whether it was ever registered under this ID.
    was_there: bool,
    /// Whether it was ever tried to register it.
    tried: bool,
    failing: bool,
}

impl Member {
    /// The daemon of a host, by its name and that of the service. Nothing is sent yet.
    pub fn new(
        consul: Consul,
        (host, service): (String, String),
        handle: Handle,
        listens_at: watch::Receiver<Option<SocketAddr>>,
        standing: watch::Receiver<Standing>,
    ) -> Self {
        let id = id(&service, &host);
        let instance = number();
        Self {
            consul,
            host,
            service,
            handle,
            listens_at,
            standing,
            instance,
            id,
            written: None,
            looked: None,
            was_there: false,
            tried: false,
            failing: false,
        }
    }

    /// Be there until `stop`, and then no more.
    pub async fn run(mut self, stop: CancellationToken) {
        let be_there = async {
            let mut looks = interval(PERIOD);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                looks.tick().await;
                match timeout(ANSWER, self.handle.seen()).await {
                    Ok(Ok(seen)) => self.tell(&seen).await,
                    // It is ending, and so is this.
                    Ok(Err(_)) => std::future::pending().await,
                    // A loop that hangs is not well; the TTL runs out.
                    Err(_) => {}
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = be_there => {}
        }
        // A service that stays is critical before long, and Consul takes it out in the end.
        if let Err(reason) = self.leave().await {
            let (service, id) = (&self.service, &self.id);
            warn!(
                event = event::MEMBER_FAILING,
                service, id, reason, "the daemon itself stays registered"
            );
        }
    }

    async fn tell(&mut self, seen: &Seen) {
        let told = told(seen).standing(&self.standing.borrow());
        match self.keep(told).await {
            Ok(false) if !self.failing => {}
            Ok(_) => {
                self.failing = false;
                let (service, id) = (&self.service, &self.id);
                info!(event = event::MEMBER, service, id, "the daemon itself is registered");
            }
            Err(error) => {
                self.failing = true;
                let (service, id, reason) = (&self.service, &self.id, error_chain(&error));
                warn!(
                    event = event::MEMBER_FAILING,
                    service, id, reason, "the daemon itself cannot be registered or told of"
                );
            }
        }
    }

    /// Have the agent know what there is to tell. Whether it did not know of this daemon before.
    async fn keep(&mut self, told: Told) -> Result<bool, RegistryError> {
        let now = Instant::now();
        let is_due = |at: Option<Instant>| at.is_none_or(|at| now - at >= SELDOM);
        // Nothing is written over what somebody else has put there since.
        if is_due(self.looked) || self.is_news(&self.membership(told.clone()), now) {
            self.look().await?;
            self.looked = Some(now);
        }
        let wanted = self.membership(told);
        let new = self.written.is_none();
        if self.is_news(&wanted, now) {
            self.written = None;
            self.tried = true;
            self.consul.join(&wanted).await?;
            self.was_there = true;
            self.written = Some((wanted, now));
        }
        let told = self.consul.keep_alive(&self.id).await;
        if told.as_ref().is_err_and(|error| !matches!(error, RegistryError::Unreachable { .. })) {
            // So answers an agent that has lost it.
            self.written = None;
        }
        told.map(|()| new)
    }

    /// Whether this is to be written.
    fn is_news(&self, wanted: &Membership, now: Instant) -> bool {
        self.written.as_ref().is_none_or(|(known, at)| {
            let same = Membership { meta: wanted.meta.clone(), ..known.clone() } == *wanted;
            let small = same && differ_in_counts(&known.meta, &wanted.meta);
            known != wanted && (!small || now - *at >= SELDOM)
        })
    }

    /// See what the agent has under this ID.
    async fn look(&mut self) -> Result<(), RegistryError> {
        let Some(found) = self.consul.under(&self.id).await? else {
            self.written = None;
            return Ok(());
        };
        let is_own = found.meta.get(META_INSTANCE) == Some(&self.instance);
        // One of before, which has ended without a word, or a second daemon: that will see this one,
        // and go out of its way.
        let former = found.meta.contains_key(META_MEMBER) && !self.was_there;
        if is_own || former {
            let as_written = self.written.as_ref().is_some_and(|(known, _)| {
                found.meta.iter().eq(&known.meta)
                    && (&known.service, known.port) == (&found.name, found.port)
            });
            if !as_written {
                self.written = None;
            }
            return Ok(());
        }
        let own = format!("{}-{}", id(&self.service, &self.host), self.instance);
        let own = if own == self.id { format!("{own}-{}", number()) } else { own };
        let old = std::mem::replace(&mut self.id, own);
        (self.written, self.was_there) = (None, false);
        let (service, id) = (&self.service, &self.id);
        warn!(
            event = event::MEMBER_MOVED,
            service, id, old, "somebody else has the ID under which the daemon registered itself"
        );
        Ok(())
    }

    fn membership(&self, told: Told) -> Membership {
        let mut meta = told.meta();
        meta.insert(META_MEMBER.into(), self.host.clone());
        meta.insert(META_INSTANCE.into(), self.instance.clone());
        let at = *self.listens_at.borrow();
        let address = at.map(|at| at.ip()).filter(|ip| !ip.is_unspecified());
        Membership {
            id: self.id.clone(),
            service: self.service.clone(),
            address: address.map(|ip| ip.to_string()).unwrap_or_default(),
            port: at.map_or(0, |at| at.port()),
            meta,
        }
    }

    /// Take this daemon out, and no other one.
    async fn leave(&self) -> Result<(), String> {
        if !self.tried {
            return Ok(());
        }
        let leave = async {
            let found = self.consul.under(&self.id).await?;
            let own = |meta: &Pairs| meta.get(META_INSTANCE) == Some(&self.instance);
            if found.is_some_and(|found| own(&found.meta)) {
                self.consul.deregister(&self.id).await?;
                let (service, id) = (&self.service, &self.id);
                info!(
                    event = event::MEMBER_LEFT,
                    service, id, "the daemon has deregistered itself"
                );
            }
            Ok::<_, RegistryError>(())
        };
        match timeout(LEAVE, leave).await {
            Ok(done) => done.map_err(|error| error_chain(&error)),
            Err(_) => Err(format!("Consul has not answered for {LEAVE:?}")),
        }
    }
}

/// The facts that the loop tells of itself.
fn told(seen: &Seen) -> Told {
    let unhealthy = seen.stages.iter().filter(|stage| !stage.healthy && !awaits(stage));
    let awaiting = seen.stages.iter().find(|stage| awaits(stage));
    let containers = seen.overview.containers.values().sum();
    Told {
        version: env!("CARGO_PKG_VERSION").into(),
        held: seen
            .held
            .as_ref()
            .map_or(0, |held| u32::try_from(held.services.len()).unwrap_or(u32::MAX)),
        unhealthy: unhealthy.map(|stage| stage.stage.clone()).collect(),
        waits: awaiting.and_then(|stage| stage.unloaded.clone()),
        counts: seen.overview.full_cycle.map(|_| (containers, seen.overview.services)),
        ..Told::default()
    }
}

/// A number that no other process has.
fn number() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// The ID of a host's daemon. It has no colon, so that no registrator's `-cleanup` takes it for a
/// container's service.
fn id(service: &str, host: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !host.is_empty() && host.len() <= 200 && host.chars().all(plain) {
        return format!("{service}-{host}");
    }
    let digest = Digest::of(host.as_bytes()).hex();
    let digest = &digest[..16];
    let short: String = host.chars().filter(|c| plain(*c)).take(80).collect();
    format!("{service}-{short}-{digest}")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use reqwest::Url;
    use serde_json::{Value, json};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::{
        docker::{HttpGet, Recorded, Tags},
        model::service::addressable,
        pipeline::Pipeline,
        reconcile::{Options, Reconciler},
        registry::{ConsulConfig, Memory},
    };

    /// An agent that knows one service, and counts what it is asked.
    #[derive(Default)]
    struct Fake {
        known: Option<Value>,
        counts: std::collections::BTreeMap<&'static str, u32>,
    }

    impl Fake {
        fn answer(&mut self, head: &str, body: &[u8]) -> (u16, String) {
            let mut words = head.split(' ');
            let (method, path) =
                (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let (what, answer) = match (method, path.split('?').next().unwrap_or_default()) {
                ("PUT", "/v1/agent/service/register") => {
                    let mut known: Value = serde_json::from_slice(body).expect("JSON");
                    known["Service"] = known["Name"].clone();
                    self.known = Some(known);
                    ("register", (200, String::new()))
                }
                ("PUT", path) if path.starts_with("/v1/agent/check/update/") => {
                    ("report", (200, String::new()))
                }
                ("GET", path) if path.starts_with("/v1/agent/service/") => match &self.known {
                    Some(known) => ("look", (200, known.to_string())),
                    None => ("look", (404, "unknown".into())),
                },
                other => panic!("{other:?}"),
            };
            *self.counts.entry(what).or_default() += 1;
            answer
        }
    }

    async fn answer(mut stream: TcpStream, fake: Arc<Mutex<Fake>>) {
        let (mut bytes, mut more) = (Vec::new(), [0; 4096]);
        loop {
            let count = stream.read(&mut more).await.unwrap_or_default();
            bytes.extend_from_slice(&more[..count]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                if count == 0 {
                    return;
                }
                continue;
            };
            let length = head.to_ascii_lowercase();
            let length = length.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() < length.map_or(0, |length| length.parse().expect("a length")) {
                continue;
            }
            let (status, body) = fake.lock().expect("the agent").answer(head, body.as_bytes());
            let length = body.len();
            let text = format!(
                "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(text.as_bytes()).await;
            return;
        }
    }

    #[tokio::test]
    async fn an_idle_hour_is_one_registration_and_all_else_stays_with_the_agent() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let fake = Arc::new(Mutex::new(Fake::default()));
        let shared = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, shared.clone()));
            }
        });
        let uri = Url::parse(&format!("consul://{at}")).expect("a URI");
        let config = ConsulConfig::new(&uri, |_| None).expect("an agent");
        let consul = Consul::new(config).expect("a client");
        let source = Recorded::read(&[], &Tags::parse("", HttpGet::Forbidden).expect("no tags"));
        let host = serde_json::from_value(json!({
            "hostname": "h", "forced_address": null, "resolved_address": null, "internal": false,
            "explicit": false, "address_label": null, "compat": "none", "flags": {},
        }));
        let reconciler = Reconciler::new(
            Arc::new(source.expect("no containers")),
            Arc::new(Memory::default()),
            Pipeline::of(Vec::new()),
            host.expect("a host"),
            Options::default(),
        );
        let names = ("h".to_string(), "wharfinger".to_string());
        let (_at, listens_at) = watch::channel(None);
        let (_standing, standing) = watch::channel(Standing::default());
        let mut member = Member::new(consul, names, reconciler.handle(), listens_at, standing);
        let told = Told { version: "1".into(), counts: Some((3, 3)), ..Told::default() };
        let hour = 3600 / u32::try_from(PERIOD.as_secs()).expect("a few seconds");
        for _ in 0..hour {
            member.keep(told.clone()).await.expect("it is told");
            // The agent answers in its own time, which is no part of the hour.
            tokio::time::pause();
            tokio::time::advance(PERIOD).await;
            tokio::time::resume();
        }
        let counts = fake.lock().expect("the agent").counts.clone();
        assert_eq!(counts["register"], 1, "{counts:?}");
        assert_eq!(counts["report"], hour, "{counts:?}");
        // A look before the registration and one a minute; it may take a little longer.
        assert!((50..=61).contains(&counts["look"]), "{counts:?}");
    }

    #[test]
    fn an_id_has_the_hosts_name_can_be_asked_for_and_is_no_containers() {
        let long = "h".repeat(300);
        let names = ["host-1.example", "h", "a:b", "a b", "a/../b", "", "\u{e9}", &long, "a%2fb"];
        let ids: Vec<_> = names.iter().map(|host| id("wharfinger", host)).collect();
        assert_eq!(ids[0], "wharfinger-host-1.example");
        for (host, id) in names.iter().zip(&ids) {
            assert!(addressable(id).is_ok() && !id.contains([':', '%', '/']), "{host}: {id}");
            assert!(id.is_ascii() && id.len() < 256, "{id}");
        }
        let different: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(different.len(), names.len());
    }
}
