//! Private keys as cosign keeps them: JSON in PEM, with a PKCS#8 document that is sealed by a
//! password (scrypt, and NaCl's secretbox). Pure.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use poly1305::{Poly1305, universal_hash::KeyInit as _};
use salsa20::{
    XSalsa20,
    cipher::{KeyIvInit as _, StreamCipher as _},
};
use scrypt::Params;
use serde::Deserialize;

use super::KeyError;

/// The labels of the PEM blocks; the second is cosign's before version 2.
pub(super) const KINDS: [&str; 2] =
    ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"];
/// The most memory that scrypt may take; cosign's own keys take 64 MiB.
const MEMORY: u64 = 256 << 20;
/// The most rounds; cosign's own keys have one.
const ROUNDS: u32 = 8;
/// The bytes of secretbox's authenticator.
const TAG: usize = 16;

#[derive(Deserialize)]
struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Deserialize)]
struct Kdf {
    name: String,
    params: Cost,
    salt: String,
}

#[derive(Deserialize)]
struct Cost {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// The PKCS#8 document of a key that is sealed.
pub(super) fn open(bytes: &[u8], password: &str) -> Result<Vec<u8>, KeyError> {
    let odd = |what: &str| KeyError::Sealed(what.into());
    let sealed: Sealed =
        serde_json::from_slice(bytes).map_err(|error| KeyError::Sealed(error.to_string()))?;
    if sealed.kdf.name != "scrypt" || sealed.cipher.name != "nacl/secretbox" {
        return Err(odd("it is sealed by something else than scrypt and nacl/secretbox"));
    }
    let decoded = |text: &str| STANDARD.decode(text).map_err(|_| odd("a part is no base64"));
    let Cost { n, r, p } = sealed.kdf.params;
    let memory = n.saturating_mul(u64::from(r)).saturating_mul(128);
    if !n.is_power_of_two() || n < 2 || memory > MEMORY || p > ROUNDS {
        return Err(odd("its parameters of scrypt are none, or cost more than is spent on a key"));
    }
    let log = u8::try_from(n.trailing_zeros()).map_err(|_| odd("its parameters are none"))?;
    let cost = Params::new(log, r, p).map_err(|_| odd("its parameters of scrypt are none"))?;
    let mut key = [0; 32];
    scrypt::scrypt(password.as_bytes(), &decoded(&sealed.kdf.salt)?, &cost, &mut key)
        .map_err(|_| odd("its parameters of scrypt are none"))?;
    let boxed = decoded(&sealed.ciphertext)?;
    let (tag, message) = boxed.split_at_checked(TAG).ok_or_else(|| odd("it is cut short"))?;
    let mut stream = XSalsa20::new_from_slices(&key, &decoded(&sealed.cipher.nonce)?)
        .map_err(|_| odd("its nonce is none"))?;
    // The stream's first 32 bytes are the authenticator's key, and the message follows.
    let mut first = [0; 32];
    stream.apply_keystream(&mut first);
    let authenticator = Poly1305::new_from_slice(&first).map_err(|_| KeyError::Password)?;
    if authenticator.compute_unpadded(message).as_slice() != tag {
        return Err(KeyError::Password);
    }
    let mut message = message.to_vec();
    stream.apply_keystream(&mut message);
    Ok(message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Sealed by cosign 2.5 with the password `hush`.
    const KEY: &str = concat!(
        r#"{"kdf": {"name": "scrypt", "params": {"N": 65536, "r": 8, "p": 1}, "salt": "Wn+V"#,
        r#"Tv09gUAy8yMyLSM9w2UqeMtPYJSnxZ43W7D9QOQ="}, "cipher": {"name": "nacl/secretbox","#,
        r#" "nonce": "bydxyl6SBEWja0fhsSLYiQKWD2cd6Qlg"}, "ciphertext": "p5cW42unT587mo+R3k"#,
        r#"J8lPAWLeA7lTOO8UIJghLD1uv7OKlEalhQ8wZvQOBYTdTBR+rMUMQ0eUl1evSC0N99R5MKSu7QbUjoiP"#,
        r#"7eXvn+K8Cpt46iIV6pTxx2IwoU/doG3CNY7v/UYW+sxifvKydpl9P/uJd6cH4lfdipoSiIklNfF5+NRR"#,
        r#"OtX8CawhTu3vbpX9pXUFZ5xFQc2A=="}"#,
    );

    fn of(change: impl FnOnce(&mut Value)) -> Result<Vec<u8>, KeyError> {
        let mut sealed: Value = serde_json::from_str(KEY).expect("JSON");
        change(&mut sealed);
        open(sealed.to_string().as_bytes(), "hush")
    }

    #[test]
    fn cosigns_key_is_opened_by_its_password() {
        let der = open(KEY.as_bytes(), "hush").expect("a key");
        assert_eq!(der[0], 0x30);
        assert_eq!(open(KEY.as_bytes(), "hush!"), Err(KeyError::Password));
    }

    #[test]
    fn what_is_no_such_key_is_refused_before_it_costs() {
        let reason = |result: Result<Vec<u8>, KeyError>| result.expect_err("no key").to_string();
        for (said, fault) in [
            (reason(open(b"{}", "hush")), "missing field"),
            (reason(of(|key| key["kdf"]["name"] = json!("argon2"))), "something else than scrypt"),
            (reason(of(|key| key["kdf"]["params"]["N"] = json!(1u64 << 40))), "cost more"),
            (reason(of(|key| key["kdf"]["params"]["N"] = json!(0))), "cost more"),
            (reason(of(|key| key["kdf"]["params"]["N"] = json!(65537))), "cost more"),
            (reason(of(|key| key["kdf"]["params"]["r"] = json!(u32::MAX))), "cost more"),
            (reason(of(|key| key["kdf"]["params"]["r"] = json!(0))), "of scrypt are none"),
            (reason(of(|key| key["kdf"]["params"]["p"] = json!(100_000))), "cost more"),
            (reason(of(|key| key["cipher"]["nonce"] = json!("AAAA"))), "its nonce is none"),
            (reason(of(|key| key["ciphertext"] = json!("AAAA"))), "cut short"),
            (reason(of(|key| key["ciphertext"] = json!("?"))), "no base64"),
        ] {
            assert!(said.contains(fault), "{fault}: {said}");
        }
    }
}
