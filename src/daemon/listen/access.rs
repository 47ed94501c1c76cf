//! The check of who may look: a request has to be for a name of this listener, and to carry the
//! token where one is asked for.
//!
//! A page of a stranger's in an operator's browser must not read this one. Its requests under a
//! name of its own that leads here are refused by that name; and the cookie is of a kind that no
//! other site's request carries.

use std::{
    fs::File,
    io::{self, Read as _},
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::http::{
    HeaderMap, Uri,
    header::{AUTHORIZATION, COOKIE, HOST},
    uri::Authority,
};
use sha2::{Digest as _, Sha256};

use crate::config::Listen;

/// The cookie's name.
const NAME: &str = "wharfinger";
/// The time for which a login lasts.
const LASTS: Duration = Duration::from_secs(12 * 3600);

/// The rules of who may look.
pub(super) struct Access {
    token: Option<[u8; 32]>,
    hosts: Vec<String>,
    /// Made anew with each start, so that no login outlives the daemon.
    key: [u8; 32],
}

impl Access {
    /// As the configuration says.
    pub(super) fn of(listen: &Listen) -> io::Result<Self> {
        let mut key = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut key)?;
        let token = listen.token.as_ref().map(|token| digest(&[token.as_bytes()]));
        Ok(Self { token, hosts: listen.hosts.clone(), key })
    }

    /// Whether a request is for this listener, which it has reached at an address.
    pub(super) fn is_host(&self, uri: &Uri, headers: &HeaderMap, local: IpAddr) -> bool {
        let mut said = headers.get_all(HOST).iter();
        let (Some(host), None) = (said.next(), said.next()) else { return false };
        let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        let host = host.filter(|host| !host.as_str().contains('@'));
        let by_uri = uri.authority().is_none_or(|named| self.is_own(named.host(), local));
        by_uri && host.is_some_and(|host| self.is_own(host.host(), local))
    }

    fn is_own(&self, host: &str, local: IpAddr) -> bool {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(host).parse::<IpAddr>() {
            let address = address.to_canonical();
            let named = |own: &&String| own.trim_matches(['[', ']']).parse() == Ok(address);
            return address.is_loopback()
                || address == local.to_canonical()
                || self.hosts.iter().any(|own| named(&own));
        }
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        host == "localhost" || self.hosts.iter().any(|own| own == host)
    }

    /// Whether a token is asked for.
    pub(super) fn asks(&self) -> bool {
        self.token.is_some()
    }

    /// Whether a request may see what there is: it carries the token, or the cookie of a login.
    pub(super) fn allows(&self, headers: &HeaderMap, now: SystemTime) -> bool {
        self.token.is_none() || self.has_token(headers) || self.has_cookie(headers, now)
    }

    /// Whether a request carries the token.
    pub(super) fn has_token(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return false };
        let said = headers.get(AUTHORIZATION).and_then(|said| said.to_str().ok());
        let said = said.and_then(|said| {
            let (scheme, token) = said.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        said.is_some_and(|said| is_same(&digest(&[said.as_bytes()]), token))
    }

    /// The cookie of a login now; none where no token is asked for.
    pub(super) fn cookie(&self, now: SystemTime) -> Option<String> {
        let until = (now + LASTS).duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let seal = self.seal(until)?;
        let age = LASTS.as_secs();
        Some(format!("{NAME}={until}.{seal}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict"))
    }

    /// The cookie that ends a login.
    pub(super) fn no_cookie() -> String {
        format!("{NAME}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
    }

    fn has_cookie(&self, headers: &HeaderMap, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let all = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
        let mut all = all.flat_map(|cookies| cookies.split(';'));
        all.any(|cookie| {
            let value = cookie.trim().strip_prefix(NAME).and_then(|rest| rest.strip_prefix('='));
            let Some((until, seal)) = value.and_then(|value| value.split_once('.')) else {
                return false;
            };
            let Ok(until) = until.parse::<u64>() else { return false };
            let own = self.seal(until);
            own.is_some_and(|own| is_same(own.as_bytes(), seal.as_bytes())) && now < until
        })
    }

    /// The seal of a time, which only this process can make: a digest keyed twice, as in HMAC.
    fn seal(&self, until: u64) -> Option<String> {
        let inner = digest(&[&self.key, &until.to_be_bytes(), &self.token?]);
        let seal = digest(&[&self.key, &inner]);
        Some(seal.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize().into()
}

/// Whether two are the same, in a time that does not tell where they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differs = one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b));
    one.len() == other.len() && std::hint::black_box(differs) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn access(token: Option<&str>) -> Access {
        let hosts = vec!["wharfinger.example".into(), "192.0.2.9".into()];
        let address = "127.0.0.1:1".parse().expect("an address");
        Access::of(&Listen { address, token: token.map(String::from), hosts }).expect("a key")
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            let name = axum::http::HeaderName::from_static(name);
            (name, value.parse().expect("a value"))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_request_is_for_a_name_of_this_listener() {
        let access = access(None);
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:8700", true),
            ("localhost.", true),
            ("127.0.0.1:8700", true),
            ("127.9.9.9", true),
            ("[::1]:8700", true),
            ("[::ffff:127.0.0.1]", true),
            ("192.0.2.1:8700", true),
            ("192.0.2.9", true),
            ("wharfinger.example:1", true),
            ("Wharfinger.Example.", true),
            ("192.0.2.2", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("evil.wharfinger.example", false),
            ("127.0.0.1.evil.example", false),
            ("localhost@evil.example", false),
            ("evil.example@localhost", false),
            ("2130706433", false),
            ("0x7f.1", false),
            ("", false),
            ("a b", false),
        ] {
            let local = "192.0.2.1".parse().expect("an address");
            let found = access.is_host(&Uri::from_static("/"), &headers(&[("host", host)]), local);
            assert_eq!(found, expected, "{host:?}");
            let uri = format!("http://{host}/").parse::<Uri>();
            if let Ok(uri) =
                uri.as_ref().map_err(|_| ()).and_then(|uri| uri.authority().map(|_| uri).ok_or(()))
            {
                let found = access.is_host(uri, &headers(&[("host", "localhost")]), local);
                let plain = !host.contains('@');
                assert_eq!(found, expected || !plain && host.ends_with("@localhost"), "{host:?}");
            }
        }
        let local = "192.0.2.1".parse().expect("an address");
        assert!(!access.is_host(&Uri::from_static("/"), &headers(&[]), local));
        let twice = headers(&[("host", "localhost"), ("host", "localhost")]);
        assert!(!access.is_host(&Uri::from_static("/"), &twice, local));
    }

    #[test]
    fn the_token_or_its_login_is_asked_for() {
        let (access, now) = (access(Some(TOKEN)), SystemTime::now());
        let bearer = |words: &str| access.allows(&headers(&[("authorization", words)]), now);
        assert!(bearer("Bearer 0123456789abcdef") && bearer("bearer  0123456789abcdef "));
        for wrong in ["", "Bearer", "Bearer ", "Basic 0123456789abcdef", "Bearer 0123456789abcdeF"]
        {
            assert!(!bearer(wrong), "{wrong:?}");
        }
        assert!(!access.allows(&headers(&[]), now));
        let cookie = access.cookie(now).expect("a cookie");
        assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
        let value = cookie.split(';').next().expect("a value").to_string();
        let shows = |value: &str, at| access.allows(&headers(&[("cookie", value)]), at);
        assert!(shows(&value, now) && shows(&format!("a=b; {value}"), now));
        assert!(!shows(&value, now + LASTS), "it has ended");
        let later = value.replacen("wharfinger=1", "wharfinger=9", 1);
        assert!(!shows(&later, now), "another end is not sealed");
        assert!(!shows("wharfinger=9999999999.", now) && !shows("wharfinger=", now));
        let other = self::access(Some(TOKEN));
        assert!(!other.allows(&headers(&[("cookie", &value)]), now), "another start's");
        assert!(self::access(None).allows(&headers(&[]), now));
        assert_eq!(self::access(None).cookie(now), None);
    }
}
