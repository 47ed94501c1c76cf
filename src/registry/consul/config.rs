//! The access to a Consul agent: the command line's URI, and the environment
//! variables of HashiCorp's own clients.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use reqwest::{Certificate, ClientBuilder, Identity, Proxy, Url};
use tracing::warn;

use crate::proxy::{self, Proxies};
use crate::telemetry::event;

const DEFAULT_ADDRESS: &str = "127.0.0.1:8500";

/// The access to an agent: its address, TLS and credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsulConfig {
    /// `host:port` or the path of a Unix socket.
    address: Address,
    /// Speak HTTPS.
    tls: bool,
    /// Do not verify the agent's certificate (`CONSUL_HTTP_SSL_VERIFY=false`).
    insecure: bool,
    /// `CONSUL_CACERT`.
    ca_file: Option<PathBuf>,
    /// `CONSUL_CAPATH`.
    ca_folder: Option<PathBuf>,
    /// `CONSUL_CLIENT_CERT` and `CONSUL_CLIENT_KEY`.
    identity: Option<(PathBuf, PathBuf)>,
    /// `CONSUL_TLS_SERVER_NAME`.
    server_name: Option<String>,
    /// `CONSUL_HTTP_TOKEN`.
    token: Option<String>,
    /// `CONSUL_HTTP_TOKEN_FILE`; it is read for each call.
    token_file: Option<PathBuf>,
    /// `CONSUL_HTTP_AUTH`: a user, and a password if there is one.
    pub(super) auth: Option<(String, Option<String>)>,
    /// `CONSUL_NAMESPACE`.
    pub(super) namespace: Option<String>,
    /// `CONSUL_PARTITION`.
    pub(super) partition: Option<String>,
    /// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.
    proxies: Proxies,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Tcp(String),
    Unix(PathBuf),
}

impl Default for Address {
    fn default() -> Self {
        Self::Tcp(DEFAULT_ADDRESS.into())
    }
}

/// The reason why the access to an agent cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConsulError {
    /// No URL can be made of the address.
    #[error("{:?} is no address of a Consul agent", without_user(.0))]
    Address(String),
    /// An environment variable has a value that means nothing.
    #[error("{name}={value}: {reason}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// The form that it should have.
        reason: &'static str,
    },
    /// A file cannot be read.
    #[error("{name}: cannot read {}", .path.display())]
    File {
        /// The variable that names it.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A certificate or key is none.
    #[error("{name}: {} is no PEM file of the right kind", .path.display())]
    Pem {
        /// The variable that names it.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The HTTP client cannot be made.
    #[error("cannot make the HTTP client")]
    Client(#[source] reqwest::Error),
}

impl ConsulConfig {
    /// From the registry's URI (`consul://`, `consul-tls://` or
    /// `consul-unix://`) and the environment, in which the URI's own address
    /// wins over `CONSUL_HTTP_ADDR`.
    ///
    /// # Errors
    ///
    /// An address or a variable that means nothing.
    pub fn new(uri: &Url, env: impl Fn(&str) -> Option<String>) -> Result<Self, ConsulError> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let path = |name: &str| set(name).map(PathBuf::from);
        // registrator's masters before 7.4 had names of their own; where both are
        // set, theirs counts for nobody.
        let either = |name: &str, older: &'static str| {
            let (new, old) = (path(name), path(older));
            if let (Some(new), Some(old)) = (&new, &old)
                && new != old
            {
                let reason = format!("{older} is not used: {name} names another file");
                warn!(event = event::WITHOUT_EFFECT, reason, "{reason}");
            }
            new.or(old)
        };
        let mut config = Self {
            tls: boolean(set, "CONSUL_HTTP_SSL")?.unwrap_or(false),
            insecure: boolean(set, "CONSUL_HTTP_SSL_VERIFY")? == Some(false),
            ca_file: path("CONSUL_CACERT"),
            ca_folder: path("CONSUL_CAPATH"),
            server_name: set("CONSUL_TLS_SERVER_NAME"),
            token: set("CONSUL_HTTP_TOKEN"),
            token_file: path("CONSUL_HTTP_TOKEN_FILE"),
            auth: set("CONSUL_HTTP_AUTH").map(|auth| match auth.split_once(':') {
                Some((user, password)) => (user.to_string(), Some(password.to_string())),
                None => (auth, None),
            }),
            namespace: set("CONSUL_NAMESPACE"),
            partition: set("CONSUL_PARTITION"),
            proxies: Proxies::new(&env),
            ..Self::default()
        };
        let certificate = either("CONSUL_CLIENT_CERT", "CONSUL_TLSCERT");
        config.identity = match (certificate, either("CONSUL_CLIENT_KEY", "CONSUL_TLSKEY")) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (certificate, key) => {
                let value = certificate.or(key).unwrap_or_default();
                return Err(ConsulError::Variable {
                    name: "CONSUL_CLIENT_CERT or CONSUL_CLIENT_KEY",
                    value: value.display().to_string(),
                    reason: "the one needs the other",
                });
            }
        };
        if let Some(address) = set("CONSUL_HTTP_ADDR") {
            config.set_address(&address);
        }
        match uri.scheme() {
            "consul-unix" | "consulkv-unix" => config.address = Address::Unix(socket(uri)),
            _ => {
                if let Some(host) = uri.host_str().filter(|host| !host.is_empty()) {
                    let port = uri.port().unwrap_or(8500);
                    config.address = Address::Tcp(format!("{host}:{port}"));
                }
            }
        }
        config.tls |= uri.scheme() == "consul-tls";
        Ok(config)
    }

    fn set_address(&mut self, address: &str) {
        match address.split_once("://") {
            Some(("unix", path)) => self.address = Address::Unix(path.into()),
            Some((scheme, rest)) => {
                self.tls |= scheme == "https";
                self.address = Address::Tcp(rest.trim_end_matches('/').into());
            }
            None => self.address = Address::Tcp(address.into()),
        }
    }

    /// The token as it is now.
    pub(super) fn token(&self) -> Result<Option<String>, ConsulError> {
        let Some(path) = &self.token_file else { return Ok(self.token.clone()) };
        let token = read("CONSUL_HTTP_TOKEN_FILE", path)?;
        Ok(Some(String::from_utf8_lossy(&token).trim().to_string()))
    }

    /// The client's settings, and the URL that requests go to.
    pub(super) fn apply(
        &self,
        mut builder: ClientBuilder,
    ) -> Result<(ClientBuilder, Url), ConsulError> {
        let scheme = if self.tls { "https" } else { "http" };
        let authority = match &self.address {
            Address::Tcp(authority) => authority.clone(),
            Address::Unix(path) => {
                builder = builder.unix_socket(path.clone());
                "localhost".into()
            }
        };
        let unusable = || ConsulError::Address(authority.clone());
        let mut base = Url::parse(&format!("{scheme}://{authority}")).map_err(|_| unusable())?;
        builder = match self.proxy(&base)? {
            Some(proxy) => builder.proxy(proxy),
            None => builder.no_proxy(),
        };
        if !self.tls {
            return Ok((builder, base));
        }
        builder = builder.tls_danger_accept_invalid_certs(self.insecure);
        let roots = self.roots()?;
        if !roots.is_empty() {
            builder = builder.tls_certs_only(roots);
        }
        if let Some((certificate, key)) = &self.identity {
            let mut pem = read("CONSUL_CLIENT_CERT", certificate)?;
            pem.push(b'\n');
            pem.extend(read("CONSUL_CLIENT_KEY", key)?);
            let name = "CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY";
            let identity = Identity::from_pem(&pem).map_err(|source| ConsulError::Pem {
                name,
                path: certificate.clone(),
                source,
            })?;
            builder = builder.identity(identity);
        }
        if let Some(name) = &self.server_name {
            // The name that is verified is the URL's; let it lead to the agent.
            let port = base.port_or_known_default().unwrap_or(443);
            if let Some(address) = address_of(&base, port) {
                builder = builder.resolve(name, address);
            }
            base.set_host(Some(name)).map_err(|_| unusable())?;
        }
        Ok((builder, base))
    }

    /// The proxy through which an agent at this URL is asked.
    fn proxy(&self, base: &Url) -> Result<Option<Proxy>, ConsulError> {
        let by_socket = matches!(self.address, Address::Unix(_));
        let Some(url) = self.proxies.of(base).filter(|_| !by_socket) else { return Ok(None) };
        let name = if self.tls { "HTTPS_PROXY" } else { "HTTP_PROXY" };
        let wrong = |reason| ConsulError::Variable { name, value: proxy::shown(url), reason };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("only http:// and https:// proxies can be used"));
        }
        let proxy = Proxy::all(url.clone()).map_err(|_| wrong("it is no URL of a proxy"))?;
        Ok(Some(proxy))
    }

    fn roots(&self) -> Result<Vec<Certificate>, ConsulError> {
        let mut files: Vec<_> =
            self.ca_file.iter().map(|path| ("CONSUL_CACERT", path.clone())).collect();
        if let Some(folder) = &self.ca_folder {
            let name = "CONSUL_CAPATH";
            let unreadable = |source| ConsulError::File { name, path: folder.clone(), source };
            for entry in fs::read_dir(folder).map_err(unreadable)? {
                let path = entry.map_err(unreadable)?.path();
                if path.is_file() {
                    files.push((name, path));
                }
            }
        }
        let mut roots = Vec::new();
        for (name, path) in files {
            let pem = read(name, &path)?;
            let bundle = Certificate::from_pem_bundle(&pem).map_err(|source| ConsulError::Pem {
                name,
                path,
                source,
            })?;
            roots.extend(bundle);
        }
        Ok(roots)
    }
}

/// An authority without user and password.
fn without_user(authority: &str) -> String {
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => authority.to_string(),
    }
}

fn address_of(base: &Url, port: u16) -> Option<SocketAddr> {
    use std::net::ToSocketAddrs as _;
    let host = base.host_str()?.trim_matches(['[', ']']);
    (host, port).to_socket_addrs().ok()?.next()
}

/// The socket of a URI such as `consul-unix:///run/consul.sock`.
fn socket(uri: &Url) -> PathBuf {
    format!("{}{}", uri.host_str().unwrap_or_default(), uri.path()).into()
}

fn read(name: &'static str, path: &Path) -> Result<Vec<u8>, ConsulError> {
    crate::files::read(path, crate::files::TEXT).map_err(|source| ConsulError::File {
        name,
        path: path.to_path_buf(),
        source,
    })
}

/// A variable that is true or false, as Go reads it.
fn boolean(
    set: impl Fn(&str) -> Option<String>,
    name: &'static str,
) -> Result<Option<bool>, ConsulError> {
    let Some(value) = set(name) else { return Ok(None) };
    match value.as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Some(true)),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Some(false)),
        _ => Err(ConsulError::Variable { name, value, reason: "it is neither true nor false" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(uri: &str, env: &[(&str, &str)]) -> Result<ConsulConfig, ConsulError> {
        let uri = Url::parse(uri).expect("a URI");
        let find = |name: &str| env.iter().find(|(key, _)| *key == name);
        ConsulConfig::new(&uri, |name| find(name).map(|(_, value)| value.to_string()))
    }

    fn base(uri: &str, env: &[(&str, &str)]) -> String {
        let config = config(uri, env).expect("a configuration");
        let (_, base) = config.apply(ClientBuilder::new()).expect("a client");
        base.to_string()
    }

    #[test]
    fn the_uri_wins_over_the_environment() {
        let env = [("CONSUL_HTTP_ADDR", "10.0.0.1:8501")];
        assert_eq!(base("consul://", &[]), "http://127.0.0.1:8500/");
        assert_eq!(base("consul://", &env), "http://10.0.0.1:8501/");
        assert_eq!(base("consul://10.0.0.2", &env), "http://10.0.0.2:8500/");
        assert_eq!(base("consul://[::1]:80", &env), "http://[::1]/");
    }

    #[test]
    fn a_socket_is_found_in_either() {
        let unix = Address::Unix("/run/consul.sock".into());
        let address = |uri, env| config(uri, env).expect("a configuration").address;
        assert_eq!(address("consul-unix:///run/consul.sock", &[]), unix);
        assert_eq!(address("consul://", &[("CONSUL_HTTP_ADDR", "unix:///run/consul.sock")]), unix);
    }

    #[test]
    fn a_value_that_means_nothing_is_named() {
        let error =
            config("consul://", &[("CONSUL_HTTP_SSL", "maybe")]).expect_err("not a boolean");
        assert_eq!(error.to_string(), "CONSUL_HTTP_SSL=maybe: it is neither true nor false");
        let error = config("consul://", &[("CONSUL_CLIENT_CERT", "a.pem")]).expect_err("no key");
        assert!(error.to_string().contains("the one needs the other"));
    }

    #[test]
    fn a_token_file_is_read_for_each_call() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().to_str().expect("a path");
        let env = [("CONSUL_HTTP_TOKEN_FILE", path), ("CONSUL_HTTP_TOKEN", "other")];
        let config = config("consul://", &env).expect("a configuration");
        for token in ["one", "two"] {
            fs::write(path, format!("{token}\n")).expect("the file is written");
            assert_eq!(config.token().expect("a token").as_deref(), Some(token));
        }
    }

    #[test]
    fn registrators_older_names_are_honoured() {
        let pair = |env: &[(&str, &str)]| {
            let identity = config("consul-tls://", env).expect("a configuration").identity;
            identity.map(|(one, other)| format!("{} {}", one.display(), other.display()))
        };
        let (cert, key) = (("CONSUL_CLIENT_CERT", "new.pem"), ("CONSUL_CLIENT_KEY", "new.key"));
        let (old_cert, old_key) = (("CONSUL_TLSCERT", "old.pem"), ("CONSUL_TLSKEY", "old.key"));
        assert_eq!(pair(&[old_cert, old_key]).as_deref(), Some("old.pem old.key"));
        assert_eq!(pair(&[cert, old_key]).as_deref(), Some("new.pem old.key"));
        assert_eq!(pair(&[cert, key, old_cert, old_key]).as_deref(), Some("new.pem new.key"));
        assert_eq!(pair(&[("CONSUL_TLSCERT", ""), cert, key]).as_deref(), Some("new.pem new.key"));
        let error = config("consul-tls://", &[old_cert]).expect_err("no key");
        assert!(error.to_string().contains("old.pem"), "{error}");
        let authority = config("consul-tls://", &[("CONSUL_CACERT", "ca.pem")]);
        assert_eq!(authority.expect("a configuration").ca_file, Some("ca.pem".into()));
    }

    /// Check through which proxy an agent is asked.
    #[track_caller]
    fn check_proxy(uri: &str, env: &[(&str, &str)], expected: Option<&str>) {
        let config = config(uri, env).expect("a configuration");
        let scheme = if config.tls { "https" } else { "http" };
        let Address::Tcp(authority) = &config.address else {
            let any = Url::parse("http://consul").expect("a URL");
            assert!(config.proxy(&any).expect("no fault").is_none(), "{uri}");
            return;
        };
        let base = Url::parse(&format!("{scheme}://{authority}")).expect("a URL");
        let found = config.proxies.of(&base).map(ToString::to_string);
        assert_eq!(found.as_deref(), expected, "{uri} {env:?}");
        assert_eq!(config.proxy(&base).expect("no fault").is_some(), expected.is_some());
    }

    #[test]
    fn a_proxy_is_for_agents_elsewhere() {
        let env = [("HTTP_PROXY", "http://p:1"), ("HTTPS_PROXY", "http://p:2")];
        for here in
            ["consul://", "consul://localhost", "consul-tls://[::1]:1", "consulkv://127.2.2.2"]
        {
            check_proxy(here, &env, None);
        }
        check_proxy("consul://agent", &env, Some("http://p:1/"));
        check_proxy("consulkv://agent/prefix", &env, Some("http://p:1/"));
        check_proxy("consul-tls://agent", &env, Some("http://p:2/"));
        check_proxy("consul-unix:///run/consul.sock", &env, None);
        let env = [env[0], ("NO_PROXY", "agent:8500")];
        check_proxy("consul://agent", &env, None);
        check_proxy("consul://agent:8501", &env, Some("http://p:1/"));
    }

    #[test]
    fn a_proxy_of_another_kind_is_refused_by_name() {
        let env = [("HTTP_PROXY", "socks5://user:secret@p:1080")];
        let fault = |uri: &str| {
            let config = config(uri, &env).expect("a configuration");
            config.apply(ClientBuilder::new()).err().map(|error| error.to_string())
        };
        let said = "HTTP_PROXY=socks5://p:1080: only http:// and https:// proxies can be used";
        assert_eq!(fault("consul://agent").as_deref(), Some(said));
        assert_eq!(fault("consul://127.0.0.1"), None);
    }
}
