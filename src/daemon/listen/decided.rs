//! The end of the decision log's file, for who asks over HTTP.
//!
//! The lines are shown as they were written: the file has no secrets in it, and a line that is no
//! decision, as a torn one, is left out.

use std::{
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
    time::SystemTime,
};

use serde::Serialize;

use crate::{files, reconcile::Decision};

/// The most bytes of the file that are read: its end.
const MOST: u64 = 4 << 20;

/// The decisions of late.
#[derive(Debug, Serialize)]
pub(super) struct Decided {
    /// The oldest first.
    decisions: Vec<Decision>,
    /// Whether those are all that the file has of that time.
    complete: bool,
}

/// The decisions written to a file since then, or all of its end.
///
/// # Errors
///
/// It cannot be read. One that is not there has nothing yet.
pub(super) fn of(file: &Path, since: Option<SystemTime>) -> io::Result<Decided> {
    let mut open = match files::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Decided { decisions: Vec::new(), complete: true });
        }
        open => open?,
    };
    let start = open.metadata()?.len().saturating_sub(MOST);
    open.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    // It may grow meanwhile.
    open.take(MOST).read_to_end(&mut bytes)?;
    Ok(read(&bytes, start == 0, since))
}

/// The decisions of a file's end, of which the first line may be a part of one.
fn read(bytes: &[u8], whole: bool, since: Option<SystemTime>) -> Decided {
    let lines = bytes.split(|byte| *byte == b'\n').skip(usize::from(!whole));
    let mut decisions: Vec<Decision> =
        lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let reaches = |since| decisions.first().is_some_and(|first| first.at < since);
    let complete = whole || since.is_some_and(reaches);
    decisions.retain(|one| since.is_none_or(|since| one.at >= since));
    Decided { decisions, complete }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn line(seconds: u64) -> String {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let at = humantime::format_rfc3339(at).to_string();
        let container = json!({ "id": "1", "name": "web", "image": "web:1" });
        json!({
            "at": at, "host": "h", "pipeline": "p", "container": container, "candidates": [],
            "stages": [], "outcome": "registered", "reason": null, "error": null, "services": [],
            "notes": [], "writes": [],
        })
        .to_string()
    }

    #[test]
    fn the_end_of_a_file_is_what_is_asked_for_and_says_if_there_was_more() {
        let text = format!("{}\nrubbish\n{}\n\n{}\n{{\"at\":", line(10), line(20), line(30));
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        for (whole, since, seconds, complete) in [
            (true, None, &[10, 20, 30][..], true),
            (true, at(20), &[20, 30], true),
            (true, at(31), &[], true),
            // The first line may be a part of one, and there may have been more before it.
            (false, None, &[20, 30], false),
            (false, at(20), &[20, 30], false),
            (false, at(21), &[30], true),
        ] {
            let found = read(text.as_bytes(), whole, since);
            let of = |one: &Decision| {
                one.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
            };
            let found_seconds: Vec<_> = found.decisions.iter().map(of).collect();
            assert_eq!(found_seconds, seconds, "{whole} {since:?}");
            assert_eq!(found.complete, complete, "{whole} {since:?}");
        }
    }

    #[test]
    fn of_a_long_file_its_end_is_read_and_one_that_is_not_there_is_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("decisions.jsonl");
        assert!(of(&path, None).is_ok_and(|found| found.complete && found.decisions.is_empty()));
        let one = line(5) + "\n";
        let count = usize::try_from(MOST).expect("small") / one.len() + 100;
        std::fs::write(&path, one.repeat(count)).expect("written");
        let found = of(&path, None).expect("it is read");
        assert!(!found.complete && (1000..count).contains(&found.decisions.len()));
        assert!(of(folder.path(), None).is_err(), "a folder is no file");
    }
}
