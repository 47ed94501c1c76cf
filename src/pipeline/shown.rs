//! The forms in which a container is shown to the stages of one run. A stage's host makes its own form of
//! the facts; what it has made for one stage serves those after it that are shown the same.

use std::{
    any::Any,
    sync::{Arc, Mutex, PoisonError},
};

/// The forms that have been made in a run, each under a key that says all by which it differs from others of its
/// type. It is of one container and host, and never of another.
#[derive(Default)]
pub struct Shown(Mutex<Vec<Box<dyn Any + Send>>>);

/// A form under its key.
struct Form<K, T>(K, Arc<T>);

impl Shown {
    /// The form of this key, which is made if it is not there yet.
    pub fn get_or_make<K, T>(&self, key: K, make: impl FnOnce() -> T) -> Arc<T>
    where
        K: PartialEq + Send + 'static,
        T: Send + Sync + 'static,
    {
        // A form is there as a whole or not at all.
        let mut forms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = forms.iter().filter_map(|form| form.downcast_ref::<Form<K, T>>());
        if let Some(Form(_, form)) = known.find(|Form(known, _)| *known == key) {
            return form.clone();
        }
        let form = Arc::new(make());
        forms.push(Box::new(Form(key, form.clone())));
        form
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_made_once_for_each_key_and_type() {
        let shown = Shown::default();
        let first = shown.get_or_make(1, || "one".to_string());
        assert!(Arc::ptr_eq(&first, &shown.get_or_make(1, || unreachable!("it is there"))));
        assert_eq!(*shown.get_or_make(2, || "two".to_string()), "two");
        assert_eq!(*shown.get_or_make("1", || "another key".to_string()), "another key");
        assert_eq!(*shown.get_or_make(1, || 1.0), 1.0);
        assert_eq!(*first, "one");
    }
}
