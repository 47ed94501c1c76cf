//! The URLs of calls. Parts of a path or a query are encoded here and nowhere else, so that they
//! arrive as they were; a part that would not is not sent.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use reqwest::Url;

use crate::model::service::in_path;

/// The characters that are encoded in a segment of a path.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The longest URL; the HTTP library takes no more than 64 KiB.
const LONGEST: usize = 60_000;

/// The URL of these segments below an agent's own, with these parameters. A slash in
/// a segment stays in it.
///
/// # Errors
///
/// Why the segments would not arrive as they are.
pub(super) fn url(
    base: &Url,
    segments: &[&str],
    query: &[(&str, &str)],
) -> Result<Url, &'static str> {
    let plain = segments.join("/");
    in_path(&plain)?;
    let below = base.path().trim_end_matches('/');
    let mut path = String::with_capacity(below.len() + plain.len() + 16);
    path.push_str(below);
    for segment in segments {
        path.push('/');
        path.extend(utf8_percent_encode(segment, ENCODED));
    }
    let mut url = base.clone();
    url.set_path(&path);
    // The library drops and resolves what the rules above should not let through.
    let sent = percent_decode_str(url.path().strip_prefix(below).unwrap_or_default());
    if !sent.eq(b"/".iter().copied().chain(plain.bytes())) {
        return Err("it does not survive in a URL");
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    if url.as_str().len() > LONGEST {
        return Err("the URL would have more than 60000 bytes");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As an agent in Go reads it: decoded once, and in the query with `+` for a space.
    fn read(url: &Url) -> (Vec<u8>, Vec<(String, String)>) {
        let path = percent_decode_str(url.path()).collect();
        (path, url.query_pairs().into_owned().collect())
    }

    fn base() -> Url {
        Url::parse("http://127.0.0.1:8500/").expect("a URL")
    }

    #[test]
    fn a_slash_stays_in_its_segment_and_what_is_lost_is_not_sent() {
        let lookup = |id| url(&base(), &["v1", "agent", "service", id], &[]);
        for (id, path) in [
            ("h:app:80", "/v1/agent/service/h:app:80"),
            ("a/b", "/v1/agent/service/a%2Fb"),
            ("a b%2Fc", "/v1/agent/service/a%20b%252Fc"),
            ("%2e%2e", "/v1/agent/service/%252e%252e"),
            ("a\\b", "/v1/agent/service/a%5Cb"),
        ] {
            assert_eq!(lookup(id).expect(id).path(), path);
        }
        for id in ["", "..", ".", "a/../b", "a//b", "/a", "a\tb", "a\nb", "\u{7f}", "\u{2028}"] {
            // An empty segment at the end would be a call of another kind.
            assert!(lookup(id).is_err() || id.is_empty(), "{id:?}");
        }
        let long = "\u{e9}".repeat(10_000);
        assert_eq!(lookup(&long), Err("the URL would have more than 60000 bytes"));
        let below = Url::parse("http://h/consul/").expect("a URL");
        let path = url(&below, &["v1", "kv", "a", ""], &[]).expect("a folder").path().to_string();
        assert_eq!(path, "/consul/v1/kv/a/");
    }

    proptest! {
        #[test]
        fn what_is_sent_decodes_to_the_same_bytes(
            ids in prop::collection::vec("\\PC{0,12}|[./%a\\\\ ]{0,6}|(?s).{0,6}", 1..4),
            values in prop::collection::vec("(?s).{0,12}", 0..3),
        ) {
            let segments: Vec<_> = ["v1"].into_iter().chain(ids.iter().map(String::as_str)).collect();
            let query: Vec<_> = values.iter().map(|value| ("k", value.as_str())).collect();
            if let Ok(url) = url(&base(), &segments, &query) {
                let (path, pairs) = read(&url);
                prop_assert_eq!(path, format!("/{}", segments.join("/")).into_bytes());
                let values: Vec<_> = values.iter().map(|v| ("k".to_string(), v.clone())).collect();
                prop_assert_eq!(pairs, values);
                // Nothing that a server would tidy up.
                let parts: Vec<_> = url.path()[1..].split('/').collect();
                prop_assert_eq!(parts.len(), segments.len());
            }
        }
    }
}
