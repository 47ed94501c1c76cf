//! The keys that the stage reads, and how they may be spelt.
//!
//! A key is Consul's field name in capitals and underscores. Where the underscores stand does
//! not matter (`H2PING_USE_TLS`, `H2_PING_USE_TLS`), since Consul's own names do not say it.

use std::borrow::Cow;

/// What a service's keys and those of its checks begin with, in small letters.
const CHECK: &str = "check_";

/// Keys of a service. What has an underscore may be spelt without it.
const OF_SERVICE: [&str; 13] = [
    "id",
    "name",
    "tags",
    "ignore",
    "oneoff",
    "checks",
    "enable_tag_override",
    "weights",
    "weights_passing",
    "weights_warning",
    "tagged_addresses",
    "namespace",
    "partition",
];

/// Keys of a check, after `check_`.
const OF_CHECK: [&str; 39] = [
    "http",
    "https",
    "cmd",
    "script",
    "ttl",
    "tcp",
    "grpc",
    "h2ping",
    "udp",
    "docker_container_id",
    "args",
    "alias_service",
    "alias_node",
    "os_service",
    "id",
    "name",
    "notes",
    "interval",
    "timeout",
    "initial_status",
    "deregister_after",
    "success_before_passing",
    "failures_before_warning",
    "failures_before_critical",
    "http_method",
    "https_method",
    "method",
    "header",
    "body",
    "disable_redirects",
    "tls_skip_verify",
    "tls_server_name",
    "tcp_use_tls",
    "grpc_use_tls",
    "h2ping_use_tls",
    "shell",
    "output_max_size",
    "port",
    // `SERVICE_CHECK_GRPC` has always been a yes or no; this is the service of the server.
    "grpc_service",
];

/// Consul's name where registrator's is another, and names that are often taken for Consul's.
const ALIASES: [(&str, &str); 7] = [
    ("status", "initial_status"),
    ("deregistercriticalserviceafter", "deregister_after"),
    ("checkid", "id"),
    ("scriptargs", "args"),
    ("headers", "header"),
    ("httpheader", "header"),
    ("httpsheader", "header"),
];

/// What a key is to the stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known<'a> {
    /// One that it reads, in the spelling by which it is asked for.
    Read(Cow<'static, str>),
    /// One that begins as a check's and is none.
    Unknown(&'a str),
    /// Metadata.
    Other(&'a str),
}

/// What a key is, given in small letters without prefix and port.
pub(crate) fn known(key: &str) -> Known<'_> {
    if let Some(rest) = key.strip_prefix(CHECK) {
        let bare = plain(rest);
        let alias = ALIASES.iter().find(|(alias, _)| *alias == bare).map(|(_, of)| *of);
        return match alias.or_else(|| OF_CHECK.into_iter().find(|known| plain(known) == bare)) {
            Some(known) => Known::Read(Cow::Owned(format!("{CHECK}{known}"))),
            None => Known::Unknown(rest),
        };
    }
    let same = |known: &&str| key == *known || (known.contains('_') && plain(key) == plain(known));
    match OF_SERVICE.into_iter().find(same) {
        Some(known) => Known::Read(Cow::Borrowed(known)),
        None => Known::Other(key),
    }
}

/// Whether the key, as [`known`] gives it, is one that the stage reads.
pub(crate) fn is_read(key: &str) -> bool {
    OF_SERVICE.contains(&key) || key.starts_with(CHECK)
}

fn plain(key: &str) -> String {
    key.replace('_', "")
}

/// The key of a check that begins with these words, or else takes the fewest changes of a letter.
pub(crate) fn nearest(key: &str) -> &'static str {
    let begins = |known: &&str| key.len() > 3 && known.starts_with(key);
    if let Some(known) = OF_CHECK.into_iter().find(begins) {
        return known;
    }
    // A key of any length costs no more than this.
    let key: Vec<char> = key.chars().take(64).collect();
    OF_CHECK.into_iter().min_by_key(|known| distance(&key, known)).unwrap_or("http")
}

/// How many letters are put in, left out or changed.
fn distance(a: &[char], b: &str) -> usize {
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (line, other) in b.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, one) in a.iter().enumerate() {
            let changed = diagonal + usize::from(*one != other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[a.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_field_is_the_same_key() {
        for (spelt, expected) in [
            ("check_http", "check_http"),
            ("check_deregister_critical_service_after", "check_deregister_after"),
            ("check_status", "check_initial_status"),
            ("check_check_id", "check_id"),
            ("check_script_args", "check_args"),
            ("check_h2_ping_use_tls", "check_h2ping_use_tls"),
            ("check_tlsservername", "check_tls_server_name"),
            ("check_docker_container_id", "check_docker_container_id"),
            ("enabletagoverride", "enable_tag_override"),
            ("weights_passing", "weights_passing"),
        ] {
            assert_eq!(known(spelt), Known::Read(expected.into()), "{spelt}");
        }
        for other in ["region", "check", "i_d", "weight", "na_me", "port", "address"] {
            assert_eq!(known(other), Known::Other(other), "{other}");
        }
    }

    #[test]
    fn the_nearest_key_is_the_one_that_was_meant() {
        for (spelt, expected) in [
            ("check_htpp", "http"),
            ("check_intervall", "interval"),
            ("check_time_out_", "timeout"),
            ("check_heder", "header"),
            ("check_failures_before_crit", "failures_before_critical"),
            ("check_tls_skip", "tls_skip_verify"),
        ] {
            match known(spelt) {
                Known::Unknown(rest) => assert_eq!(nearest(rest), expected, "{spelt}"),
                // Where the underscores stand is no fault.
                Known::Read(key) => assert_eq!(key, format!("check_{expected}"), "{spelt}"),
                other => panic!("{spelt}: {other:?}"),
            }
        }
        assert!(OF_CHECK.contains(&nearest(&"é".repeat(10_000))));
    }
}
