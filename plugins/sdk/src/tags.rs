//! Lists of tags: each tag once, in the order in which they are registered.

/// Add a tag at the end, unless it is there.
pub fn add(tags: &mut Vec<String>, tag: impl Into<String>) {
    let tag = tag.into();
    if !tags.contains(&tag) {
        tags.push(tag);
    }
}

/// Take away the tags of which this is true.
pub fn remove(tags: &mut Vec<String>, unwanted: impl Fn(&str) -> bool) {
    tags.retain(|tag| !unwanted(tag));
}

/// Change each tag, or drop it by making none of it; what then occurs twice
/// stays where it was first.
pub fn rewrite(tags: &mut Vec<String>, change: impl FnMut(String) -> Option<String>) {
    let before = std::mem::take(tags);
    before.into_iter().filter_map(change).for_each(|tag| add(tags, tag));
}

/// Set the tag `<key><value>`, such as `version=1.2` for the key `version=`,
/// in the place of the first one that begins with the key; any other of them
/// goes.
pub fn set(tags: &mut Vec<String>, key: &str, value: &str) {
    let mut tag = Some(format!("{key}{value}"));
    let before = std::mem::take(tags);
    let replaced = |old: String| if old.starts_with(key) { tag.take() } else { Some(old) };
    tags.extend(before.into_iter().filter_map(replaced));
    tags.extend(tag);
}

/// What follows the prefix in the tags that begin with it.
pub fn with_prefix<'a>(tags: &'a [String], prefix: &'a str) -> impl Iterator<Item = &'a str> {
    tags.iter().filter_map(move |tag| tag.strip_prefix(prefix))
}

/// Leave of tags that are the same the first one.
pub fn dedupe(tags: &mut Vec<String>) {
    rewrite(tags, Some);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &[&str], change: impl Fn(&mut Vec<String>), after: &[&str]) {
        let mut tags: Vec<String> = before.iter().map(ToString::to_string).collect();
        change(&mut tags);
        assert_eq!(tags, after);
        change(&mut tags);
        assert_eq!(tags, after, "a second time");
    }

    #[test]
    fn a_tag_is_there_once() {
        check(&["a"], |tags| add(tags, "b"), &["a", "b"]);
        check(&["b", "a"], |tags| add(tags, "b"), &["b", "a"]);
        check(&["a", "b", "a"], dedupe, &["a", "b"]);
        check(&["A", "b", "a"], |tags| rewrite(tags, |tag| Some(tag.to_lowercase())), &["a", "b"]);
        check(&["a", "b"], |tags| rewrite(tags, |tag| (tag != "a").then_some(tag)), &["b"]);
        check(&["a", "b"], |tags| remove(tags, |tag| tag == "a"), &["b"]);
    }

    #[test]
    fn a_tag_with_a_key_is_replaced_in_its_place() {
        check(&["a"], |tags| set(tags, "v=", "2"), &["a", "v=2"]);
        check(&["a", "v=1", "b", "v=3"], |tags| set(tags, "v=", "2"), &["a", "v=2", "b"]);
        let tags = ["v=1".to_string(), "w=2".into()];
        assert_eq!(with_prefix(&tags, "v=").collect::<Vec<_>>(), ["1"]);
    }
}
