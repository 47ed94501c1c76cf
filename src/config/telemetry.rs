//! `[telemetry]`: where traces are sent.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::text;

/// Where traces are sent; nowhere unless a place is said. The command line's wins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TelemetryConfig {
    /// The URL of a collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`; `none` for nowhere. Traces are
    /// sent to `/v1/traces` below it.
    pub otlp: Option<String>,
    /// The file with the fields of HTTP that go with each request to the collector, such as `Authorization: Bearer …`, a line
    /// each; relative to the configuration file.
    pub headers_file: Option<PathBuf>,
}

impl TelemetryConfig {
    /// The same with the file's path as it is from anywhere.
    pub(super) fn below(self, folder: &Path) -> Self {
        Self { headers_file: self.headers_file.map(|file| folder.join(file)), ..self }
    }

    /// What makes no sense, with its key.
    pub(super) fn fault(&self) -> Option<String> {
        let empty = |file: &PathBuf| file.as_os_str().is_empty();
        if self.headers_file.as_ref().is_some_and(empty) {
            return Some("telemetry.headers-file: it is empty".into());
        }
        self.settled(None).err()
    }

    /// Where traces are sent, with the place that the command line names, if it names one.
    ///
    /// # Errors
    ///
    /// It is no such URL; the words name the key or the flag.
    pub fn settled(&self, flag: Option<&str>) -> Result<Option<Url>, String> {
        let key = if flag.is_some() { "--otlp" } else { "telemetry.otlp" };
        let said = flag.or(self.otlp.as_deref()).filter(|said| *said != "none");
        let Some(said) = said else { return Ok(None) };
        let fault = |words: &str| format!("{key}: {:?} {words}", text::without_secrets(said));
        let mut url =
            Url::parse(said).map_err(|_| fault("is no URL such as http://127.0.0.1:4318"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(fault("is neither http:// nor https://"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(fault("has a query, or a fragment; a collector's URL has none"));
        }
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok(Some(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_a_url_and_the_flag_wins() {
        for (said, expected) in [
            ("http://127.0.0.1:4318", Ok(Some("http://127.0.0.1:4318/v1/traces"))),
            ("http://127.0.0.1:4318/", Ok(Some("http://127.0.0.1:4318/v1/traces"))),
            ("https://c.example/otlp", Ok(Some("https://c.example/otlp/v1/traces"))),
            ("http://[::1]:1", Ok(Some("http://[::1]:1/v1/traces"))),
            ("none", Ok(None)),
            ("", Err("is no URL")),
            ("127.0.0.1:4318", Err("is no URL")),
            ("localhost:4318", Err("is neither http:// nor https://")),
            ("grpc://127.0.0.1:4317", Err("is neither")),
            ("http://", Err("is no URL")),
            ("http://c.example/?a=b", Err("has a query")),
            ("http://c.example/#a", Err("has a query")),
        ] {
            let config = TelemetryConfig { otlp: Some(said.into()), headers_file: None };
            match (config.settled(None), expected) {
                (Ok(url), Ok(expected)) => {
                    assert_eq!(url.as_ref().map(Url::as_str), expected, "{said}");
                }
                (Err(fault), Err(part)) => {
                    assert!(fault.starts_with("telemetry.otlp: "), "{fault}");
                    assert!(fault.contains(part), "{said}: {fault}");
                }
                (found, _) => panic!("{said}: {found:?}"),
            }
        }
        let bare = TelemetryConfig::default();
        assert_eq!((bare.settled(None), bare.fault()), (Ok(None), None));
        let fault = bare.settled(Some("ftp://u:hunter2@h/")).expect_err("a fault");
        assert!(fault.starts_with("--otlp: ") && !fault.contains("hunter2"), "{fault}");
        let config = TelemetryConfig { otlp: Some("http://a/".into()), headers_file: None };
        assert_eq!(config.settled(Some("none")), Ok(None));
    }
}
