//! Whom a host trusts: several keys, each with a name and perhaps an end. Pure: no file is read
//! and nobody is asked.

use std::time::SystemTime;

use super::{
    Bundle,
    sign::{self, KeyError, PublicKey},
};

/// A key that may sign policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// The name by which it is told of.
    pub name: String,
    /// The public key as PEM text.
    pub key: String,
    /// When its signatures are worth nothing any more. Without, they stay good.
    pub until: Option<SystemTime>,
}

/// The name of a trusted key.
pub type KeyName = String;

/// Why a bundle is not trusted, or why there can be no trust.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// A key cannot be used.
    #[error("key {name:?}: {reason}")]
    Key {
        /// Its name.
        name: KeyName,
        /// Why.
        reason: KeyError,
    },
    /// Two keys are called the same.
    #[error("there are two keys of the name {0:?}")]
    Twice(KeyName),
    /// Nobody signed it.
    #[error("policy {policy:?}: it is not signed")]
    Unsigned {
        /// The policy's name.
        policy: String,
    },
    /// Nobody who is trusted signed it.
    #[error("policy {policy:?}: it is signed by none of the trusted keys ({})", keys(.trusted))]
    Stranger {
        /// The policy's name.
        policy: String,
        /// The keys that would do.
        trusted: Vec<KeyName>,
    },
    /// Only a key whose time is over signed it.
    #[error("policy {policy:?}: the key {key:?}, which signed it, ended at {}", end(.until))]
    Expired {
        /// The policy's name.
        policy: String,
        /// The key.
        key: KeyName,
        /// Its end.
        until: SystemTime,
    },
    /// A trusted key signed something, but not this bundle.
    #[error("policy {policy:?}: what the key {key:?} signed is not this bundle")]
    Other {
        /// The policy's name.
        policy: String,
        /// The key.
        key: KeyName,
    },
}

fn keys(names: &[KeyName]) -> String {
    if names.is_empty() { "there is none".into() } else { names.join(", ") }
}

fn end(until: &SystemTime) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(*until)
}

/// The keys that are trusted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trust {
    keys: Vec<(KeyName, PublicKey, Option<SystemTime>)>,
}

impl Trust {
    /// Trust these keys.
    ///
    /// # Errors
    ///
    /// One of them is no key, or two have one name.
    pub fn new(keys: Vec<TrustedKey>) -> Result<Self, TrustError> {
        let mut all: Vec<(KeyName, PublicKey, Option<SystemTime>)> = Vec::new();
        for TrustedKey { name, key, until } in keys {
            if all.iter().any(|(other, ..)| *other == name) {
                return Err(TrustError::Twice(name));
            }
            match PublicKey::parse(&key) {
                Ok(key) => all.push((name, key, until)),
                Err(reason) => return Err(TrustError::Key { name, reason }),
            }
        }
        Ok(Self { keys: all })
    }

    /// The name of the key that signed this bundle: the first one in the order in which they
    /// were given whose time is not over. One good signature suffices, whatever else is there.
    ///
    /// # Errors
    ///
    /// There is none; the error that is nearest to a good signature is told.
    pub fn verify(&self, bundle: &Bundle, now: SystemTime) -> Result<KeyName, TrustError> {
        let policy = bundle.name.clone();
        if bundle.signatures.is_empty() {
            return Err(TrustError::Unsigned { policy });
        }
        let (mut expired, mut other) = (None, None);
        for (name, key, until) in &self.keys {
            for signature in bundle.signatures.iter().filter(|one| key.made(one)) {
                let ours = sign::subject(&signature.payload) == Some(bundle.digest);
                match until {
                    _ if !ours => other = other.or(Some(name)),
                    Some(until) if *until <= now => expired = expired.or(Some((name, *until))),
                    _ => return Ok(name.clone()),
                }
            }
        }
        Err(match (expired, other) {
            (Some((key, until)), _) => TrustError::Expired { policy, key: key.clone(), until },
            (None, Some(key)) => TrustError::Other { policy, key: key.clone() },
            (None, None) => {
                let trusted = self.keys.iter().map(|(name, ..)| name.clone()).collect();
                TrustError::Stranger { policy, trusted }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
    };

    use super::*;
    use crate::policy::{Digest, Signature, sign::PrivateKey};

    /// A private key and its public one, of both algorithms in turn.
    fn pair(edwards: bool) -> (PrivateKey, String) {
        let random = SystemRandom::new();
        let (der, head, public) = if edwards {
            let der = Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
            let pair = Ed25519KeyPair::from_pkcs8(der.as_ref()).expect("a key");
            (der, "MCowBQYDK2VwAyEA", pair.public_key().as_ref().to_vec())
        } else {
            let kind = &ECDSA_P256_SHA256_ASN1_SIGNING;
            let der = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("a key");
            let pair = EcdsaKeyPair::from_pkcs8(kind, der.as_ref(), &random).expect("a key");
            let head = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgA=";
            (der, head, pair.public_key().as_ref().to_vec())
        };
        let pem = |kind: &str, der: &[u8]| {
            let body = STANDARD.encode(der);
            format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n")
        };
        let spki = [STANDARD.decode(head).expect("base64"), public].concat();
        let private = PrivateKey::parse(&pem("PRIVATE KEY", der.as_ref()));
        (private.expect("a key"), pem("PUBLIC KEY", &spki))
    }

    fn bundle(sequence: u64) -> Bundle {
        Bundle {
            digest: Digest::of(&sequence.to_be_bytes()),
            name: "prod".into(),
            sequence,
            document: String::new(),
            components: BTreeMap::new(),
            signatures: Vec::new(),
        }
    }

    fn trusted(name: &str, key: &str, until: Option<SystemTime>) -> TrustedKey {
        TrustedKey { name: name.into(), key: key.into(), until }
    }

    #[test]
    fn only_a_trusted_key_in_its_time_and_of_this_bundle_is_good() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let (before, after) = (now - Duration::from_secs(1), now + Duration::from_secs(1));
        for edwards in [false, true] {
            let (private, public) = pair(edwards);
            let (_, strange) = pair(edwards);
            let mut signed = bundle(2);
            let signature = private.sign(&signed).expect("signed");
            let verify = |bundle: &Bundle, keys: Vec<TrustedKey>| {
                Trust::new(keys).expect("keys").verify(bundle, now)
            };
            let ours = || vec![trusted("ours", &public, None)];
            let unsigned = verify(&signed, ours()).expect_err("unsigned");
            assert!(matches!(unsigned, TrustError::Unsigned { .. }), "{unsigned}");

            sign::add(&mut signed, signature.clone());
            assert_eq!(verify(&signed, ours()), Ok("ours".into()));
            let two = vec![trusted("new", &strange, None), trusted("old", &public, Some(after))];
            assert_eq!(verify(&signed, two), Ok("old".into()));

            let old = verify(&signed, vec![trusted("old", &public, Some(before))]);
            let old = old.expect_err("its time is over").to_string();
            assert!(old.contains("\"old\"") && old.contains("1970-01-12T13:46:39Z"), "{old}");
            for keys in [vec![], vec![trusted("else", &strange, None)]] {
                let error = verify(&signed, keys).expect_err("a stranger");
                assert!(matches!(error, TrustError::Stranger { .. }), "{error}");
            }
            // The signature of an older one does not pass for a newer one's.
            let mut replayed = bundle(3);
            replayed.signatures = signed.signatures.clone();
            let error = verify(&replayed, ours()).expect_err("of another one");
            assert!(matches!(error, TrustError::Other { .. }), "{error}");

            for at in 0..signature.value.len() {
                let mut value = signature.value.to_vec();
                value[at] ^= 1;
                let bad = Signature { value: value.into(), ..signature.clone() };
                signed.signatures = vec![bad];
                assert!(verify(&signed, ours()).is_err(), "bit {at} of the signature");
            }
            for at in 0..signature.payload.len() {
                let mut payload = signature.payload.to_vec();
                payload[at] ^= 1;
                signed.signatures =
                    vec![Signature { payload: payload.into(), ..signature.clone() }];
                assert!(verify(&signed, ours()).is_err(), "bit {at} of what is signed");
            }
        }
    }

    #[test]
    fn what_is_no_key_is_refused_by_its_name() {
        let (_, public) = pair(false);
        for (key, fault) in [
            ("", "no key in PEM"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n", "no key in PEM"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "neither ECDSA"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "openssl pkey"),
        ] {
            let error = Trust::new(vec![trusted("k1", key, None)]).expect_err(key).to_string();
            assert!(error.starts_with("key \"k1\": ") && error.contains(fault), "{error}");
        }
        let twice = vec![trusted("k1", &public, None), trusted("k1", &public, None)];
        assert_eq!(Trust::new(twice).err(), Some(TrustError::Twice("k1".into())));
        let encrypted = "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ";
        let error = PrivateKey::parse(encrypted).err().expect("encrypted").to_string();
        assert!(error.contains("cosign import-key-pair"), "{error}");
    }
}
