//! An answer that changes seldom, and is asked for often.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// An answer that is older is asked for again.
const AGE: Duration = Duration::from_secs(60);

/// The last answer to a question. Clones share it.
#[derive(Debug)]
pub(crate) struct Fresh<T>(Arc<Mutex<Option<(Instant, T)>>>);

impl<T> Clone for Fresh<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Fresh<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Fresh<T> {
    /// The answer, which is asked for if it is not known or an old one. Where asking fails, the last
    /// one holds for as long again: who answered before is out of reach for a moment.
    ///
    /// # Errors
    ///
    /// Asking failed, and there never was an answer.
    pub(crate) async fn get<E>(&self, ask: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let kept = self.kept();
        if let Some((at, value)) = &kept
            && at.elapsed() < AGE
        {
            return Ok(value.clone());
        }
        let value = match (ask.await, kept) {
            (Ok(value), _) | (Err(_), Some((_, value))) => value,
            (Err(error), None) => return Err(error),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), value.clone()));
        Ok(value)
    }

    fn kept(&self) -> Option<(Instant, T)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(fresh: &Fresh<u8>, answer: Result<u8, &'static str>) -> Result<u8, &'static str> {
        fresh.get(async { answer }).await
    }

    #[tokio::test]
    async fn an_answer_is_kept_and_outlives_failures() {
        let fresh = Fresh::default();
        assert_eq!(ask(&fresh, Err("away")).await, Err("away"));
        assert_eq!(ask(&fresh, Ok(1)).await, Ok(1));
        assert_eq!(ask(&fresh.clone(), Ok(2)).await, Ok(1));
        let Some(old) = Instant::now().checked_sub(2 * AGE) else { return };
        *fresh.0.lock().expect("nobody panicked") = Some((old, 1));
        assert_eq!(ask(&fresh, Err("away")).await, Ok(1));
        assert_eq!(ask(&fresh, Ok(3)).await, Ok(1), "it holds for as long again");
        *fresh.0.lock().expect("nobody panicked") = Some((old, 1));
        assert_eq!(ask(&fresh, Ok(3)).await, Ok(3));
    }
}
