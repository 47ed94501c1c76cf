//! Compiled code, on its way from the compiler into the engine.
//!
//! Its invariant: an [`Artifact`] is what this program's own compiler has made,
//! byte for byte. Only the compiler and the cache can make one.

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

/// The code that a compiler of this program has made of a component.
pub(super) struct Artifact(Vec<u8>);

/// Says that a file is compiled code of this form.
const MAGIC: &[u8; 16] = b"wharfinger code\n";
const HEAD: usize = MAGIC.len() + 32;

impl Artifact {
    /// The artifact of code that a compiler returned.
    pub(super) fn compiled(code: Vec<u8>) -> Self {
        Self(code)
    }

    /// The form in which it is kept in a file: with a digest of the code and of
    /// the key under which it is kept.
    pub(super) fn sealed(&self, key: &str) -> Vec<u8> {
        [MAGIC, &digest(key, &self.0)[..], &self.0].concat()
    }

    /// The artifact in bytes from [`Artifact::sealed`], if they are whole and of this key.
    pub(super) fn unsealed(key: &str, mut sealed: Vec<u8>) -> Option<Self> {
        let (magic, rest) = sealed.split_at_checked(MAGIC.len())?;
        let (expected, code) = rest.split_at_checked(32)?;
        if magic != MAGIC || expected != digest(key, code) {
            return None;
        }
        sealed.drain(..HEAD);
        Some(Self(sealed))
    }

    /// The component, ready to be linked.
    ///
    /// # Errors
    ///
    /// It was compiled for another engine, or memory cannot be had.
    pub(super) fn load(&self, engine: &wasmtime::Engine) -> wasmtime::Result<Component> {
        // SAFETY: the engine runs this code as it is, so it must come from the
        // engine's own compiler. By this module's invariant it does: either it
        // came from the compiler right now, or from a file that only this user
        // can write, with the digest that this program wrote. The engine itself
        // refuses what was compiled by another version or with other settings.
        // The bytes are copied, so nobody can change them afterwards.
        #[allow(unsafe_code)]
        unsafe {
            Component::deserialize(engine, &self.0)
        }
    }
}

fn digest(key: &str, code: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update((key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(code);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_or_of_another_key_is_not_unsealed() {
        let sealed = Artifact::compiled(b"code".to_vec()).sealed("a");
        let unsealed = |key, bytes: &[u8]| Artifact::unsealed(key, bytes.to_vec()).map(|it| it.0);
        assert_eq!(unsealed("a", &sealed).as_deref(), Some(&b"code"[..]));
        assert_eq!(unsealed("b", &sealed), None);
        assert_eq!(unsealed("a", b""), None);
        for at in 0..sealed.len() {
            assert_eq!(unsealed("a", &sealed[..at]), None, "cut off at {at}");
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(unsealed("a", &changed), None, "changed at {at}");
        }
    }
}
