//! Lists of tags in one string, separated by commas.

/// Split a list of tags. `\,` is a comma within a tag, empty parts count for
/// nothing, and the tags come out in the reverse of the order in which they
/// are written, as registrator has always sent them.
pub(crate) fn parse(list: &str) -> Vec<String> {
    let mut tags = vec![String::new()];
    for c in list.chars() {
        let tag = tags.last_mut().expect("there is always a tag that is being read");
        if c != ',' {
            tag.push(c);
        } else if tag.ends_with('\\') {
            tag.pop();
            tag.push(',');
        } else if !tag.is_empty() {
            tags.push(String::new());
        }
    }
    tags.retain(|tag| !tag.is_empty());
    tags.reverse();
    tags
}

#[cfg(test)]
mod tests {
    fn check(list: &str, expected: &[&str]) {
        assert_eq!(super::parse(list), expected, "{list:?}");
    }

    #[test]
    fn tags_are_split_unescaped_and_reversed() {
        check("", &[]);
        check("a,b,c", &["c", "b", "a"]);
        check(",,a,,", &["a"]);
        check(",,,", &[]);
        check(r"a\,b,c,d\,e\,f", &["d,e,f", "c", "a,b"]);
        check(r"\,", &[","]);
        check(r"a\,,b", &["b", "a,"]);
        check(r"a\\,b", &[r"a\,b"]);
        check(r"a,b\", &[r"b\", "a"]);
        check(" a , b ", &[" b ", " a "]);
    }
}
