//! The differences between two versions of a policy: stages that are added, removed or moved,
//! and the keys that have another value. Pure.

use serde::Serialize;
use serde_json::Value as Json;
use toml::{Table, Value};

use super::{Bundle, build};
use crate::tables;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The part that differs: `sequence`, `limits`, `stage "naming"`.
    pub place: String,
    /// The key within it by its path; none where all of it is meant.
    pub key: Option<String>,
    /// The value before, or the stage's place; none if it is new.
    pub old: Option<Json>,
    /// The value now; none if it is gone.
    pub new: Option<Json>,
}

/// All differences, stages in the order of the new version.
#[must_use]
pub fn diff(old: &Bundle, new: &Bundle) -> Vec<Change> {
    let mut all = Vec::new();
    let mut plain = |place: &str, old: Json, new: Json| {
        if old != new {
            all.push(Change { place: place.into(), key: None, old: Some(old), new: Some(new) });
        }
    };
    plain("name", old.name.as_str().into(), new.name.as_str().into());
    plain("sequence", old.sequence.into(), new.sequence.into());
    // A bundle's document was read when the bundle was.
    let document = |bundle: &Bundle| tables::read::<Table>(&bundle.document).unwrap_or_default();
    let (old, new) = (document(old), document(new));
    for (table, before, now) in both(&old, &new).filter(|(table, ..)| *table != "pipeline") {
        values(&mut all, table, "", before, now);
    }
    stages(&mut all, &old, &new);
    all
}

fn stages(all: &mut Vec<Change>, old: &Table, new: &Table) {
    let named = |document: &Table| -> Vec<(String, Table)> {
        let named = |stage: &Table| {
            let name = stage.get("name").and_then(Value::as_str);
            (name.unwrap_or_default().to_string(), stage.clone())
        };
        build::stages(document).map(named).collect()
    };
    let (old, new) = (named(old), named(new));
    let name = |(name, _): &(String, Table)| name.clone();
    let in_both = |these: &[(String, Table)], those: &[(String, Table)]| -> Vec<String> {
        let both = these.iter().filter(|one| those.iter().any(|other| other.0 == one.0));
        both.map(name).collect()
    };
    let (before, now) = (in_both(&old, &new), in_both(&new, &old));
    let moved = (before != now).then(|| order(&before, &now));
    for (place, (name, stage)) in new.iter().enumerate() {
        let at = format!("stage {name:?}");
        let Some((was, (_, former))) = old.iter().enumerate().find(|(_, one)| one.0 == *name)
        else {
            let new = Some(place_of(place));
            all.push(Change { place: at, key: None, old: None, new });
            continue;
        };
        if moved.as_ref().is_some_and(|stay| !stay.contains(name)) {
            let (old, new) = (Some(place_of(was)), Some(place_of(place)));
            all.push(Change { place: at.clone(), key: None, old, new });
        }
        for (key, before, now) in both(former, stage) {
            values(all, &at, key, before, now);
        }
    }
    for (place, (name, _)) in old.iter().enumerate() {
        if !new.iter().any(|one| one.0 == *name) {
            let (at, old) = (format!("stage {name:?}"), Some(place_of(place)));
            all.push(Change { place: at, key: None, old, new: None });
        }
    }
}

fn place_of(index: usize) -> Json {
    format!("place {}", index + 1).into()
}

/// The names that keep their order: a longest common subsequence. The others were moved.
fn order(old: &[String], new: &[String]) -> Vec<String> {
    let mut longest = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for (i, one) in old.iter().enumerate().rev() {
        for (j, other) in new.iter().enumerate().rev() {
            longest[i][j] = match one == other {
                true => longest[i + 1][j + 1] + 1,
                false => longest[i + 1][j].max(longest[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut stay) = (0, 0, Vec::new());
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            stay.push(old[i].clone());
            (i, j) = (i + 1, j + 1);
        } else if longest[i + 1][j] >= longest[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    stay
}

/// The keys of two tables in the order of the alphabet.
fn both<'a>(
    old: &'a Table,
    new: &'a Table,
) -> impl Iterator<Item = (&'a str, Option<&'a Value>, Option<&'a Value>)> {
    let mut keys: Vec<&str> = old.keys().chain(new.keys()).map(String::as_str).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().map(|key| (key, old.get(key), new.get(key)))
}

fn values(all: &mut Vec<Change>, place: &str, key: &str, old: Option<&Value>, new: Option<&Value>) {
    let table = |value: Option<&'_ Value>| value.is_none_or(Value::is_table);
    if table(old) && table(new) {
        let of = |value: Option<&Value>| value.and_then(Value::as_table).cloned();
        let (old, new) = (of(old).unwrap_or_default(), of(new).unwrap_or_default());
        for (below, before, now) in both(&old, &new) {
            let path = if key.is_empty() { below.into() } else { format!("{key}.{below}") };
            values(all, place, &path, before, now);
        }
    } else if old != new {
        // JSON can say all that TOML can, but for numbers that are none.
        let json = |value: &Value| serde_json::to_value(value).unwrap_or_default();
        let (old, new) = (old.map(json), new.map(json));
        let key = (!key.is_empty()).then(|| key.to_string());
        all.push(Change { place: place.into(), key, old, new });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(sequence: u64, text: &str) -> Bundle {
        let draft = build::Draft::parse(text, "w.toml").expect(text);
        draft.finish("prod", sequence, &[]).expect(text)
    }

    fn stage(name: &str, more: &str) -> String {
        format!("[[pipeline]]\nname = '{name}'\nbuiltin = 'registrator'\n{more}")
    }

    #[test]
    fn what_is_added_removed_moved_or_changed_is_told_once() {
        let old = ["a", "b", "c", "d"].map(|name| stage(name, "settings = { x = { y = 1 } }\n"));
        let new = [
            stage("d", "settings = { x = { y = 1 } }\n"),
            stage("a", "settings = { x = { y = 2 } }\n"),
            stage("e", ""),
            stage("c", "settings = { x = { y = 1 } }\n"),
        ];
        let old = bundle(1, &format!("[limits]\ntags = 5\n{}", old.concat()));
        let new = bundle(2, &new.concat());
        let told: Vec<String> = diff(&old, &new)
            .into_iter()
            .map(|Change { place, key, old, new }| {
                let or = |value: Option<Json>| value.map_or("-".into(), |value| value.to_string());
                let key = key.unwrap_or_else(|| "-".into());
                format!("{place} {key}: {} > {}", or(old), or(new))
            })
            .collect();
        assert_eq!(
            told,
            [
                "sequence -: 1 > 2",
                "limits tags: 5 > -",
                "stage \"d\" -: \"place 4\" > \"place 1\"",
                "stage \"a\" settings.x.y: 1 > 2",
                "stage \"e\" -: - > \"place 3\"",
                "stage \"b\" -: \"place 2\" > -",
            ]
        );
        assert_eq!(diff(&old, &old), []);
    }
}
