//! Lists of tags in one string, separated by commas.

use std::collections::HashSet;

use crate::log::{Log, shown};

/// More tags than anybody has; each costs memory.
const MAX_TAGS: usize = 10_000;

/// The tags of a list in the order in which they are written, without the space around them, none
/// empty and none twice. `\,` is a comma within a tag.
pub(crate) fn of_lists<'a>(lists: impl IntoIterator<Item = &'a str>, log: &Log) -> Vec<String> {
    let (mut tags, mut seen) = (Vec::new(), HashSet::new());
    for list in lists {
        each(list, |tag| {
            let tag = tag.trim();
            if tag.is_empty() || seen.contains(tag) {
                return true;
            }
            if tags.len() == MAX_TAGS {
                log.warn(format!("the tags after the first {MAX_TAGS} are left out"));
                return false;
            }
            seen.insert(tag.to_string());
            tags.push(tag.to_string());
            true
        });
    }
    tags
}

/// Warn of tags of a container's own that would be templates in the flag `-tags`.
pub(crate) fn warn_of_templates(list: &str, key: &str, log: &Log) {
    each(list, |tag| {
        let opens = tag.contains("{{");
        if opens {
            log.warn(format!(
                "{key}: {:?} looks like a template; it is registered as text, since only the flag \
                 -tags has templates",
                shown(tag.trim())
            ));
        }
        !opens
    });
}

/// The tags of a list as registrator has always sent them: with the space around them, and in the
/// reverse of the order in which they are written.
pub(crate) fn original(list: &str) -> Vec<String> {
    let mut tags = Vec::new();
    each(list, |tag| {
        tags.push(tag.to_string());
        true
    });
    tags.retain(|tag| !tag.is_empty());
    tags.reverse();
    tags
}

/// Call with each tag of a list until the answer is no.
fn each(list: &str, mut with: impl FnMut(&str) -> bool) {
    let mut tag = String::new();
    for c in list.chars() {
        if c != ',' {
            tag.push(c);
        } else if tag.ends_with('\\') {
            tag.pop();
            tag.push(',');
        } else {
            if !with(&tag) {
                return;
            }
            tag.clear();
        }
    }
    with(&tag);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &str, reversed: &[&str], sound: &[&str]) {
        assert_eq!(original(list), reversed, "{list:?}");
        assert_eq!(of_lists([list], &Log::default()), sound, "{list:?}");
    }

    #[test]
    fn tags_are_split_and_unescaped() {
        check("", &[], &[]);
        check("a,b,c", &["c", "b", "a"], &["a", "b", "c"]);
        check(",,a,,", &["a"], &["a"]);
        check(",,,", &[], &[]);
        check(r"a\,b,c,d\,e\,f", &["d,e,f", "c", "a,b"], &["a,b", "c", "d,e,f"]);
        check(r"\,", &[","], &[","]);
        check(r"a\,,b", &["b", "a,"], &["a,", "b"]);
        check(r"a\\,b", &[r"a\,b"], &[r"a\,b"]);
        check(r"a,b\", &[r"b\", "a"], &["a", r"b\"]);
        check(" a , b ", &[" b ", " a "], &["a", "b"]);
        check("a, a ,\ta\n,, ,b", &["b", " ", "\ta\n", " a ", "a"], &["a", "b"]);
        check("a b,a  b", &["a  b", "a b"], &["a b", "a  b"]);
    }

    #[test]
    fn a_tag_is_there_once_whoever_says_it() {
        assert_eq!(of_lists(["b,a", "a,c", "udp"], &Log::default()), ["b", "a", "c", "udp"]);
    }

    #[test]
    fn no_list_is_too_long() {
        let same = "a,".repeat(500_000);
        assert_eq!(of_lists([&*same], &Log::default()), ["a"]);
        let many: String = (0..MAX_TAGS + 5).map(|n| format!("{n},")).collect();
        assert_eq!(of_lists([&*many], &Log::default()).len(), MAX_TAGS);
    }
}
