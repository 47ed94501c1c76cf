//! One call of Consul's API: what is attempted, how it is sent, and how much of an answer is
//! taken. A server is a stranger: its redirects are not followed, and nothing that it says is
//! believed to have an end.

use std::{fmt, marker::PhantomData, time::Duration};

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor},
};
use tokio::time::timeout;

use super::{Consul, url::url};
use crate::{
    entries::{BadList, Bounds, Entries},
    model::service::{addressable, in_path},
    registry::RegistryError,
};

/// The bounds of an answer that is a list.
const BOUNDS: Bounds = Bounds { whole: 64 << 20, one: 4 << 20, entries: 100_000 };
/// The most bytes of an answer that is no list.
const MOST_OF_ANSWER: usize = 4 << 20;
/// The most bytes of an error's text, and the time that it may take: its status has
/// come already.
const MOST_OF_TEXT: usize = 2 << 10;
const TEXT_TIMEOUT: Duration = Duration::from_secs(2);

/// The attempt and its subject, for errors, and the permission that it takes.
#[derive(Clone, Copy)]
pub(in crate::registry) struct Call<'a> {
    pub(in crate::registry) attempt: &'a str,
    pub(in crate::registry) subject: &'a str,
    pub(in crate::registry) permission: &'a str,
}

impl Call<'_> {
    pub(in crate::registry) fn attempt(self) -> String {
        let Call { attempt, subject, .. } = self;
        match subject {
            "" => attempt.to_string(),
            // It would not be what it seems.
            _ if in_path(subject).is_err() => format!("{attempt} {}", shown(subject)),
            _ => format!("{attempt} {subject}"),
        }
    }

    pub(in crate::registry) fn unreachable(
        self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> RegistryError {
        RegistryError::Unreachable { attempt: self.attempt(), source: source.into() }
    }

    /// Nothing was sent.
    pub(in crate::registry) fn impossible(self, message: impl Into<String>) -> RegistryError {
        RegistryError::Impossible { attempt: self.attempt(), message: message.into() }
    }

    /// Whether an agent can be asked for what has this ID.
    pub(in crate::registry) fn about(self, id: &str) -> Result<(), RegistryError> {
        addressable(id).map_err(|fault| {
            self.impossible(format!("{} is no ID that can be asked for: {fault}", shown(id)))
        })
    }

    pub(super) fn too_long(self, most: usize) -> RegistryError {
        RegistryError::Overlong { attempt: self.attempt(), most }
    }

    fn bad_list(self, fault: BadList) -> RegistryError {
        match fault {
            BadList::Long(most) => self.too_long(most),
            BadList::Many(_) => self.impossible(fault.to_string()),
            BadList::Broken => self.unreachable(fault),
        }
    }

    fn refused(self, status: StatusCode, message: String) -> RegistryError {
        let (attempt, code) = (self.attempt(), status.as_u16());
        match status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
                RegistryError::Forbidden { attempt, permission: self.permission.into(), message }
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                RegistryError::Unavailable { attempt, status: code, message }
            }
            // With a redirect the token, or the call, would go to a place that nobody has named.
            status if status.is_redirection() => {
                let message = "a redirect, which is not followed".into();
                RegistryError::Refused { attempt, status: code, message }
            }
            status if status.is_client_error() => {
                RegistryError::Refused { attempt, status: code, message }
            }
            _ => RegistryError::Unavailable { attempt, status: code, message },
        }
    }
}

impl Consul {
    /// A request to what these segments name.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Impossible`] if they would not arrive as they are; or the token
    /// cannot be read.
    pub(in crate::registry) fn request(
        &self,
        call: Call<'_>,
        method: Method,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> Result<RequestBuilder, RegistryError> {
        let own = [("ns", &self.config.namespace), ("partition", &self.config.partition)];
        let own = own.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        let query: Vec<_> = own.chain(query.iter().copied()).collect();
        let url = url(&self.base, segments, &query).map_err(|fault| call.impossible(fault))?;
        let mut request = self.client.request(method, url);
        if let Some((user, password)) = &self.config.auth {
            request = request.basic_auth(user, password.as_ref());
        }
        if let Some(token) = self.config.token().map_err(|error| call.unreachable(error))? {
            request = request.header("X-Consul-Token", token);
        }
        Ok(request)
    }

    pub(in crate::registry) async fn send(
        &self,
        call: Call<'_>,
        request: RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let response = request.send().await.map_err(|error| call.unreachable(error))?;
        self.answered(call, response).await
    }

    /// An answer that is none of an error.
    pub(in crate::registry) async fn answered(
        &self,
        call: Call<'_>,
        response: Response,
    ) -> Result<Response, RegistryError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(call.refused(status, text(response).await))
    }
}

/// The text of an error, cut where it is long.
async fn text(mut response: Response) -> String {
    let length = response.content_length();
    let mut bytes = Vec::new();
    let read = timeout(TEXT_TIMEOUT, async {
        while bytes.len() <= MOST_OF_TEXT {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let left = MOST_OF_TEXT + 1 - bytes.len();
                    bytes.extend_from_slice(&chunk[..chunk.len().min(left)]);
                }
                Ok(None) | Err(_) => return,
            }
        }
    });
    // The bytes that have come by then are enough for a message.
    let _ = read.await;
    if bytes.len() <= MOST_OF_TEXT {
        return String::from_utf8_lossy(&bytes).trim().to_string();
    }
    bytes.truncate(MOST_OF_TEXT);
    let cut = String::from_utf8_lossy(&bytes);
    match length {
        Some(length) => format!("{} … ({length} bytes)", cut.trim()),
        None => format!("{} … (more than {MOST_OF_TEXT} bytes)", cut.trim()),
    }
}

/// An ID of which nothing can be expected, for people.
fn shown(id: &str) -> String {
    let short: String = id.chars().take(80).collect();
    if short.len() < id.len() {
        format!("{short:?}… ({} bytes)", id.len())
    } else {
        format!("{id:?}")
    }
}

/// An answer in JSON that is no list.
pub(in crate::registry) async fn json<T: DeserializeOwned>(
    call: Call<'_>,
    mut response: Response,
) -> Result<T, RegistryError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| call.unreachable(error))? {
        if bytes.len() + chunk.len() > MOST_OF_ANSWER {
            return Err(call.too_long(MOST_OF_ANSWER));
        }
        bytes.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&bytes).map_err(|error| call.unreachable(error))
}

/// The entries of an answer that is a list, one after the other.
pub(in crate::registry) async fn list(
    call: Call<'_>,
    mut response: Response,
    mut each: impl FnMut(&[u8]) -> Result<(), BadList> + Send,
) -> Result<(), RegistryError> {
    let mut entries = Entries::within(BOUNDS);
    while let Some(chunk) = response.chunk().await.map_err(|error| call.unreachable(error))? {
        entries.feed(&chunk, &mut each).map_err(|fault| call.bad_list(fault))?;
    }
    entries.finish().map_err(|fault| call.bad_list(fault))
}

/// The keys and values of an answer that is an object. A value of another form than what is wanted
/// is handed over as none: others write to the same agent.
pub(in crate::registry) async fn object<T: DeserializeOwned>(
    call: Call<'_>,
    response: Response,
    mut each: impl FnMut(String, Option<T>) + Send,
) -> Result<(), RegistryError> {
    list(call, response, |one| {
        if let Ok(Entry(entry)) = serde_json::from_slice::<Entry<T>>(one) {
            entry.into_iter().for_each(|(key, value)| each(key, Some(value)));
            return Ok(());
        }
        let Entry::<IgnoredAny>(entry) =
            serde_json::from_slice(one).map_err(|_| BadList::Broken)?;
        entry.into_iter().for_each(|(key, _)| each(key, None));
        Ok(())
    })
    .await
}

/// The one entry of an object that has no more, if it has one.
struct Entry<T>(Option<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entry<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct One<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for One<T> {
            type Value = Entry<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of one entry")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry<T>, A::Error> {
                let entry = map.next_entry()?;
                match map.next_key::<IgnoredAny>()? {
                    None => Ok(Entry(entry)),
                    Some(_) => Err(serde::de::Error::custom("it has more than one entry")),
                }
            }
        }
        from.deserialize_map(One(PhantomData))
    }
}
