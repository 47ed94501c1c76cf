//! A map of few texts to values, of which the copies share what is in it until one of them is changed: what is
//! wanted of a service and what is registered is mostly the same, and kept for each container. A sorted list, as the
//! smallest node of a tree has room for eleven.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{Hash, Hasher},
    ops::{Deref, DerefMut, Index},
    sync::Arc,
};

use litemap::LiteMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A map of few texts to values, in the order of the texts. In JSON it is an object.
pub struct Few<V: 'static>(Option<Arc<LiteMap<String, V>>>);

/// Texts by texts, such as a service's metadata.
pub type Pairs = Few<String>;

impl<V> Few<V> {
    const NONE: &'static LiteMap<String, V> = &LiteMap::new_vec();

    /// Take out the last pair.
    pub fn pop_last(&mut self) -> Option<(String, V)>
    where
        V: Clone,
    {
        let last = self.last().map(|(key, _)| key.clone())?;
        let value = self.remove(&last)?;
        Some((last, value))
    }

    /// Give back the room for more pairs.
    pub fn shrink(&mut self)
    where
        V: Clone,
    {
        let Some(shared) = self.0.take().filter(|map| !map.is_empty()) else { return };
        let mut pairs = Arc::unwrap_or_clone(shared).into_tuple_vec();
        pairs.shrink_to_fit();
        self.0 = Some(Arc::new(LiteMap::from_sorted_store_unchecked(pairs)));
    }

    /// Use what an equal map has, so that it is kept once.
    pub fn share(&mut self, other: &Self)
    where
        V: PartialEq,
    {
        if self == other {
            self.0.clone_from(&other.0);
        }
    }
}

impl<V> Default for Few<V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<V> Clone for Few<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V> Deref for Few<V> {
    type Target = LiteMap<String, V>;

    fn deref(&self) -> &Self::Target {
        self.0.as_deref().unwrap_or(Self::NONE)
    }
}

impl<V: Clone> DerefMut for Few<V> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        Arc::make_mut(self.0.get_or_insert_default())
    }
}

impl<V: PartialEq> PartialEq for Few<V> {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(this), Some(other)) if Arc::ptr_eq(this, other) => true,
            _ => **self == **other,
        }
    }
}

impl<V: Eq> Eq for Few<V> {}

impl<V: Hash> Hash for Few<V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<V: fmt::Debug> fmt::Debug for Few<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<V> Index<&str> for Few<V> {
    type Output = V;

    fn index(&self, key: &str) -> &V {
        self.get(key).expect("the key is there")
    }
}

impl<V> FromIterator<(String, V)> for Few<V> {
    fn from_iter<T: IntoIterator<Item = (String, V)>>(pairs: T) -> Self {
        let map: LiteMap<_, _> = pairs.into_iter().collect();
        Self((!map.is_empty()).then(|| Arc::new(map)))
    }
}

impl<V, const N: usize> From<[(String, V); N]> for Few<V> {
    fn from(pairs: [(String, V); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<V> From<BTreeMap<String, V>> for Few<V> {
    fn from(map: BTreeMap<String, V>) -> Self {
        map.into_iter().collect()
    }
}

impl<V: Clone> IntoIterator for Few<V> {
    type Item = (String, V);
    type IntoIter = std::vec::IntoIter<(String, V)>;

    fn into_iter(self) -> Self::IntoIter {
        let map = self.0.map(Arc::unwrap_or_clone).unwrap_or_default();
        map.into_tuple_vec().into_iter()
    }
}

/// The pairs of a list that is sorted.
type Sorted<'a, V> =
    std::iter::Map<std::slice::Iter<'a, (String, V)>, fn(&'a (String, V)) -> (&'a String, &'a V)>;

impl<'a, V> IntoIterator for &'a Few<V> {
    type Item = (&'a String, &'a V);
    type IntoIter = Sorted<'a, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.as_slice().iter().map(|(key, value)| (key, value))
    }
}

impl<V: Serialize> Serialize for Few<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Few<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher as _, RandomState};

    use super::*;

    fn pairs(text: &str) -> Pairs {
        text.split_whitespace().map(|key| (key.to_string(), key.repeat(2))).collect()
    }

    #[test]
    fn a_copy_shares_until_it_is_changed() {
        let first = pairs("b a c");
        let mut second = first.clone();
        let is_shared =
            |one: &Pairs, other: &Pairs| std::ptr::eq(&raw const **one, &raw const **other);
        assert!(is_shared(&first, &second));
        second.insert("d".into(), "dd".into());
        assert_eq!((first.len(), second.len()), (3, 4));
        assert_eq!(second.pop_last(), Some(("d".into(), "dd".into())));
        assert!(first == second && !is_shared(&first, &second));
        second.share(&first);
        assert!(is_shared(&first, &second));
        second.remove("a");
        second.share(&first);
        assert!(!is_shared(&first, &second), "it is another one");
    }

    #[test]
    fn one_that_was_emptied_is_as_one_that_never_had_any() {
        let mut emptied = pairs("a");
        emptied.remove("a");
        let hasher = RandomState::new();
        let none = Pairs::default();
        assert_eq!(emptied, none);
        assert_eq!(hasher.hash_one(&emptied), hasher.hash_one(&none));
        emptied.shrink();
        assert!(emptied.0.is_none() && emptied.pop_last().is_none());
    }

    #[test]
    fn it_is_written_as_a_map_in_every_form() {
        let all = pairs("b a");
        let json = serde_json::to_string(&all).expect("JSON");
        assert_eq!(json, r#"{"a":"aa","b":"bb"}"#);
        assert_eq!(serde_json::from_str::<Pairs>(&json).expect("JSON"), all);
        let packed = postcard::to_allocvec(&all).expect("it has a length");
        assert_eq!(postcard::from_bytes::<Pairs>(&packed).expect("the same"), all);
        assert_eq!(format!("{all:?}"), r#"{"a": "aa", "b": "bb"}"#);
        assert_eq!(all["b"], "bb");
        assert_eq!(all.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn room_for_more_is_given_back() {
        use crate::allocated::freed;
        let mut many = pairs("a b c d e");
        let counts = std::mem::size_of::<[usize; 2]>();
        let list = std::mem::size_of::<LiteMap<String, String>>();
        let exact = counts + list + 5 * std::mem::size_of::<(String, String)>() + 5 * "aaa".len();
        many.insert("f".into(), "ff".into());
        many.remove("f");
        many.shrink();
        assert_eq!(freed(many), i64::try_from(exact).expect("a number"));
    }
}
