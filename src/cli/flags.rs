//! The flags of the daemon, which commands that look at it take as well.
//!
//! A flag that is not given is none, so that the file can say what it does not: each has a
//! key, and the flag wins ([`RunArgs::filled`]). A test walks all of them.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use clap::Args;

use crate::{
    config::{Config, LogFormat},
    model::host::Compat,
};

/// A command line that can be read and still not be used, which shows only later: a flag's
/// value, or what is missing beside a file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadUsage(pub String);

/// The flags that decide what is registered.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct OfferArgs {
    /// IP for ports mapped to the host.
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<String>,

    /// Use the containers' own addresses and ports instead of published ones.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub internal: Option<bool>,

    /// Only register containers that have SERVICE_NAME set.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub explicit: Option<bool>,

    /// Tags for all services, separated by commas; a Go template over what
    /// `docker inspect` prints.
    #[arg(long, value_name = "TAGS")]
    pub tags: Option<String>,

    /// Let the template of --tags call out with httpGet.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub allow_http_get: Option<bool>,

    /// Use the IP that is stored in this label of the container.
    #[arg(long = "useIpFromLabel", alias = "use-ip-from-label", value_name = "LABEL")]
    pub use_ip_from_label: Option<String>,

    /// The host name that service IDs begin with; the machine's own if not
    /// given.
    #[arg(long, value_name = "NAME", env = "WHARFINGER_HOSTNAME")]
    pub hostname: Option<String>,

    /// The address of a host name, in the place of its resolution.
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = resolution)]
    pub resolve: Vec<(String, String)>,

    /// Whose rules hold where registrator's behaviour is a bug: none or
    /// registrator.
    #[arg(long, value_name = "WHOSE")]
    pub compat: Option<Compat>,

    /// Do not mark services as the daemon's own in their metadata.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub no_provenance: Option<bool>,

    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "WHARFINGER_CONFIG")]
    pub config: Option<PathBuf>,

    /// The folder for compiled components; an empty one for none.
    /// [default: wharfinger in the user's folder for caches]
    #[arg(long, value_name = "FOLDER", env = "WHARFINGER_CACHE_DIR", value_parser = folder)]
    pub cache_dir: Option<PathBuf>,
}

/// The flags of the daemon. Commands that say what it would do take all of them, whether
/// they have a bearing on that or not.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct RunArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub offer: OfferArgs,

    /// Containers that docker inspect recorded in this file, in the place of
    /// Docker's. Can be given several times.
    #[arg(long, value_name = "FILE")]
    pub containers: Vec<PathBuf>,

    /// Remove dangling services that registrator left behind on this host. Those
    /// that the daemon registered itself are always removed.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub cleanup: Option<bool>,

    /// Deregister exited services "always" or "on-success".
    /// [default: always]
    #[arg(long, value_name = "WHEN")]
    pub deregister: Option<String>,

    /// Seconds between two resyncs; 0 for none.
    /// [default: 0]
    #[arg(long, value_name = "SECONDS")]
    pub resync: Option<u64>,

    /// Attempts to reach the registry at start after the first; -1 for no end.
    /// [default: -1, or 0 under --compat registrator]
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pub retry_attempts: Option<i64>,

    /// Milliseconds between two attempts.
    /// [default: 2000]
    #[arg(long, value_name = "MILLISECONDS", allow_negative_numbers = true)]
    pub retry_interval: Option<i64>,

    /// TTL for services in seconds; 0 for no expiry.
    /// [default: 0]
    #[arg(long, value_name = "SECONDS")]
    pub ttl: Option<u64>,

    /// Seconds between two refreshes of services' TTLs.
    /// [default: 0]
    #[arg(long, value_name = "SECONDS")]
    pub ttl_refresh: Option<u64>,

    /// Confirm beforehand whatever the start takes out of the catalog, however
    /// much it is.
    #[arg(long)]
    pub confirm: bool,

    /// Where other commands reach the daemon; `none` for nowhere. Without it,
    /// /run/wharfinger/control.sock or the like.
    #[arg(long, value_name = "PATH", env = "WHARFINGER_CONTROL")]
    pub control: Option<PathBuf>,

    /// Where the daemon is looked at over HTTP, such as 127.0.0.1:8700; `none` for nowhere,
    /// which holds unless the file says otherwise.
    #[arg(long, value_name = "ADDRESS", env = "WHARFINGER_LISTEN")]
    pub listen: Option<String>,

    /// Where traces are sent by OTLP over HTTP, such as http://127.0.0.1:4318; `none` for nowhere,
    /// which holds unless the file says otherwise.
    #[arg(long, value_name = "URL", env = "WHARFINGER_OTLP")]
    pub otlp: Option<String>,

    /// The form of the daemon's log.
    /// [default: text]
    #[arg(long, value_name = "FORM", env = "WHARFINGER_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,

    /// Where services are registered: consul://, consul-tls://, consul-unix://,
    /// consulkv://<host>:<port>/<prefix>, consulkv-unix://<socket>:/<prefix> or
    /// memory://. Commands compare recorded containers with a registry only if it is
    /// given here.
    #[arg(value_name = "registry URI")]
    pub uri: Option<String>,
}

impl RunArgs {
    /// Whether nothing is said of the daemon but which one it is: by its socket, or by its registry.
    pub fn is_bare(&self) -> bool {
        let Self { control, log_format, uri, .. } = self.clone();
        let offer = OfferArgs { cache_dir: self.offer.cache_dir.clone(), ..OfferArgs::default() };
        *self == Self { offer, control, log_format, uri, ..Self::default() }
    }

    /// The same with what the file says where no flag does. The registry is not among
    /// it: whether the file's counts depends on the command.
    pub fn filled(self, config: &Config) -> Self {
        let (host, file, daemon) = (&config.host, &config.registrator, &config.daemon);
        let offer = self.offer;
        let resolve = match offer.resolve.is_empty() {
            true => host.resolve.iter().map(|(name, to)| (name.clone(), to.to_string())).collect(),
            false => offer.resolve,
        };
        let offer = OfferArgs {
            ip: offer.ip.or_else(|| host.address.clone()),
            hostname: offer.hostname.or_else(|| host.name.clone()),
            resolve,
            internal: offer.internal.or(file.internal),
            explicit: offer.explicit.or(file.explicit),
            tags: offer.tags.or_else(|| file.tags.clone()),
            allow_http_get: offer.allow_http_get.or(file.allow_http_get),
            use_ip_from_label: offer.use_ip_from_label.or_else(|| file.use_ip_from_label.clone()),
            compat: offer.compat.or(config.compat),
            no_provenance: offer.no_provenance.or(config.registry.provenance.map(|marks| !marks)),
            cache_dir: offer.cache_dir.or_else(|| config.cache.dir.clone()),
            config: offer.config,
        };
        let seconds = |time: Option<std::time::Duration>| time.map(|time| time.as_secs());
        let millis =
            |time: std::time::Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Self {
            offer,
            cleanup: self.cleanup.or(file.cleanup),
            deregister: self.deregister.or_else(|| file.deregister.map(|when| when.to_string())),
            resync: self.resync.or(seconds(file.resync)),
            retry_attempts: self.retry_attempts.or(file.retry_attempts),
            retry_interval: self.retry_interval.or(file.retry_interval.map(millis)),
            ttl: self.ttl.or(seconds(file.ttl)),
            ttl_refresh: self.ttl_refresh.or(seconds(file.ttl_refresh)),
            control: self.control.or_else(|| daemon.control.clone()),
            listen: self.listen.or_else(|| config.listen.address.clone()),
            otlp: self.otlp.or_else(|| config.telemetry.otlp.clone()),
            log_format: self.log_format.or(daemon.log_format),
            ..self
        }
    }

    /// Rules over several flags. The words are registrator's.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), String> {
        let (ttl, refresh) = (self.ttl.unwrap_or(0), self.ttl_refresh.unwrap_or(0));
        self.check_each()?;
        if (ttl == 0) != (refresh == 0) {
            return Err("-ttl and -ttl-refresh must be specified together or not at all".into());
        }
        if ttl > 0 && ttl <= refresh {
            return Err("-ttl must be greater than -ttl-refresh".into());
        }
        Ok(())
    }

    /// The rules over single flags, which hold whatever the file says.
    pub(super) fn check_each(&self) -> Result<(), String> {
        let deregister = self.deregister.as_deref().unwrap_or("always");
        if !matches!(deregister, "always" | "on-success") {
            return Err("-deregister must be \"always\" or \"on-success\"".into());
        }
        if self.retry_interval.is_some_and(|interval| interval <= 0) {
            return Err("-retry-interval must be greater than 0".into());
        }
        if self.retry_attempts.is_some_and(|attempts| attempts < -1) {
            return Err("-retry-attempts must be -1 or greater".into());
        }
        Ok(())
    }
}

impl OfferArgs {
    /// The flags that have a value, by their long names, for the stages.
    pub fn flags(&self, compat: Compat) -> BTreeMap<String, String> {
        let on = |flag: Option<bool>| flag.unwrap_or(false).then(|| "true".to_string());
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        [
            ("ip", self.ip.clone()),
            ("internal", on(self.internal)),
            ("explicit", on(self.explicit)),
            ("tags", text(&self.tags)),
            ("useIpFromLabel", text(&self.use_ip_from_label)),
            ("hostname", self.hostname.clone()),
            ("compat", Some(compat.to_string())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_string(), value?)))
        .collect()
    }
}

/// A folder, or nothing, which stands for none.
pub(super) fn folder(text: &str) -> Result<PathBuf, std::convert::Infallible> {
    Ok(text.into())
}

fn resolution(text: &str) -> Result<(String, String), String> {
    let (name, address) =
        text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=ADDRESS"))?;
    address.parse::<IpAddr>().map_err(|_| format!("{address:?} is not an IP address"))?;
    Ok((name.to_string(), address.to_string()))
}
