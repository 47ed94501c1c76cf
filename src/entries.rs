//! A list as it arrives: each entry on its own, so that a long one is not held twice, one without
//! end is given up, and an entry that cannot be understood costs nothing but itself.

use memchr::memchr2;

/// The bounds of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes.
    pub(crate) whole: usize,
    /// Bytes of one entry.
    pub(crate) one: usize,
    /// Entries: short ones take more memory than they have bytes.
    pub(crate) entries: usize,
}

/// Splits a JSON object or array into its entries. Faults inside an entry are for
/// whoever reads it.
#[derive(Debug)]
pub(crate) struct Entries {
    bounds: Bounds,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    Within,
    After,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    Outside,
    Inside,
    Escaped,
}

/// The bytes that mean something outside of texts; numbers and words do not.
const MEANS: [bool; 256] = {
    let (mut means, all) = ([false; 256], *b"\"{}[], \t\n\r");
    let mut n = 0;
    while n < all.len() {
        means[all[n] as usize] = true;
        n += 1;
    }
    means
};

/// Why a list cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadList {
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
    /// A list of which nothing has arrived.
    pub(crate) fn within(bounds: Bounds) -> Self {
        Self {
            bounds,
            one: Vec::new(),
            total: 0,
            count: 0,
            place: Place::Before,
            depth: 0,
            text: Text::Outside,
            closing: 0,
        }
    }

    /// Take what has arrived, and hand over each whole entry, as an object or array of
    /// that entry alone.
    pub(crate) fn feed<E: From<BadList>>(
        &mut self,
        bytes: &[u8],
        each: &mut (dyn FnMut(&[u8]) -> Result<(), E> + Send),
    ) -> Result<(), E> {
        self.total += bytes.len();
        if self.total > self.bounds.whole {
            return Err(BadList::Long(self.bounds.whole).into());
        }
        // What of these bytes is the entry's and was not added to it begins at `from`.
        let (mut at, mut from) = (0, 0);
        while let Some(&byte) = bytes.get(at) {
            match (self.place, self.text) {
                (Place::Within, Text::Inside) => {
                    let Some(end) = memchr2(b'"', b'\\', &bytes[at..]) else { break };
                    at += end + 1;
                    self.text = if bytes[at - 1] == b'"' { Text::Outside } else { Text::Escaped };
                }
                (Place::Within, Text::Escaped) => {
                    self.text = Text::Inside;
                    at += 1;
                }
                (Place::Within, Text::Outside) => {
                    let plain = bytes[at..].iter().position(|byte| MEANS[usize::from(*byte)]);
                    let Some(plain) = plain else { break };
                    at += plain;
                    if self.is_part(bytes[at])? {
                        at += 1;
                        continue;
                    }
                    self.add(&bytes[from..at])?;
                    match bytes[at] {
                        b' ' | b'\t' | b'\n' | b'\r' => {}
                        b',' => self.end(each)?,
                        _ => self.close(each)?,
                    }
                    at += 1;
                    from = at;
                }
                (place, _) => {
                    at += 1;
                    from = at;
                    match byte {
                        b'{' | b'[' if place == Place::Before => {
                            self.closing = byte + 2;
                            self.one.push(byte);
                            self.place = Place::Within;
                        }
                        _ if byte.is_ascii_whitespace() => {}
                        _ => return Err(BadList::Broken.into()),
                    }
                }
            }
        }
        if self.place == Place::Within {
            self.add(&bytes[from..])?;
        }
        Ok(())
    }

    /// Whether what arrives is an array; not known before anything of it has.
    pub(crate) fn is_array(&self) -> Option<bool> {
        (self.place != Place::Before).then_some(self.closing == b']')
    }

    /// Whether a byte outside of texts, of those that mean something, is a part of the entry. Any
    /// other one is a space, or ends it.
    fn is_part(&mut self, byte: u8) -> Result<bool, BadList> {
        match byte {
            b'"' => self.text = Text::Inside,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => self.depth -= 1,
            b'}' | b']' if byte != self.closing => return Err(BadList::Broken),
            b',' => return Ok(self.depth > 0),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The list has ended.
    fn close<E: From<BadList>>(
        &mut self,
        each: &mut (dyn FnMut(&[u8]) -> Result<(), E> + Send),
    ) -> Result<(), E> {
        self.place = Place::After;
        // There are no entries at all.
        if self.one.len() == 1 && self.count == 0 { Ok(()) } else { self.end(each) }
    }

    fn add(&mut self, part: &[u8]) -> Result<(), BadList> {
        if self.one.len() + part.len() > self.bounds.one {
            return Err(BadList::Long(self.bounds.one));
        }
        self.one.extend_from_slice(part);
        Ok(())
    }

    fn end<E: From<BadList>>(
        &mut self,
        each: &mut (dyn FnMut(&[u8]) -> Result<(), E> + Send),
    ) -> Result<(), E> {
        self.count += 1;
        if self.count > self.bounds.entries {
            return Err(BadList::Many(self.bounds.entries).into());
        }
        self.one.push(self.closing);
        each(&self.one)?;
        self.one.truncate(1);
        Ok(())
    }

    /// All has arrived.
    pub(crate) fn finish(&self) -> Result<(), BadList> {
        if self.place == Place::After { Ok(()) } else { Err(BadList::Broken) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const MOST_OF_ONE: usize = 4 << 20;
    const MOST_ENTRIES: usize = 100_000;
    const BOUNDS: Bounds = Bounds { whole: 64 << 20, one: MOST_OF_ONE, entries: MOST_ENTRIES };

    fn split(text: &[u8], size: usize) -> Result<Vec<Value>, BadList> {
        let (mut entries, mut found) = (Entries::within(BOUNDS), Vec::new());
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
        for (text, count) in [
            ("{}", 0),
            (" [ ] ", 0),
            ("[\"a\\\\\", \"\\\"]\"]", 2),
            ("[1, [2], {\"a\": \"]\\\"\"}]\n", 3),
        ] {
            assert_eq!(split(text.as_bytes(), 2).map(|found| found.len()), Ok(count), "{text}");
        }
    }

    #[test]
    fn what_has_no_end_is_given_up() {
        let mut ignored = |_: &[u8]| Ok::<_, BadList>(());
        let long = vec![b'x'; 1 << 20];
        let mut entries = Entries::within(BOUNDS);
        entries.feed(b"{\"a\":\"", &mut ignored).expect("a beginning");
        let fed = (0..100).try_for_each(|_| entries.feed(&long, &mut ignored));
        assert_eq!(fed, Err(BadList::Long(MOST_OF_ONE)));
        let mut entries = Entries::within(BOUNDS);
        entries.feed(b"[", &mut ignored).expect("a beginning");
        let one = [b'1', b','].repeat(1 << 10);
        let fed = (0..100).try_for_each(|_| entries.feed(&one, &mut ignored));
        assert_eq!(fed, Err(BadList::Many(MOST_ENTRIES)));
        let mut entries = Entries::within(BOUNDS);
        entries.feed(b"[", &mut ignored).expect("a beginning");
        let one = [vec![b'1'; 1 << 16], vec![b',']].concat();
        let fed = (0..2_000).try_for_each(|_| entries.feed(&one, &mut ignored));
        assert_eq!(fed, Err(BadList::Long(BOUNDS.whole)));
    }
}
