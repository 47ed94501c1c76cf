//! A list as it arrives: each entry on its own, so that a long one is not held twice, one without
//! end is given up, and an entry that cannot be understood costs nothing but itself.

/// The most bytes of a list and of one entry, and the most entries: short ones take more
/// memory than they have bytes.
pub(super) const MOST: usize = 64 << 20;
const MOST_OF_ONE: usize = 4 << 20;
const MOST_ENTRIES: usize = 100_000;

/// Splits a JSON object or array into its entries. What is wrong inside an entry is
/// for whoever reads it.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// An object or an array of the one entry that is being read.
    one: Vec<u8>,
    total: usize,
    count: usize,
    place: Place,
    /// Of brackets within the entry.
    depth: usize,
    text: Text,
    closing: u8,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Before,
    Within,
    After,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Text {
    #[default]
    Outside,
    Inside,
    Escaped,
}

/// Why a list cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::registry) enum BadList {
    /// It, or an entry of it, is too long.
    #[error("the list, or an entry of it, is too long: more than {0} bytes")]
    Long(usize),
    /// It has too many entries.
    #[error("the list has more than {0} entries")]
    Many(usize),
    /// It is no list, or only a part of one.
    #[error("what came is no whole list in JSON")]
    Broken,
}

impl Entries {
    /// Take what has arrived, and hand over each whole entry, as an object or array of
    /// that entry alone.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        each: &mut (dyn FnMut(&[u8]) -> Result<(), BadList> + Send),
    ) -> Result<(), BadList> {
        self.total += bytes.len();
        if self.total > MOST {
            return Err(BadList::Long(MOST));
        }
        for &byte in bytes {
            match self.place {
                Place::Within => self.within(byte, each)?,
                Place::Before if matches!(byte, b'{' | b'[') => {
                    self.closing = byte + 2;
                    self.one.push(byte);
                    self.place = Place::Within;
                }
                _ if byte.is_ascii_whitespace() => {}
                Place::Before | Place::After => return Err(BadList::Broken),
            }
        }
        Ok(())
    }

    fn within(
        &mut self,
        byte: u8,
        each: &mut (dyn FnMut(&[u8]) -> Result<(), BadList> + Send),
    ) -> Result<(), BadList> {
        match (self.text, byte) {
            (Text::Escaped, _) => self.text = Text::Inside,
            (Text::Inside, b'\\') => self.text = Text::Escaped,
            (Text::Inside, b'"') => self.text = Text::Outside,
            (Text::Inside, _) => {}
            (Text::Outside, b'"') => self.text = Text::Inside,
            (Text::Outside, b'{' | b'[') => self.depth += 1,
            (Text::Outside, b'}' | b']') if self.depth > 0 => self.depth -= 1,
            (Text::Outside, b'}' | b']') if byte != self.closing => return Err(BadList::Broken),
            (Text::Outside, b',') if self.depth == 0 => return self.end(each),
            (Text::Outside, b'}' | b']') => {
                self.place = Place::After;
                // There are no entries at all.
                return if self.one.len() == 1 { Ok(()) } else { self.end(each) };
            }
            (Text::Outside, b' ' | b'\t' | b'\n' | b'\r') => return Ok(()),
            (Text::Outside, _) => {}
        }
        if self.one.len() >= MOST_OF_ONE {
            return Err(BadList::Long(MOST_OF_ONE));
        }
        self.one.push(byte);
        Ok(())
    }

    fn end(
        &mut self,
        each: &mut (dyn FnMut(&[u8]) -> Result<(), BadList> + Send),
    ) -> Result<(), BadList> {
        self.count += 1;
        if self.count > MOST_ENTRIES {
            return Err(BadList::Many(MOST_ENTRIES));
        }
        self.one.push(self.closing);
        each(&self.one)?;
        self.one.truncate(1);
        Ok(())
    }

    /// All has arrived.
    pub(super) fn finish(&self) -> Result<(), BadList> {
        if self.place == Place::After { Ok(()) } else { Err(BadList::Broken) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn split(text: &[u8], size: usize) -> Result<Vec<Value>, BadList> {
        let (mut entries, mut found) = (Entries::default(), Vec::new());
        for chunk in text.chunks(size.max(1)) {
            entries.feed(chunk, &mut |one| {
                found.push(serde_json::from_slice(one).map_err(|_| BadList::Broken)?);
                Ok(())
            })?;
        }
        entries.finish().map(|()| found)
    }

    proptest! {
        #[test]
        fn the_entries_are_those_of_the_whole(
            map: BTreeMap<String, Vec<Option<String>>>,
            size in 1..40_usize,
            pretty: bool,
        ) {
            let text = if pretty { serde_json::to_vec_pretty(&map) } else { serde_json::to_vec(&map) };
            let found = split(&text.expect("JSON"), size).expect("a list");
            let expected: Vec<_> =
                map.iter().map(|(key, value)| serde_json::json!({ key: value })).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_no_whole_list_is_an_error() {
        for text in
            ["", "null", "5", "\"a\"", "{", "[1", "[1]]", "{\"a\":1}x", "[1}", "{]", "{\"a\":1,"]
        {
            assert_eq!(split(text.as_bytes(), 3), Err(BadList::Broken), "{text}");
        }
        for (text, count) in [("{}", 0), (" [ ] ", 0), ("[1, [2], {\"a\": \"]\\\"\"}]\n", 3)] {
            assert_eq!(split(text.as_bytes(), 2).map(|found| found.len()), Ok(count), "{text}");
        }
    }

    #[test]
    fn what_has_no_end_is_given_up() {
        let long = vec![b'x'; 1 << 20];
        let mut entries = Entries::default();
        entries.feed(b"{\"a\":\"", &mut |_| Ok(())).expect("a beginning");
        let fed = (0..100).try_for_each(|_| entries.feed(&long, &mut |_| Ok(())));
        assert_eq!(fed, Err(BadList::Long(MOST_OF_ONE)));
        let mut entries = Entries::default();
        entries.feed(b"[", &mut |_| Ok(())).expect("a beginning");
        let one = [b'1', b','].repeat(1 << 10);
        let fed = (0..100).try_for_each(|_| entries.feed(&one, &mut |_| Ok(())));
        assert_eq!(fed, Err(BadList::Many(MOST_ENTRIES)));
        let mut entries = Entries::default();
        entries.feed(b"[", &mut |_| Ok(())).expect("a beginning");
        let one = [vec![b'1'; 1 << 16], vec![b',']].concat();
        let fed = (0..2_000).try_for_each(|_| entries.feed(&one, &mut |_| Ok(())));
        assert_eq!(fed, Err(BadList::Long(MOST)));
    }
}
