//! A registry's challenge before it lets somebody in: the header `WWW-Authenticate`, and the hosts
//! that a login may be shown to. Pure.
//!
//! A login is for the host that Docker's `config.json` names. It goes to the realm of a challenge
//! only if that is the same host, or one of the same family by name and over TLS. Any other host
//! gets the login that is kept for it, or none.

use reqwest::{
    Url,
    header::{HeaderMap, WWW_AUTHENTICATE},
};

/// A challenge of a registry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// The login itself.
    Basic,
    /// A token, which the realm gives for the login, or to anybody.
    Bearer {
        /// The URL that gives the token.
        realm: String,
        /// For which service.
        service: Option<String>,
    },
    /// Something that is not understood.
    Unknown(String),
}

/// The challenge of an answer that can be met best.
pub(super) fn challenge(headers: &HeaderMap) -> Challenge {
    let all = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let all: Vec<Challenge> = all.map(parse).collect();
    let rank = |one: &Challenge| match one {
        Challenge::Bearer { .. } => 0,
        Challenge::Basic => 1,
        Challenge::Unknown(_) => 2,
    };
    let best = all.into_iter().min_by_key(rank);
    best.unwrap_or_else(|| Challenge::Unknown("no kind of login".into()))
}

fn parse(text: &str) -> Challenge {
    let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Challenge::Basic;
    }
    match parameter(rest, "realm") {
        Some(realm) if scheme.eq_ignore_ascii_case("bearer") => {
            Challenge::Bearer { realm, service: parameter(rest, "service") }
        }
        _ => Challenge::Unknown(format!("{:?}", scheme.chars().take(40).collect::<String>())),
    }
}

/// A parameter of a challenge, such as `realm="…"`.
fn parameter(text: &str, key: &str) -> Option<String> {
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let (value, more) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if name.trim_matches([',', ' ']).eq_ignore_ascii_case(key) {
            return Some(value.trim().into());
        }
        rest = more;
    }
    None
}

/// Whether the login of the registry at `base` may be shown to a realm.
pub(super) fn is_family(base: &Url, realm: &Url) -> bool {
    let (Some(registry), Some(other)) = (base.host_str(), realm.host_str()) else { return false };
    let secure = realm.scheme() == "https";
    if registry == other {
        // Without TLS nobody vouches for what listens on another port.
        return secure || realm.origin() == base.origin();
    }
    let named = |url: &Url| url.domain().is_some();
    if !secure || base.scheme() != "https" || !named(base) || !named(realm) {
        return false;
    }
    let below = |name: &str, parent: &str| {
        name.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    // `registry.example.com` and `auth.example.com`, but not all of `com`.
    let parent = registry.split_once('.').map(|(_, parent)| parent).filter(|it| it.contains('.'));
    below(other, registry) || parent.is_some_and(|parent| below(other, parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_read() {
        let bearer = |realm: &str, service: Option<&str>| Challenge::Bearer {
            realm: realm.into(),
            service: service.map(String::from),
        };
        for (text, expected) in [
            (
                "Bearer realm=\"https://a.example/t\",service=\"r, x\",scope=\"repository:a:pull\"",
                bearer("https://a.example/t", Some("r, x")),
            ),
            ("bearer scope=\"a=b\", Realm=\"x\"", bearer("x", None)),
            ("Bearer realm=x,service=y", bearer("x", Some("y"))),
            ("Basic realm=\"r\"", Challenge::Basic),
            ("basic", Challenge::Basic),
            ("Bearer service=\"r\"", Challenge::Unknown("\"Bearer\"".into())),
            ("Bearer realm=\"r", Challenge::Unknown("\"Bearer\"".into())),
            ("Negotiate", Challenge::Unknown("\"Negotiate\"".into())),
            ("", Challenge::Unknown("\"\"".into())),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        let mut headers = HeaderMap::new();
        assert!(matches!(challenge(&headers), Challenge::Unknown(_)));
        for text in ["Negotiate", "Basic realm=\"r\"", "Bearer realm=\"x\""] {
            headers.append(WWW_AUTHENTICATE, text.parse().expect("a header"));
        }
        assert_eq!(challenge(&headers), bearer("x", None));
    }

    #[test]
    fn a_login_goes_to_the_registry_and_its_family() {
        let check = |base: &str, realm: &str, expected: bool| {
            let url = |text: &str| Url::parse(text).expect("a URL");
            assert_eq!(is_family(&url(base), &url(realm)), expected, "{base} {realm}");
        };
        let hub = "https://registry-1.hub.example/v2/";
        check(hub, "https://auth.hub.example/token", true);
        check(hub, "https://hub.example/token", true);
        check(hub, "http://auth.hub.example/token", false);
        check(hub, "https://auth.hub.example.example/token", false);
        check(hub, "https://evil-hub.example/token", false);
        check(hub, "https://evil.io/token", false);
        check("https://one.example/v2/", "https://one.example/token", true);
        check("https://one.example/v2/", "https://evil.io/token", false);
        check("https://example.com/v2/", "https://auth.example.com/token", true);
        check("https://r.example.com:5000/v2/", "https://r.example.com:5001/token", true);
        check("https://r.example.com/v2/", "https://example.org/token", false);
        check("https://10.0.0.1/v2/", "https://10.0.0.1:1/token", true);
        check("https://10.0.0.1/v2/", "https://9.0.0.1/token", false);
        check("http://127.0.0.1:1/v2/", "http://127.0.0.1:1/token", true);
        check("http://127.0.0.1:1/v2/", "http://127.0.0.1:2/token", false);
        check("http://127.0.0.1:1/v2/", "http://localhost:1/token", false);
        check("http://r.example.com/v2/", "https://a.example.com/token", false);
    }
}
