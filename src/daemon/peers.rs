//! The other hosts of the fleet, by the services that their daemons have registered themselves as.

use crate::{
    error::error_chain,
    policy::{peers::Peers, rollout::Fleet},
    registry::{Consul, consul::members},
};

/// The hosts whose daemons have registered themselves in Consul.
pub struct Members {
    /// The agent that is asked.
    pub consul: Consul,
    /// The name of the daemons' service.
    pub service: String,
    /// This host's name.
    pub host: String,
}

#[async_trait::async_trait]
impl Peers for Members {
    async fn fleet(&self) -> Result<Fleet, String> {
        let read = members::read(&self.consul, &self.service).await;
        let fleet = read.map_err(|error| error_chain(&error))?;
        // Consul leaves out without a word what a token may not see.
        if !fleet.contains_key(&self.host) {
            return Err(format!(
                "service {:?}: this host, {:?}, is not among its instances: its daemon has not \
                 registered itself yet, or the token may not read the service",
                self.service, self.host
            ));
        }
        Ok(fleet)
    }
}
