//! Where the control socket may be, and whose answer is believed.
//!
//! A daemon takes the first place that it can have. Commands look at their own user's places
//! and, as root, at those of other users: what stands there belongs to the user that the place
//! is named after, so that nobody can pass for somebody else.

use std::{
    env, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{net::UnixStream, time::timeout};
use tracing::info;

use crate::daemon::control::{
    Answer, ControlError, Request, exchange, exposed, folder_of, own_user,
};

/// The time for an answer.
const LIMIT: Duration = Duration::from_secs(30);
const FILE: &str = "control.sock";
/// Folders in which each user may have one.
const RUNTIME: &str = "/run/user";
/// Users beyond this are too many to be looked for.
const MOST: usize = 1000;

/// Where the socket of a daemon of this user may be, the best place first.
pub(super) fn of_daemon() -> Vec<PathBuf> {
    let runtime = env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty());
    let runtime = runtime.map(|path| Path::new(&path).join("wharfinger"));
    let temporary = env::temp_dir().join(format!("wharfinger-{}", own_user()));
    let folders = runtime.into_iter().chain(["/run/wharfinger".into(), temporary]);
    folders.map(|folder| folder.join(FILE)).collect()
}

/// Where those of other users are, with the user; for root.
fn of_others() -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    let mut look = |folder: &Path, name: &dyn Fn(&str) -> Option<(u32, PathBuf)>| {
        for entry in folder.read_dir().into_iter().flatten().flatten().take(MOST) {
            let Some((user, below)) = entry.file_name().to_str().and_then(name) else { continue };
            let place = folder.join(below).join(FILE);
            // A link would lead to somebody else's.
            let is_own = |part: &Path| {
                std::fs::symlink_metadata(part)
                    .is_ok_and(|part| part.is_dir() && part.uid() == user)
            };
            if user != own_user() && is_own(folder_of(&place)) {
                found.push((place, user));
            }
        }
    };
    look(Path::new(RUNTIME), &|name| {
        Some((name.parse().ok()?, format!("{name}/wharfinger").into()))
    });
    let temporary =
        |name: &str| Some((name.strip_prefix("wharfinger-")?.parse().ok()?, name.into()));
    let mut folders = vec![env::temp_dir(), "/tmp".into()];
    folders.dedup();
    folders.iter().for_each(|folder| look(folder, &temporary));
    found
}

/// Ask a running daemon; at the given path, or where daemons put it.
///
/// # Errors
///
/// See [`ControlError`].
pub async fn ask(path: Option<&Path>, request: &Request) -> Result<Answer, ControlError> {
    let places = path.map_or_else(of_daemon, |path| vec![path.to_path_buf()]);
    let (mut looked, mut stranger) = (Vec::new(), None);
    for place in &places {
        let stream = match UnixStream::connect(place).await {
            Ok(stream) => stream,
            Err(error) => {
                looked.push(shown(place, &error));
                continue;
            }
        };
        let user =
            stream.peer_cred().map_err(|error| ControlError::Io(place.clone(), error))?.uid();
        if is_trusted(user, place) {
            return answer(stream, place, request).await;
        }
        stranger.get_or_insert(ControlError::Stranger { path: place.clone(), user });
    }
    if let Some(stranger) = stranger {
        return Err(stranger);
    }
    if path.is_some() || own_user() != 0 {
        return Err(ControlError::Nobody(looked));
    }
    let mut others = Vec::new();
    for (place, user) in of_others() {
        let Ok(stream) = UnixStream::connect(&place).await else { continue };
        if stream.peer_cred().is_ok_and(|peer| peer.uid() == user) {
            others.push((stream, place, user));
        }
    }
    if others.len() > 1 {
        return Err(ControlError::Several(others.into_iter().map(|(_, place, _)| place).collect()));
    }
    let Some((stream, place, user)) = others.pop() else {
        let temporary = env::temp_dir().join("wharfinger-*").join(FILE);
        looked.push(format!("{RUNTIME}/*/wharfinger/{FILE}"));
        looked.push(temporary.display().to_string());
        return Err(ControlError::Nobody(looked));
    };
    info!("asking the daemon of user {user} at {}", place.display());
    answer(stream, &place, request).await
}

/// A place, and what kept it from being asked if somebody may be there.
fn shown(place: &Path, error: &io::Error) -> String {
    let place = place.display();
    match error.kind() {
        io::ErrorKind::NotFound => place.to_string(),
        io::ErrorKind::ConnectionRefused => format!("{place} (nobody listens there any more)"),
        io::ErrorKind::PermissionDenied => format!("{place} (it is not yours to ask: try as root)"),
        _ => format!("{place} ({error})"),
    }
}

async fn answer(
    stream: UnixStream,
    place: &Path,
    request: &Request,
) -> Result<Answer, ControlError> {
    let failed = |error| ControlError::Io(place.to_path_buf(), error);
    let answer = timeout(LIMIT, exchange(stream, request))
        .await
        .map_err(|_| failed(io::ErrorKind::TimedOut.into()))?
        .map_err(failed)?;
    match serde_json::from_slice(answer.as_bytes()) {
        Ok(Answer::Error(words)) => Err(ControlError::Refused(words)),
        Ok(answer) => Ok(answer),
        Err(error) => Err(ControlError::Answer(place.to_path_buf(), error)),
    }
}

/// Whether an answer of this user's process is believed: root's, one's own, and, by
/// root, that of the daemon's user whom root has given the socket's folder, or whose own place
/// it is.
pub(super) fn is_trusted(user: u32, socket: &Path) -> bool {
    let own = own_user();
    let given = || {
        let folder = folder_of(socket).canonicalize().ok()?;
        let owner = std::fs::metadata(&folder).ok()?.uid();
        Some(owner == user && exposed(folder.parent()?, 0).is_none())
    };
    let of_the_place =
        || of_others().iter().any(|(place, owner)| place == socket && *owner == user);
    user == 0 || user == own || own == 0 && (given().unwrap_or(false) || of_the_place())
}
