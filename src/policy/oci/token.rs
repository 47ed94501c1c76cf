//! From a registry's challenge to the header that answers it.

use std::path::PathBuf;

use reqwest::{
    RequestBuilder, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};

use super::{
    OciError,
    answer::{begun, good, read, shown},
    challenge::{Challenge, is_family},
    login::{self, Login},
};

/// The most of a realm's answer that is read.
const ANSWER: u64 = 1 << 20;
/// The time for it.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
/// The name under which tokens are asked for.
const CLIENT: &str = "wharfinger";

/// The repository that is asked for, and how.
pub(super) struct Repository {
    /// The client, which follows no redirect by itself.
    pub(super) http: reqwest::Client,
    /// `host[:port]`, as logins are kept under.
    pub(super) registry: String,
    /// The URL below which all of it is.
    pub(super) base: Url,
    /// Its name.
    pub(super) name: String,
    /// Whether HTTP without TLS may be spoken.
    pub(super) plain_http: bool,
    /// Whether something is to be pushed.
    pub(super) pushes: bool,
    /// The file with logins; the user's own if none.
    pub(super) login_file: Option<PathBuf>,
}

/// The header that a challenge asks for.
pub(super) async fn answer(of: &Repository, challenge: Challenge) -> Result<HeaderValue, OciError> {
    let fault = |reason: String| OciError::Login { registry: of.registry.clone(), reason };
    match challenge {
        Challenge::Basic => match login(of, &of.registry).await? {
            Some(Login::Password(user, password)) => secret(of, &basic(&user, &password)),
            Some(Login::Identity(_)) => {
                Err(fault("the registry wants a password, and there is only a token".into()))
            }
            None => Err(fault("the registry wants one, and Docker's config.json has none".into())),
        },
        Challenge::Bearer { realm, service } => {
            let realm = Url::parse(&realm).ok().filter(Url::has_host);
            let realm =
                realm.ok_or_else(|| fault("the realm of its challenge is no URL".into()))?;
            bearer(of, realm, service).await
        }
        Challenge::Unknown(kind) => Err(fault(format!("it asks for {kind}, which is not known"))),
    }
}

async fn bearer(
    of: &Repository,
    realm: Url,
    service: Option<String>,
) -> Result<HeaderValue, OciError> {
    let fault = |reason: String| OciError::Login { registry: of.registry.clone(), reason };
    let safe = realm.scheme() == "https" || (of.plain_http && realm.scheme() == "http");
    if !safe || !realm.username().is_empty() || realm.password().is_some() {
        return Err(fault(format!("its realm {} is not https alone", shown(&realm))));
    }
    // Another host gets the login that is kept for it, and none that is another's.
    let family = is_family(&of.base, &realm);
    let login = match (family, authority(&realm)) {
        (true, _) => login(of, &of.registry).await?,
        (false, Some(authority)) => login(of, &authority).await?,
        (false, None) => None,
    };
    // For this repository alone, whatever the challenge says.
    let actions = if of.pushes { "pull,push" } else { "pull" };
    let scope = format!("repository:{}:{actions}", of.name);
    let service = service.unwrap_or_default();
    let mut pairs = vec![("scope", scope.as_str())];
    if !service.is_empty() {
        pairs.push(("service", &service));
    }
    let anonymous = login.is_none();
    let request: RequestBuilder = match login {
        Some(Login::Identity(token)) => {
            let more = [
                ("grant_type", "refresh_token"),
                ("client_id", CLIENT),
                ("refresh_token", token.as_str()),
            ];
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.extend_pairs(pairs.iter().chain(&more));
            let request = of.http.post(realm.clone()).body(form.finish());
            request.header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        }
        other => {
            let mut asked = realm.clone();
            asked.query_pairs_mut().extend_pairs(&pairs);
            let request = of.http.get(asked);
            match other {
                Some(Login::Password(user, password)) => {
                    request.header(AUTHORIZATION, secret(of, &basic(&user, &password))?)
                }
                _ => request,
            }
        }
    };
    let response = begun(&realm, PATIENCE, request.timeout(PATIENCE)).await?;
    if matches!(response.status().as_u16(), 401 | 403) {
        let hint = match (anonymous, family) {
            (false, _) => "it does not take the login that Docker's config.json has",
            (true, true) => "it wants a login, and Docker's config.json has none",
            (true, false) => {
                "it is another host than the registry, so that the registry's login is not shown \
                 to it; `docker login` at that host keeps one for it"
            }
        };
        return Err(fault(format!("the realm {}: {hint}", shown(&realm))));
    }
    let bytes = read(&realm, good(&realm, response).await?, ANSWER).await?;
    let token: serde_json::Value = serde_json::from_slice(&bytes)
        .map_err(|_| fault(format!("the answer of {} is no JSON", shown(&realm))))?;
    let token = token["token"].as_str().or(token["access_token"].as_str());
    let token = token.filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| fault(format!("{} gives no token", shown(&realm))))?;
    secret(of, &format!("Bearer {token}"))
}

/// A header that is not shown.
fn secret(of: &Repository, text: &str) -> Result<HeaderValue, OciError> {
    let header = HeaderValue::from_str(text);
    let mut header = header.map_err(|_| OciError::Login {
        registry: of.registry.clone(),
        reason: "the login, or the token for it, has characters that no header may have".into(),
    })?;
    header.set_sensitive(true);
    Ok(header)
}

fn basic(user: &str, password: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// `host[:port]`, as logins are kept under.
fn authority(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}")))
}

/// The login for a host. A helper may take its time, which no other task shall wait for.
async fn login(of: &Repository, host: &str) -> Result<Option<Login>, OciError> {
    let fault = |reason: String| OciError::Login { registry: of.registry.clone(), reason };
    let (named, host) = (of.login_file.clone(), host.to_string());
    let find = move || match named {
        // One that is named has to be there.
        Some(file) => login::read(&file).and_then(|all| login::find_in(&file, &all, &host)),
        None => match login::file(|name| std::env::var(name).ok()) {
            Some(file) => login::find(&file, &host),
            None => Ok(None),
        },
    };
    let found = tokio::task::spawn_blocking(find).await;
    found.map_err(|error| fault(error.to_string()))?.map_err(fault)
}
