//! By what an answer of a stage is remembered: a digest of all that the answer
//! depends on.

use std::hash::{Hash, Hasher};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Step, Wants};
use crate::model::{container::Container, host::Host, service::Service};

pub(super) type Digest = [u8; 32];

/// Digests of the facts, the same for all stages. Facts that every stage is shown have one
/// together, whether a stage is granted all of them or not: an answer is rather worked out once
/// more than used where it does not fit. A fact that a stage is shown only if it wants it has
/// its own, so that an answer does not depend on what other stages want.
pub(super) struct Facts {
    all: Digest,
    image: Digest,
    setup: Digest,
    agent: Digest,
    engine: Digest,
}

impl Facts {
    pub(super) fn of(container: &Container, host: &Host) -> Self {
        // In full, so that the compiler asks of a new field whether every stage is shown it. Nothing is
        // copied: every look at every container comes here.
        let Container {
            id,
            name,
            image,
            image_id,
            hostname,
            env,
            labels,
            exposed_ports,
            published_ports,
            pending_ports,
            networks,
            network_mode,
            network_peer,
            state,
            exit_code,
            health,
            stop_signal,
            created_at,
            started_at,
            attributes,
            image_facts,
            setup,
        } = container;
        let Host {
            hostname: host_name,
            forced_address,
            resolved_address,
            internal,
            explicit,
            address_label,
            compat,
            flags,
            agent,
            engine,
        } = host;
        let of_container = (
            (
                id,
                name,
                image,
                image_id,
                hostname,
                env,
                labels,
                exposed_ports,
                published_ports,
                pending_ports,
            ),
            (
                networks,
                network_mode,
                network_peer,
                state,
                exit_code,
                health,
                stop_signal,
                created_at,
                started_at,
                attributes,
            ),
        );
        let of_host = (
            host_name,
            forced_address,
            resolved_address,
            internal,
            explicit,
            address_label,
            compat,
            flags,
        );
        Self {
            all: digest(&(of_container, of_host)),
            image: digest(image_facts),
            setup: digest(setup),
            agent: digest(agent),
            engine: digest(engine),
        }
    }

    /// The key of the answer that a stage of this fingerprint, which wants these facts, gives on
    /// services of this digest. The fingerprint decides what the stage wants, so that wanted facts
    /// need not be told apart from the others.
    pub(super) fn key(&self, fingerprint: &Digest, wants: Wants, services: &Digest) -> Digest {
        let mut digest = Sha256::new();
        digest.update(fingerprint);
        digest.update(self.all);
        for (wanted, part) in [
            (wants.image, self.image),
            (wants.setup, self.setup),
            (wants.agent, self.agent),
            (wants.engine, self.engine),
        ] {
            if wanted {
                digest.update(part);
            }
        }
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
    digest(services)
}

/// JSON ends where its value ends, so that two values in a row are told apart.
fn update(digest: &mut Sha256, value: &impl Serialize) {
    let text = serde_json::to_vec(value).expect("a value with string keys only");
    digest.update(text);
}

/// A digest of a value within this process: it is made again and again and kept nowhere else, so
/// that no text has to be made of the value. A type that derives `Hash` says each of its fields, a
/// text with its end and a list with its length, so that two values say the same only if they are.
fn digest(value: &(impl Hash + ?Sized)) -> Digest {
    let mut parts = Parts { digest: Sha256::new(), few: [0; FEW], length: 0 };
    value.hash(&mut parts);
    parts.flush();
    parts.digest.finalize().into()
}

/// Bytes that are gathered before they are digested: most parts are a few.
const FEW: usize = 256;

/// A hasher that gathers the parts of a value for a digest.
struct Parts {
    digest: Sha256,
    few: [u8; FEW],
    length: usize,
}

impl Parts {
    fn flush(&mut self) {
        self.digest.update(&self.few[..self.length]);
        self.length = 0;
    }
}

impl Hasher for Parts {
    fn write(&mut self, bytes: &[u8]) {
        if bytes.len() > FEW - self.length {
            self.flush();
        }
        if bytes.len() > FEW {
            return self.digest.update(bytes);
        }
        self.few[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// Nobody asks for so little.
    fn finish(&self) -> u64 {
        self.length as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tests::{container, host};

    #[test]
    fn a_digest_tells_values_apart_whatever_the_sizes_of_their_parts() {
        let long = "x".repeat(3 * FEW);
        let values: Vec<Vec<String>> = vec![
            vec![],
            vec!["".into()],
            vec!["".into(), "".into()],
            vec!["ab".into()],
            vec!["a".into(), "b".into()],
            vec!["".into(), "ab".into()],
            vec![long.clone()],
            vec![long[1..].to_string(), "x".into()],
            vec![long[..FEW].to_string(), long[FEW..].to_string()],
        ];
        let digests: Vec<_> = values.iter().map(digest).collect();
        for (n, one) in digests.iter().enumerate() {
            assert_eq!(*one, digest(&values[n]), "it is the same each time");
            assert!(!digests[..n].contains(one), "{:?}", values[n]);
        }
    }

    #[test]
    fn every_fact_of_a_container_and_its_host_is_in_the_digest() {
        let wants = Wants::ALL;
        let of = |container: &Container, host: &Host| {
            Facts::of(container, host).key(&[0; 32], wants, &[0; 32])
        };
        let (container, host) = (container(), host());
        let known = of(&container, &host);
        assert_eq!(known, of(&container.clone(), &host.clone()));
        let mut changed = vec![container.clone(); 5];
        changed[0].env.push(("A".into(), "b".into()));
        changed[1].labels.insert("a".into(), "b".into());
        changed[2].exit_code += 1;
        changed[3].published_ports.pop();
        changed[4].started_at = Some("2026-01-01T00:00:00Z".into());
        for (n, other) in changed.iter().enumerate() {
            assert_ne!(known, of(other, &host), "change {n}");
        }
        let other = Host { hostname: format!("{}2", host.hostname), ..host.clone() };
        assert_ne!(known, of(&container, &other));
        // What is wanted by itself counts for those that want it.
        let shown = Container { image_facts: Some(Default::default()), ..container.clone() };
        let asked = Host { agent: Some(Default::default()), ..host.clone() };
        for (container, host) in [(&shown, &host), (&container, &asked)] {
            assert_ne!(known, of(container, host));
            let bare = Facts::of(container, host).key(&[0; 32], Wants::default(), &[0; 32]);
            let none = Facts::of(&self::container(), &self::host());
            assert_eq!(bare, none.key(&[0; 32], Wants::default(), &[0; 32]));
        }
    }
}
