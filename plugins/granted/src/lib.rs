//! A stage that uses all that can be granted. For a container with the label
//! `ask=URL` it asks there, and for one with `key=KEY` it looks into the KV
//! store; what it gets becomes a message.

use wharfinger_plugin::{Container, Description, HostFacts, Outcome, Service, Stage, logging};

#[allow(missing_docs, unreachable_pub)]
mod bindings {
    wit_bindgen::generate!({ path: ["../../wit/host-v0.1.0", "wit"], world: "wharfinger:granted-probe/probe", generate_all });
}

use bindings::{
    wasi::{
        http::{
            outgoing_handler::handle,
            types::{ErrorCode, Fields, OutgoingRequest, Scheme},
        },
        io::streams::StreamError,
    },
    wharfinger::host::kv,
};

/// The stage.
pub struct Granted;

wharfinger_plugin::export!(Granted);

impl Stage for Granted {
    type Settings = serde_json::Value;

    fn describe() -> Description {
        Description::new("granted", env!("CARGO_PKG_VERSION"), "Uses all that can be granted.")
    }

    fn process(
        _settings: &Self::Settings,
        container: &Container,
        _host: &HostFacts,
        services: Vec<Service>,
    ) -> Result<Outcome, String> {
        if let Some(url) = container.label("ask") {
            logging::info(match ask(url) {
                Ok((status, body)) => format!("{status} {body}"),
                Err(error) => format!("failed: {error:?}"),
            });
        }
        if let Some(key) = container.label("key") {
            logging::info(match kv::get(key) {
                Ok(Some(value)) => format!("value {}", String::from_utf8_lossy(&value)),
                Ok(None) => "no value".into(),
                Err(fault) => format!("failed: {fault}"),
            });
        }
        Ok(Outcome::keep_all(services.len()))
    }
}

fn ask(url: &str) -> Result<(u16, String), ErrorCode> {
    let request = OutgoingRequest::new(Fields::new());
    let (scheme, rest) = url.split_once("://").ok_or(ErrorCode::HttpRequestUriInvalid)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let scheme = if scheme == "http" { Scheme::Http } else { Scheme::Https };
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    request.set_scheme(Some(&scheme)).map_err(invalid)?;
    request.set_authority(Some(authority)).map_err(invalid)?;
    request.set_path_with_query(Some(path)).map_err(invalid)?;
    let future = handle(request, None)?;
    future.subscribe().block();
    let answer = future.get().ok_or(ErrorCode::LoopDetected)?.map_err(invalid)??;
    let status = answer.status();
    let body = answer.consume().map_err(invalid)?;
    let stream = body.stream().map_err(invalid)?;
    let mut content = Vec::new();
    loop {
        match stream.blocking_read(4096) {
            Ok(chunk) => content.extend(chunk),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(_)) => return Err(ErrorCode::HttpProtocolError),
        }
    }
    Ok((status, String::from_utf8_lossy(&content).into_owned()))
}
