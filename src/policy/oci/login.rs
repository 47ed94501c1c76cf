//! Logins as Docker keeps them: in `config.json`, or with a helper program that it names.
//!
//! A helper is another's program: it gets some time, and of its answer so much is read.

use std::{
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::files;

/// The time that a helper may take; it may have to ask a person.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most of a helper's answer that is read.
const ANSWER: u64 = 64 << 10;
/// Docker's helpers say so, and fail, if they have no login.
const NO_LOGIN: &str = "credentials not found in native keychain";

/// Something that is shown to a registry. It has no `Debug`: it is secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// A user and a password.
    Password(String, String),
    /// A token by which other tokens are asked for.
    Identity(String),
}

/// The file in which Docker keeps logins; none if the environment names no folder.
pub(super) fn file(env: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")))?;
    Some(folder.join("config.json"))
}

/// The login for a registry's `host[:port]`; none if there is none. A helper is run and waited
/// for.
///
/// # Errors
///
/// There is one that cannot be read; the words say why, and name nothing that is secret.
pub(super) fn find(file: &Path, registry: &str) -> Result<Option<Login>, String> {
    match file.exists() {
        true => find_in(file, &read(file)?, registry),
        false => Ok(None),
    }
}

/// Read a file with logins, which has to be there.
///
/// # Errors
///
/// It cannot be read; the words say why.
pub(super) fn read(file: &Path) -> Result<Value, String> {
    let fault = |reason: String| format!("{}: {reason}", file.display());
    let text = files::read_text(file, files::TEXT).map_err(|error| fault(error.to_string()))?;
    serde_json::from_slice(text.as_bytes()).map_err(|error| fault(error.to_string()))
}

/// The login for a registry by what a file says.
///
/// # Errors
///
/// As for [`find`].
pub(super) fn find_in(
    file: &Path,
    config: &Value,
    registry: &str,
) -> Result<Option<Login>, String> {
    let fault = |reason: String| format!("{}: {reason}", file.display());
    let docker_hub = ["docker.io", "registry-1.docker.io", "index.docker.io"].contains(&registry);
    let key = if docker_hub { "https://index.docker.io/v1/" } else { registry };
    let own = config["credHelpers"][key].as_str();
    if let Some(helper) = own.or(config["credsStore"].as_str()).filter(|name| !name.is_empty()) {
        let found = ask(helper, key).map_err(|reason| fault(format!("{helper}: {reason}")))?;
        if found.is_some() {
            return Ok(found);
        }
    }
    let wanted = host(key);
    let mut all = config["auths"].as_object().into_iter().flatten();
    let Some((_, entry)) = all.find(|(name, _)| host(name) == wanted) else { return Ok(None) };
    let text = |key: &str| entry[key].as_str().filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Login::Identity(token.into())));
    }
    if let (Some(user), Some(password)) = (text("username"), text("password")) {
        return Ok(Some(Login::Password(user.into(), password.into())));
    }
    let Some(auth) = text("auth") else { return Ok(None) };
    let decoded = STANDARD.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    let (user, password) =
        pair.ok_or_else(|| fault(format!("auths: {registry}: auth is no user and password")))?;
    Ok(Some(Login::Password(user.into(), password.trim_end_matches('\0').into())))
}

/// The host of a key, which may be a URL.
fn host(key: &str) -> &str {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    rest.unwrap_or(key).split('/').next().unwrap_or_default()
}

/// The login for a registry by a helper; none if it has none.
fn ask(helper: &str, registry: &str) -> Result<Option<Login>, String> {
    if !helper.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        return Err("it is no name of a helper".into());
    }
    let program = format!("docker-credential-{helper}");
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{program} cannot be started: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read fails by its answer.
        let _ = input.write_all(registry.as_bytes());
    }
    let (good, answer) = finish(&mut child)?;
    if !good {
        let words = String::from_utf8_lossy(&answer);
        return match words.trim() {
            words if words.contains(NO_LOGIN) => Ok(None),
            words => {
                Err(format!("{program} fails: {}", words.chars().take(200).collect::<String>()))
            }
        };
    }
    let answer: Value =
        serde_json::from_slice(&answer).map_err(|_| format!("{program}: its answer is no JSON"))?;
    let text = |key: &str| answer[key].as_str().map(String::from);
    match (text("Username"), text("Secret")) {
        (Some(user), Some(token)) if user == "<token>" => Ok(Some(Login::Identity(token))),
        (Some(user), Some(password)) => Ok(Some(Login::Password(user, password))),
        _ => Err(format!("{program}: its answer has no Username and Secret")),
    }
}

/// Wait for a child: whether it says that all is well, and what it wrote.
fn finish(child: &mut Child) -> Result<(bool, Vec<u8>), String> {
    let output = child.stdout.take();
    let reader = thread::spawn(move || {
        let mut answer = Vec::new();
        if let Some(output) = output {
            // A broken pipe is no answer.
            let _ = output.take(ANSWER).read_to_end(&mut answer);
        }
        answer
    });
    let end = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(10)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("the helper did not answer within {PATIENCE:?}"));
            }
            Err(error) => return Err(error.to_string()),
        }
    };
    // A grandchild may hold the pipe open; then the answer is not waited for.
    while !reader.is_finished() && Instant::now() < end {
        thread::sleep(Duration::from_millis(5));
    }
    match reader.is_finished() {
        true => Ok((status.success(), reader.join().unwrap_or_default())),
        false => Err("the helper ended, and its output did not".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn the_file_is_where_docker_has_it() {
        let with = |pairs: &[(&str, &str)]| {
            let find = |name: &str| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
            };
            file(find).map(|path| path.display().to_string())
        };
        assert_eq!(with(&[("HOME", "/h")]).as_deref(), Some("/h/.docker/config.json"));
        let both = [("HOME", "/h"), ("DOCKER_CONFIG", "/c")];
        assert_eq!(with(&both).as_deref(), Some("/c/config.json"));
        assert_eq!(with(&[("DOCKER_CONFIG", "")]), None);
    }

    #[test]
    fn logins_are_found_as_docker_keeps_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.json");
        assert!(find(&file, "r.example").is_ok_and(|found| found.is_none()), "no file, no login");
        let auth = STANDARD.encode("ann:pass:word");
        let password = |user: &str, word: &str| Some(Login::Password(user.into(), word.into()));
        let plain = format!(
            r#"{{"auths": {{"r.example:5000": {{"auth": "{auth}"}}, "other": {{}},
            "https://index.docker.io/v1/": {{"auth": "{auth}"}}, "https://u.example/v2/":
            {{"username": "u", "password": "p"}}, "t.example": {{"identitytoken": "t"}}}}}}"#
        );
        for (registry, expected) in [
            ("r.example:5000", password("ann", "pass:word")),
            ("docker.io", password("ann", "pass:word")),
            ("u.example", password("u", "p")),
            ("t.example", Some(Login::Identity("t".into()))),
            ("other", None),
            ("r.example", None),
            ("r.example:500", None),
        ] {
            fs::write(&file, &plain).expect("written");
            let found = find(&file, registry).expect(registry);
            assert!(found == expected, "{registry}");
        }
        for (text, fault) in [
            ("{", "config.json: EOF"),
            (r#"{"auths": {"r": {"auth": "!"}}}"#, "auths: r: auth is no user and password"),
            (r#"{"credsStore": "../x"}"#, "it is no name of a helper"),
            (r#"{"credsStore": "of-nobody"}"#, "docker-credential-of-nobody cannot be started"),
        ] {
            fs::write(&file, text).expect("written");
            let said = find(&file, "r").err().unwrap_or_default();
            assert!(said.contains(fault), "{text}: {said}");
        }
    }

    #[test]
    fn a_helper_is_held_to_its_answer() {
        let folder = tempfile::tempdir().expect("a folder");
        let helper = folder.path().join("helper");
        let run = |script: &str| {
            fs::write(&helper, format!("#!/bin/sh\n{script}\n")).expect("written");
            fs::set_permissions(&helper, fs::Permissions::from_mode(0o755))
                .expect("made a program");
            // By the shell: a file that was just written may be busy.
            let child = Command::new("sh").arg(&helper).stdout(Stdio::piped()).spawn();
            finish(&mut child.expect("started"))
        };
        assert_eq!(run("echo yes"), Ok((true, b"yes\n".to_vec())));
        assert_eq!(run("echo no; exit 1"), Ok((false, b"no\n".to_vec())));
        let (_, endless) = run("head -c 1000000 /dev/zero || true").expect("an answer");
        assert_eq!(endless.len() as u64, ANSWER);
    }
}
