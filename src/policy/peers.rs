//! The other hosts of the fleet, as one host sees them. A seam: whoever knows where hosts tell of
//! themselves implements it.

use super::rollout::Fleet;

/// Where the fleet is seen.
#[async_trait::async_trait]
pub trait Peers: Send + Sync {
    /// All hosts of the fleet, read whole.
    ///
    /// # Errors
    ///
    /// They could not be; the words say why. A part of them is no fleet.
    async fn fleet(&self) -> Result<Fleet, String>;
}

/// A fleet of one: where hosts tell nothing of themselves, each takes its policy by the document
/// alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

#[async_trait::async_trait]
impl Peers for Alone {
    async fn fleet(&self) -> Result<Fleet, String> {
        Ok(Fleet::new())
    }
}
