//! Containers of all kinds, the same in every run.

use super::{check, container, host, services};
use crate::{
    Check, CheckKind, Container, DockerCheck, HostFacts, HttpCheck, Protocol, ScriptCheck, Service,
    TcpCheck, TtlCheck,
};

const SAMPLES: u64 = 400;

const IMAGES: &[&str] = &[
    "web",
    "nginx:1.27-alpine",
    "shop/web:1.2.3",
    "Registry.example.com:5000/shop/front/Web_App:v2",
    "localhost/web@sha256:2bdd01bb6724",
    "sha256:2bdd01bb6724a59c2be7",
    "registry.example.com/shop/web:latest",
];

const LABELS: &[(&str, &[&str])] = &[
    ("team", &["shop", "Shop", " ", "a.b/c", "web"]),
    ("owner", &["ann", "", "team@example.com"]),
    ("tier", &["gold", "silver", "Bronze"]),
    ("env", &["staging", "production", "Prod", "moon"]),
    ("domain", &["example.com", "example"]),
    ("com.docker.compose.project", &["shop", "Big_Shop"]),
    ("com.docker.compose.service", &["web", "worker"]),
    ("com.docker.swarm.service.name", &["shop_web"]),
    ("SERVICE_NAME", &["front", "shop-front", "web-staging"]),
    ("SERVICE_80_NAME", &["front-http"]),
    ("traefik.enable", &["true", "false", "maybe"]),
    ("traefik.http.routers.web.rule", &["Host(`web.example.com`)", "PathPrefix(`/a,b`)"]),
    ("traefik.frontend.rule", &["Host:web.example.com"]),
    ("version", &["1.2.3", "v7"]),
];

const NAMES: &[&str] = &[
    "web",
    "Web_App",
    "shop-web",
    "größe",
    "___",
    "web.staging",
    "a-",
    "x.y.z",
    "a-very-long-name-that-somebody-made-of-everything-that-could-be-said-of-it",
];

const TAGS: &[&str] =
    &["a", "b", "A", "a", "urlprefix-/web", "version=1", "staging", "env:production", "x_y"];

const PORTS: &[u16] = &[80, 443, 5432, 6379, 8080, 9090, 50051];

const TIMES: &[&str] = &["1s", "10s", "1h", "0s", "nonsense", "1m30s"];

/// A container with its host and the services that are proposed for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The container.
    pub container: Container,
    /// The host.
    pub host: HostFacts,
    /// The proposed services.
    pub services: Vec<Service>,
}

/// Some hundred containers with one to three ports each, of all kinds of
/// images, labels, names, tags and checks, sensible and odd ones.
pub fn samples() -> Vec<Sample> {
    (0..SAMPLES).map(|seed| sample(&mut Dice(seed))).collect()
}

fn sample(dice: &mut Dice) -> Sample {
    let mut container = container(dice.of(NAMES)).image(dice.of(IMAGES));
    for (key, values) in LABELS {
        if dice.below(3) == 0 {
            container = container.label(key, dice.of(values));
        }
    }
    if dice.below(3) == 0 {
        container = container.network("shop_default", "172.20.0.3");
    }
    for index in 0..=dice.below(3) {
        container = container.publish(32_000 + index as u16, dice.of(PORTS));
    }
    let mut services = services(&container);
    for service in &mut services {
        vary(dice, service);
    }
    let mut host = host("node1");
    if dice.below(2) == 0 {
        host = host.flag("environment", dice.of(&["staging", "production"]));
    }
    Sample { container: container.build(), host: host.build(), services }
}

fn vary(dice: &mut Dice, service: &mut Service) {
    if dice.below(2) == 0 {
        service.name = dice.of(NAMES).into();
    }
    if dice.below(6) == 0 {
        service.protocol = Protocol::Udp;
    }
    service.tags = (0..dice.below(5)).map(|_| dice.of(TAGS).to_string()).collect();
    service.checks = (0..dice.below(3)).map(|_| any_check(dice, service)).collect();
}

fn any_check(dice: &mut Dice, service: &Service) -> Check {
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    let kind = match dice.below(5) {
        0 => CheckKind::Tcp(TcpCheck { address: service.target() }),
        1 => CheckKind::Script(ScriptCheck { args: words(&["/bin/true"]) }),
        2 => CheckKind::Ttl(TtlCheck { ttl: "30s".into() }),
        3 => CheckKind::Docker(DockerCheck {
            container_id: "5d4d7e5e12ab".into(),
            shell: None,
            args: words(&["true"]),
        }),
        _ => CheckKind::Http(HttpCheck {
            url: format!("http://{}/health", service.target()),
            method: None,
            headers: Vec::new(),
            body: String::new(),
            tls_skip_verify: false,
            tls_server_name: None,
        }),
    };
    let untimed = matches!(kind, CheckKind::Ttl(_));
    let mut time = || (dice.below(2) == 0).then(|| dice.of(TIMES).to_string());
    Check {
        interval: if untimed { None } else { time() },
        timeout: time(),
        deregister_after: time(),
        ..check(kind)
    }
}

/// A small generator of numbers, by the rule of SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }
}
