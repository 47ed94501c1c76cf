//! `[listen]`: where the daemon is looked at over HTTP, and by whom.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::files;

/// Where the daemon is looked at over HTTP; nowhere unless an address is said. The command line's
/// address wins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ListenConfig {
    /// An IP address and a port, such as `127.0.0.1:8700`; `none` for nowhere.
    pub address: Option<String>,
    /// The file that holds the token that is asked for, relative to the configuration file.
    pub token_file: Option<PathBuf>,
    /// Whether everybody who reaches an address beyond loopback may look without a token.
    pub open: bool,
    /// Names beside the address by which this is reached: a request for another one is refused.
    pub hosts: Vec<String>,
}

/// Where to listen, and who may look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The address.
    pub address: SocketAddr,
    /// The token that is asked for, if one is.
    pub token: Option<String>,
    /// Further names by which this is reached, in lower case.
    pub hosts: Vec<String>,
}

/// A shorter token can be guessed.
const LEAST_TOKEN: usize = 16;
/// The longest token.
const MOST_TOKEN: u64 = 4096;

impl ListenConfig {
    /// The same with the token's path as it is from anywhere.
    pub(super) fn below(self, folder: &Path) -> Self {
        Self { token_file: self.token_file.map(|file| folder.join(file)), ..self }
    }

    /// What makes no sense, with its key. What the token's file holds is judged by
    /// [`ListenConfig::settled`].
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> = self.judged("listen.address").err().into_iter().collect();
        if self.open && self.token_file.is_some() {
            faults.push(
                "listen.open: with listen.token-file a token is asked for; one of the two is too \
                 much"
                    .into(),
            );
        }
        for host in &self.hosts {
            if let Some(fault) = host_fault(host) {
                faults.push(format!("listen.hosts: {host:?}: {fault}"));
            }
        }
        faults
    }

    fn judged(&self, key: &str) -> Result<Option<SocketAddr>, String> {
        let Some(address) = self.address.as_deref().filter(|address| *address != "none") else {
            return Ok(None);
        };
        let parsed: SocketAddr = address.parse().map_err(|_| {
            format!("{key}: {address:?} is no IP address with a port, such as 127.0.0.1:8700")
        })?;
        let secluded = parsed.ip().to_canonical().is_loopback();
        if !secluded && !self.open && self.token_file.is_none() {
            return Err(format!(
                "{key}: {address} can be reached from other machines: name a file with a token \
                 (listen.token-file), or say that everybody may look (listen.open = true)"
            ));
        }
        Ok(Some(parsed))
    }

    /// Where to listen, with the address that the command line names, if it names one.
    ///
    /// # Errors
    ///
    /// Every fault, with its key or flag.
    pub fn settled(&self, flag: Option<&str>) -> Result<Option<Listen>, Vec<String>> {
        let key = if flag.is_some() { "--listen" } else { "listen.address" };
        let address = flag.map(String::from).or_else(|| self.address.clone());
        let address = Self { address, ..self.clone() }.judged(key).map_err(|fault| vec![fault])?;
        let Some(address) = address else { return Ok(None) };
        let token = self.token_file.as_deref().map(token).transpose();
        let token = token.map_err(|fault| vec![fault])?;
        let hosts = self.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        Ok(Some(Listen { address, token, hosts }))
    }
}

/// The token that a file holds.
fn token(file: &Path) -> Result<String, String> {
    let fault = |words: String| format!("listen.token-file: {}: {words}", file.display());
    let text = files::read_text(file, MOST_TOKEN).map_err(|error| fault(error.to_string()))?;
    let token = text.trim();
    if token.len() < LEAST_TOKEN {
        return Err(fault(format!("a token has {LEAST_TOKEN} characters or more")));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(fault("a token is one line of visible ASCII characters".into()));
    }
    Ok(token.to_string())
}

/// Why a text is no name that a request can be for.
fn host_fault(host: &str) -> Option<&'static str> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (host.is_empty() || !host.chars().all(fits)).then_some("it is a host's name without a port")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Config;

    fn faults(text: &str) -> Vec<String> {
        let config: Config = toml::from_str(text).expect("a file");
        config.listen.faults()
    }

    #[test]
    fn what_others_reach_wants_a_token_or_a_word() {
        for (text, part) in [
            ("", None),
            ("[listen]\naddress = '127.0.0.1:1'", None),
            ("[listen]\naddress = '127.9.9.9:1'", None),
            ("[listen]\naddress = '[::1]:1'", None),
            ("[listen]\naddress = '[::ffff:127.0.0.1]:1'", None),
            ("[listen]\naddress = 'none'", None),
            ("[listen]\naddress = '0.0.0.0:1'", Some("listen.address: 0.0.0.0:1 can be reached")),
            ("[listen]\naddress = '[::]:1'", Some("listen.token-file")),
            ("[listen]\naddress = '192.0.2.1:1'", Some("listen.open")),
            ("[listen]\naddress = '192.0.2.1:1'\nopen = true", None),
            ("[listen]\naddress = '192.0.2.1:1'\ntoken-file = 't'", None),
            ("[listen]\naddress = ':8700'", Some("listen.address: \":8700\" is no IP address")),
            ("[listen]\naddress = 'localhost:1'", Some("listen.address")),
            ("[listen]\naddress = '127.0.0.1'", Some("listen.address")),
            ("[listen]\nopen = true\ntoken-file = 't'", Some("listen.open")),
            ("[listen]\nhosts = ['a.example', '192.0.2.1', '[::2]', '::2']", None),
            ("[listen]\nhosts = ['a:80']", Some("listen.hosts: \"a:80\"")),
            ("[listen]\nhosts = ['http://a/']", Some("listen.hosts")),
            ("[listen]\nhosts = ['']", Some("listen.hosts")),
        ] {
            let found = faults(text);
            match part {
                None => assert_eq!(found, [""; 0], "{text}"),
                Some(part) => assert!(found.join("; ").contains(part), "{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn the_token_is_read_and_judged_and_the_flag_wins() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        let config = ListenConfig {
            address: Some("0.0.0.0:1".into()),
            token_file: Some(file.clone()),
            ..ListenConfig::default()
        };
        let fault = |config: &ListenConfig, flag| config.settled(flag).expect_err("a fault");
        assert!(fault(&config, None)[0].starts_with("listen.token-file: "));
        for (text, fits) in [
            ("0123456789abcdef\n", true),
            ("0123456789abcde\n", false),
            ("", false),
            ("0123456789abcdef 0123", false),
            ("0123456789abcdef\n0123", false),
        ] {
            fs::write(&file, text).expect("it is written");
            assert_eq!(config.settled(None).is_ok(), fits, "{text:?}");
        }
        fs::write(&file, "0123456789abcdef").expect("it is written");
        let settled = |flag| config.settled(flag).expect("no fault");
        let token = settled(None).expect("it listens").token;
        assert_eq!(token.as_deref(), Some("0123456789abcdef"));
        let address = settled(Some("127.0.0.1:2")).expect("it listens").address;
        assert_eq!(address.to_string(), "127.0.0.1:2");
        assert_eq!(settled(Some("none")), None);
        let bare = ListenConfig::default();
        assert_eq!(bare.settled(None), Ok(None));
        assert!(fault(&bare, Some("192.0.2.1:2"))[0].starts_with("--listen: 192.0.2.1:2 can be"));
    }
}
