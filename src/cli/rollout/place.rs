//! Where a rollout's document is: an agent, a key, and how the key is written.

use anyhow::{Context as _, anyhow, bail};
use clap::Args;

use crate::{
    cli::BadUsage,
    model::service::addressable,
    policy::rollout::{Document, operate::Deed},
    registry::{Consul, Place},
    text,
};

/// What stands before a key of Consul's KV store.
pub(super) const SCHEME: &str = "consul-kv://";

/// The flags that say which Consul is asked, and for whom.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ConsulArgs {
    /// The Consul that is asked: consul://, consul-tls:// or consul-unix://. Without an address
    /// CONSUL_HTTP_ADDR counts; tokens and certificates are read from CONSUL_HTTP_TOKEN and the
    /// like, as by Consul's own commands.
    #[arg(long, value_name = "URI", default_value = "consul://")]
    registry: String,

    /// The name of the service that daemons register themselves as.
    #[arg(long, value_name = "NAME", default_value = "wharfinger")]
    service: String,
}

impl ConsulArgs {
    /// The agent; nothing is sent yet.
    pub(in crate::cli) fn open(&self) -> anyhow::Result<Consul> {
        let agent = Place::parse(&self.registry)?.agent(|name| std::env::var(name).ok())?;
        agent.ok_or_else(|| {
            let uri = text::without_secrets(&self.registry);
            BadUsage(format!("--registry: {uri} is no Consul")).into()
        })
    }

    /// The name of the daemons' service.
    pub(in crate::cli) fn service(&self) -> &str {
        &self.service
    }
}

/// The flags that say where the document is.
#[derive(Debug, Clone, Args)]
pub(super) struct PlaceArgs {
    /// The key that the hosts follow, such as consul-kv://wharfinger/prod.
    #[arg(long, value_name = "URI", value_parser = key)]
    source: Key,

    #[command(flatten)]
    pub(super) consul: ConsulArgs,
}

impl PlaceArgs {
    pub(super) fn key(&self) -> &str {
        &self.source.0
    }
}

/// A key of Consul's KV store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Key(String);

impl Key {
    /// The key itself.
    pub(in crate::cli) fn name(&self) -> &str {
        &self.0
    }
}

/// The key that a URI names.
pub(in crate::cli) fn key(uri: &str) -> Result<Key, String> {
    let key = uri
        .strip_prefix(SCHEME)
        .ok_or_else(|| format!("it is no key such as {SCHEME}wharfinger/prod"))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.,".contains(c);
    let bad = key.split('/').find(|part| {
        addressable(part).is_err() || !part.chars().all(plain) || matches!(*part, "." | "..")
    });
    match bad {
        Some(part) => {
            Err(format!("{part:?} is no part of a key: letters, digits and -_., between slashes"))
        }
        None => Ok(Key(key.to_string())),
    }
}

/// The document under a key with the number of its last change, if there is one.
pub(in crate::cli) async fn read_document(
    consul: &Consul,
    key: &str,
) -> anyhow::Result<Option<(Document, u64)>> {
    let Some(value) = consul.value(key).await? else { return Ok(None) };
    let document = Document::parse(&value.bytes).with_context(|| key.to_string())?;
    Ok(Some((document, value.index)))
}

/// Write a document, unless somebody has written another one since it had this number.
pub(super) async fn write(
    consul: &Consul,
    key: &str,
    document: &Document,
    index: u64,
) -> anyhow::Result<()> {
    let bytes = serde_json::to_vec_pretty(document).context("a document is JSON")?;
    // Nobody writes what no host would read.
    Document::parse(&bytes).with_context(|| format!("{key}: the new document"))?;
    if consul.replace_value(key, bytes, index).await? {
        return Ok(());
    }
    match read_document(consul, key).await? {
        Some((other, _)) => {
            let Deed { what, by, at } = other.deed();
            let bundle = other.bundle.digest;
            bail!(
                "{key}: somebody else was quicker, and nothing was written: the rollout of \
                 {bundle} was {what} by {by} at {at}"
            )
        }
        None => Err(anyhow!("{key}: somebody else has removed it meanwhile; nothing was written")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_key_and_nothing_else() {
        for (uri, found) in [
            ("consul-kv://wharfinger/prod", Some("wharfinger/prod")),
            ("consul-kv://a", Some("a")),
            ("consul-kv://a-b_c.d/e", Some("a-b_c.d/e")),
            ("consul-kv://", None),
            ("consul-kv:///a", None),
            ("consul-kv://a/", None),
            ("consul-kv://a//b", None),
            ("consul-kv://a/../b", None),
            ("consul-kv://a b", None),
            ("consul-kv://a?b", None),
            ("consul-kv://\u{e9}", None),
            ("wharfinger/prod", None),
            ("oci://a/b", None),
        ] {
            let read = key(uri);
            assert_eq!(read.as_ref().ok().map(|key| key.0.as_str()), found, "{uri}: {read:?}");
        }
    }
}
