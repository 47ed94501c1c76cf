//! Hostile labels: what anybody who may start a container may write, made by lot. The same
//! seed gives the same labels.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A small generator of numbers (xorshift64*).
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, most: usize) -> usize {
        usize::try_from((self.next() >> 11) % most.max(1) as u64).expect("it is small")
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

/// IDs that would do harm, and a few that would not.
const IDS: &[&str] = &[
    "post\tgres",
    "h:vic\ntim:80",
    "foreign\r",
    "for\neign",
    "\u{7f}",
    "\u{85}",
    "\u{202e}db",
    "a\u{2028}b",
    "a/../b",
    "../deregister/foreign",
    "a//b",
    "/a",
    "a/",
    ".",
    "..",
    "%2e%2e",
    "a%2fb",
    "foreign%00",
    "a\\b",
    " foreign",
    "foreign ",
    "\u{a0}",
    "consul",
    "serfHealth",
    "service",
    "service:foreign",
    "_node_maintenance",
    "_service_maintenance:foreign",
    "testhost:good:80",
    "testhost:good:80:udp",
    "otherhost:good:80",
    "foreign?ns=x",
    "foreign#x",
    "foreign;x",
    "",
    "web-1",
    "team/app",
    "my id",
    "ü",
    "a:b",
    "db:2",
    "testhost:dns",
    "💥",
    "e\u{301}",
];
const NAMES: &[&str] = &[
    "web",
    "good",
    "foreign",
    "consul",
    "a\tb",
    "a\nb",
    " ",
    "\u{2029}",
    "\u{200f}x",
    "a/b",
    "..",
    "a.b_c",
    "web\u{0}",
    "💥",
    "-",
];
const CHECK_IDS: &[&str] = &[
    "serfHealth",
    "_node_maintenance",
    "_service_maintenance:foreign",
    "service:foreign",
    "foreign-check",
    "service:testhost:good:80",
    "service:testhost:good:80:1",
    "pg\nttl",
    "..",
    "a/b",
    "a//b",
    "beat",
    "x:y",
    "\u{202e}",
    "%2f",
    "",
];
const TEXTS: &[&str] = &[
    "a",
    "web",
    ",",
    "\\,",
    "=",
    ":",
    "/",
    "..",
    "//",
    "%2f",
    "%",
    "\\",
    "\n",
    "\r",
    "\t",
    "\0",
    "\u{1b}[31m",
    "\u{7f}",
    "\u{85}",
    "\u{ad}",
    "\u{200b}",
    "\u{200d}",
    "\u{202e}",
    "\u{2028}",
    "\u{2029}",
    "\u{2066}",
    "\u{61c}",
    "\u{feff}",
    "\u{e0001}",
    "é",
    "日本",
    "💥",
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    "$SERVICE_IP",
    "{{.}}",
    "http://",
    "10s",
    "true",
    "-1",
    "80",
    "999999999999",
    "2026-01-01T00:00:00Z ERROR",
    " ",
];
const KEYS: &[&str] = &[
    "ID",
    "NAME",
    "TAGS",
    "CHECKS",
    "CHECK_HTTP",
    "CHECK_HTTPS",
    "CHECK_HTTP_METHOD",
    "CHECK_SCRIPT",
    "CHECK_CMD",
    "CHECK_TTL",
    "CHECK_TCP",
    "CHECK_GRPC",
    "CHECK_GRPC_USE_TLS",
    "CHECK_INTERVAL",
    "CHECK_TIMEOUT",
    "CHECK_INITIAL_STATUS",
    "CHECK_DEREGISTER_AFTER",
    "CHECK_HEADER",
    "CHECK_BODY",
    "CHECK_NOTES",
    "CHECK_NAME",
    "WEIGHTS_PASSING",
    "ENABLE_TAG_OVERRIDE",
    "WHARFINGER-HOST",
    "wharfinger-container",
    "wharfinger-retire-at",
    "CONSUL-X",
    "X",
    "DB_PASSWORD",
    "",
];

/// Labels by lot.
pub struct Hostile {
    pub numbers: Numbers,
}

impl Hostile {
    pub fn new(seed: u64) -> Self {
        Self { numbers: Numbers::new(seed) }
    }

    /// A few parts, or one of them many times.
    fn text(&mut self) -> String {
        let count = self.numbers.below(6);
        let mut text: String = (0..count).map(|_| self.numbers.of(TEXTS)).collect();
        if self.numbers.once_in(40) {
            let times = [300, 3_000, 30_000][self.numbers.below(3)];
            text = text.repeat(times / text.len().max(1));
        }
        text
    }

    fn one_of(&mut self, known: &[&str]) -> String {
        match self.numbers.below(4) {
            0 => self.text(),
            1 => format!("{}{}", self.numbers.of(known), self.text()),
            _ => self.numbers.of(known).to_string(),
        }
    }

    fn check(&mut self) -> Value {
        let kind = match self.numbers.below(8) {
            0 => {
                json!({ "HTTP": self.one_of(&["http://127.0.0.1:1/", "file:///x", "http://a b/"]) })
            }
            1 => json!({ "TCP": self.one_of(&["127.0.0.1:1", "a:0", ":", "[::1]:1"]) }),
            2 => json!({ "Args": [self.text(), self.text()] }),
            3 => json!({ "AliasService": self.one_of(IDS) }),
            4 => json!({ "GRPC": self.one_of(&["127.0.0.1:1", "127.0.0.1:1/x"]) }),
            5 => json!({ self.text(): self.text() }),
            _ => json!({ "TTL": self.one_of(&["60s", "1h", "0s", "x"]) }),
        };
        let mut check = kind;
        for _ in 0..self.numbers.below(4) {
            let key = self.numbers.of(&[
                "CheckID",
                "check_id",
                "ID",
                "Name",
                "Notes",
                "Interval",
                "Timeout",
                "Status",
                "Node",
                "ServiceID",
                "service_id",
                "Namespace",
                "Header",
                "Method",
                "Body",
                "TLSServerName",
                "DeregisterCriticalServiceAfter",
                "SuccessBeforePassing",
            ]);
            let value = match self.numbers.below(5) {
                0 => json!(self.numbers.below(1_000_000)),
                1 => json!({ self.text(): [self.text()] }),
                2 => json!(self.text()),
                _ => json!(self.one_of(CHECK_IDS)),
            };
            check[key] = value;
        }
        check
    }

    fn value(&mut self, key: &str) -> String {
        if key.ends_with("ID") {
            self.one_of(IDS)
        } else if key.ends_with("NAME") {
            self.one_of(NAMES)
        } else if key.ends_with("CHECKS") {
            let count = match self.numbers.once_in(50) {
                true => self.numbers.below(200),
                false => self.numbers.below(4),
            };
            let mut text =
                Value::from((0..count).map(|_| self.check()).collect::<Vec<_>>()).to_string();
            if self.numbers.once_in(10) {
                text.truncate(text.floor_char_boundary(self.numbers.below(text.len())));
            }
            text
        } else if key.ends_with("TAGS") {
            let count = match self.numbers.once_in(50) {
                true => self.numbers.below(2_000),
                false => self.numbers.below(5),
            };
            (0..count).map(|_| self.text()).collect::<Vec<_>>().join(",")
        } else {
            self.text()
        }
    }

    /// The labels of a container.
    pub fn labels(&mut self) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        for _ in 0..self.numbers.below(8) {
            let key = self.numbers.of(KEYS);
            let place =
                self.numbers.of(&["", "", "", "80_", "443_", "80_TCP_", "53_UDP_", "80-90_", "x_"]);
            let value = self.value(key);
            labels.insert(format!("SERVICE_{place}{key}"), value);
        }
        if self.numbers.once_in(10) {
            labels.insert(format!("SERVICE_{}", self.text()), self.text());
            labels.insert(self.text(), self.text());
        }
        if self.numbers.once_in(10) {
            let ports = match self.numbers.below(4) {
                0 => self.text(),
                1 => vec!["81"; self.numbers.below(3_000)].join(","),
                2 => (1..self.numbers.below(2_000))
                    .map(|n| n.to_string())
                    .collect::<Vec<_>>()
                    .join(","),
                _ => "81,82/udp".into(),
            };
            labels.insert("wharfinger.port".into(), ports);
        }
        labels
    }

    /// What `docker inspect` prints of a running container of this name with one or two
    /// published ports and hostile labels.
    pub fn inspected(&mut self, name: &str, id: &str) -> Value {
        let binding = |port: u16| json!([{ "HostIp": "0.0.0.0", "HostPort": port.to_string() }]);
        let mut ports = json!({ "80/tcp": binding(8080) });
        if self.numbers.once_in(2) {
            let second = self.numbers.of(&["443/tcp", "80/udp", "53/udp"]);
            ports[second] = binding(8443);
        }
        let labels = self.labels();
        let env: Vec<_> = match self.numbers.once_in(4) {
            true => self.labels().iter().map(|(key, value)| format!("{key}={value}")).collect(),
            false => Vec::new(),
        };
        let mut container = inspected(name, id, &json!(labels), &json!(env), &ports);
        if self.numbers.once_in(4) {
            container["HostConfig"]["NetworkMode"] = json!("host");
        }
        container
    }
}

/// What `docker inspect` prints of a running container.
pub fn inspected(name: &str, id: &str, labels: &Value, env: &Value, ports: &Value) -> Value {
    let exposed: serde_json::Map<_, _> =
        ports.as_object().expect("ports").keys().map(|port| (port.clone(), json!({}))).collect();
    json!({
        "Id": id,
        "Name": format!("/{name}"),
        "Created": "2026-01-01T00:00:00Z",
        "Image": "sha256:0",
        "State": { "Status": "running", "Running": true, "StartedAt": "2026-01-01T00:00:00Z" },
        "Config": { "Image": "shop/web:1", "Hostname": name, "Env": env, "Labels": labels,
                    "ExposedPorts": exposed },
        "HostConfig": { "NetworkMode": "default" },
        "NetworkSettings": { "Ports": ports, "Networks": { "bridge": { "IPAddress": "172.17.0.2" } } },
    })
}
