//! Refusals of a registry that may pass: it is asked again, a few times, after the pause that it
//! names or one of our own. A registry is a stranger, so that what it names has a bound.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    time::{Duration, SystemTime},
};

use reqwest::{
    StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};

/// The tries of a call, all together.
const TRIES: u32 = 5;
/// The first pause where the registry names none; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// The most time that is spent in pauses.
const MOST: Duration = Duration::from_secs(60);

/// The remaining tries of one call.
#[derive(Debug)]
pub(super) struct Retries {
    tries: u32,
    own: Duration,
    left: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { tries: TRIES - 1, own: FIRST, left: MOST }
    }
}

impl Retries {
    /// The pause after which the same is asked again; none if the answer stands.
    pub(super) fn pause(&mut self, status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
        if !passes(status) || self.tries == 0 {
            return None;
        }
        self.tries -= 1;
        let named = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let named = named.and_then(|text| named_pause(text, SystemTime::now()));
        let pause = named.unwrap_or(self.own);
        // All hosts of a fleet may have been told the same.
        let pause = pause + pause.min(FIRST * 8).mul_f64(by_lot() / 2.0);
        self.own *= 2;
        // A registry that wants to be left alone for longer is believed, and the answer stands.
        self.left = self.left.checked_sub(pause)?;
        Some(pause)
    }
}

/// Whether another try may have another answer.
fn passes(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504)
}

/// The pause of a `Retry-After`: seconds, or a date.
fn named_pause(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has are a very long time.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

/// A number from 0 to 1.
fn by_lot() -> f64 {
    let number = RandomState::new().build_hasher().finish();
    f64::from((number & 0xffff) as u16) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn a_pause_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, seconds) in [
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("99999999999999999999999", Some(u64::from(u32::MAX))),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            // A clock that is ahead of the registry's.
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(named_pause(text, now).map(|pause| pause.as_secs()), seconds, "{text}");
        }
    }

    #[test]
    fn what_may_pass_is_asked_again_and_not_for_ever() {
        let pauses = |status: u16, named: &str| {
            let mut headers = HeaderMap::new();
            if !named.is_empty() {
                headers.insert(RETRY_AFTER, HeaderValue::from_str(named).expect("a header"));
            }
            let status = StatusCode::from_u16(status).expect("a status");
            let mut retries = Retries::default();
            std::iter::from_fn(|| retries.pause(status, &headers))
                .take(100)
                .map(|pause| pause.as_secs())
                .collect::<Vec<_>>()
        };
        for status in [200, 201, 301, 400, 401, 403, 404, 405, 416, 501, 505] {
            assert_eq!(pauses(status, "1"), [0; 0], "{status}");
        }
        for status in [429, 500, 502, 503, 504] {
            let own = pauses(status, "");
            assert_eq!(own.len(), 4, "{status}: {own:?}");
            for (pause, least) in own.iter().zip([1, 2, 4, 8]) {
                assert!((least..=least + least / 2 + 1).contains(pause), "{status}: {own:?}");
            }
            assert_eq!(pauses(status, "0"), [0; 4], "{status}");
            assert_eq!(pauses(status, "61"), [0; 0], "{status}");
            assert!(pauses(status, "20").len() < 4, "{status}");
        }
    }
}
