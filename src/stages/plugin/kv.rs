//! A part of a key-value store, to read: what a stage is given that was granted it.

/// Reads a key-value store on behalf of guests.
#[async_trait::async_trait]
pub trait KvReader: Send + Sync {
    /// The value of a key, none if there is no such key. Cancelling the call
    /// has no effect.
    ///
    /// # Errors
    ///
    /// A sentence that the guest may see: the store cannot be read, or the
    /// value has more than `most` bytes.
    async fn get(&self, key: &str, most: usize) -> Result<Option<Vec<u8>>, String>;
}
