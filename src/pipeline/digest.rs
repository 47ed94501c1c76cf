//! By what an answer of a stage is remembered: a digest of all that the answer
//! depends on.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::Step;
use crate::model::{container::Container, host::Host, service::Service};

pub(super) type Digest = [u8; 32];

/// A digest of the facts that are the same for all stages. All facts of the
/// container are in it, also those that a stage is not granted: an answer is
/// rather worked out once more than used where it does not fit.
pub(super) struct Facts(Digest);

impl Facts {
    pub(super) fn of(container: &Container, host: &Host) -> Self {
        let mut digest = Sha256::new();
        update(&mut digest, container);
        update(&mut digest, host);
        Self(digest.finalize().into())
    }

    /// The key of the answer that a stage gives on services of this digest.
    pub(super) fn key(&self, fingerprint: &Digest, services: &Digest) -> Digest {
        let mut digest = Sha256::new();
        digest.update(fingerprint);
        digest.update(self.0);
        digest.update(services);
        digest.finalize().into()
    }
}

/// A digest of stages in their order, in twelve digits.
pub(super) fn of_steps(steps: &[Step]) -> String {
    let mut digest = Sha256::new();
    for step in steps {
        update(&mut digest, &(step.name(), format!("{:?}", step.rules()), step.unloaded()));
        update(&mut digest, &step.made().map(|made| made.fingerprint()));
    }
    let digest = digest.finalize();
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// A digest of the services so far, which is the same for all stages that leave them as they are.
pub(super) fn services_digest(services: &[Service]) -> Digest {
    let mut digest = Sha256::new();
    update(&mut digest, &services);
    digest.finalize().into()
}

/// JSON ends where its value ends, so that two values in a row are told apart.
fn update(digest: &mut Sha256, value: &impl Serialize) {
    let text = serde_json::to_vec(value).expect("a value with string keys only");
    digest.update(text);
}
