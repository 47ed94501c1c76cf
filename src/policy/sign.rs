//! Keys and signatures in the form that cosign makes and checks with a key pair: a "simple
//! signing" document that names the digest of a manifest, signed by ECDSA over P-256 with
//! SHA-256, or by Ed25519. Nothing here asks anybody.

mod sealed;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair,
        Ed25519KeyPair, UnparsedPublicKey, VerificationAlgorithm,
    },
};
use serde::{Deserialize, Serialize};

use super::{Bundle, Digest, Signature, manifest};

/// Cosign's name for the type of its payload; another type of document has another one.
const KIND: &str = "cosign container image signature";
/// The beginning of a SubjectPublicKeyInfo (RFC 5480) with an uncompressed point of P-256.
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The beginning of one (RFC 8410) with a key of Ed25519.
const EDWARDS: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no PEM of the kind that is wanted.
    #[error("it is no key in PEM: wanted -----BEGIN {0}-----")]
    NoPem(&'static str),
    /// It is PEM of another kind.
    #[error("it is {found:?}, not {wanted:?}; {hint}")]
    OtherKind {
        /// The label that the PEM has.
        found: String,
        /// The label that is wanted.
        wanted: &'static str,
        /// A hint for the operator.
        hint: &'static str,
    },
    /// Its algorithm is none that is used.
    #[error("it is of neither ECDSA P-256 nor Ed25519")]
    Algorithm,
    /// It is sealed by cosign, and no password is given.
    #[error("it is sealed by a password, which COSIGN_PASSWORD has to say")]
    NoPassword,
    /// The password is another one, or the key is damaged.
    #[error("the password in COSIGN_PASSWORD does not open it")]
    Password,
    /// It is sealed by cosign in a form that is not known.
    #[error("a key that cosign has sealed: {0}")]
    Sealed(String),
    /// The system gave no randomness.
    #[error("there is no randomness to sign with")]
    Random,
}

/// A key by which a signature is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    edwards: bool,
    point: Vec<u8>,
}

impl PublicKey {
    /// The key of a PEM text with a SubjectPublicKeyInfo.
    ///
    /// # Errors
    ///
    /// It is something else.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let der = pem(text, "PUBLIC KEY", "`openssl pkey -pubout` writes the public key")?;
        if let Some(point) = der.strip_prefix(&P256).filter(|rest| rest.len() == 65) {
            return Ok(Self { edwards: false, point: point.into() });
        }
        if let Some(point) = der.strip_prefix(&EDWARDS).filter(|rest| rest.len() == 32) {
            return Ok(Self { edwards: true, point: point.into() });
        }
        Err(KeyError::Algorithm)
    }

    /// Whether this key made the signature.
    #[must_use]
    pub fn made(&self, signature: &Signature) -> bool {
        let algorithm: &dyn VerificationAlgorithm =
            if self.edwards { &ED25519 } else { &ECDSA_P256_SHA256_ASN1 };
        let key = UnparsedPublicKey::new(algorithm, &self.point);
        key.verify(&signature.payload, &signature.value).is_ok()
    }
}

/// A key that signs.
pub struct PrivateKey(Pair);

enum Pair {
    P256(EcdsaKeyPair),
    Edwards(Ed25519KeyPair),
}

impl PrivateKey {
    /// The key of a PEM text with an unencrypted PKCS#8 document.
    ///
    /// # Errors
    ///
    /// It is something else.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let hint = "`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` makes such a \
                    key, `openssl pkcs8 -topk8 -nocrypt` makes one of another form of OpenSSL's, \
                    and cosign's own are taken, too: `cosign generate-key-pair` makes one, and `cosign \
                    import-key-pair` seals one of OpenSSL's";
        let der = pem(text, "PRIVATE KEY", hint)?;
        Self::of(&der)
    }

    /// The same, or the key of a file that cosign has sealed by a password.
    ///
    /// # Errors
    ///
    /// It is something else, or the password does not open it.
    pub fn open(text: &str, password: Option<&str>) -> Result<Self, KeyError> {
        let sealed = |kind: &&&str| text.contains(&format!("-----BEGIN {kind}-----"));
        let Some(kind) = sealed::KINDS.iter().find(sealed) else { return Self::parse(text) };
        let bytes = pem(text, kind, "")?;
        Self::of(&sealed::open(&bytes, password.ok_or(KeyError::NoPassword)?)?)
    }

    /// The key of a PKCS#8 document.
    fn of(der: &[u8]) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &random) {
            return Ok(Self(Pair::P256(pair)));
        }
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der);
        pair.map(|pair| Self(Pair::Edwards(pair))).map_err(|_| KeyError::Algorithm)
    }

    /// Sign a bundle: the signature names the digest of its manifest, and so all that is in it.
    ///
    /// # Errors
    ///
    /// The system gives no randomness.
    pub fn sign(&self, bundle: &Bundle) -> Result<Signature, KeyError> {
        let payload = manifest::json(&Payload {
            critical: Critical {
                identity: Identity { docker_reference: String::new() },
                image: Image { docker_manifest_digest: bundle.digest.to_string() },
                kind: KIND.into(),
            },
            optional: serde_json::Value::Null,
        });
        let value = match &self.0 {
            Pair::P256(pair) => {
                let signed = pair.sign(&SystemRandom::new(), &payload);
                signed.map_err(|_| KeyError::Random)?.as_ref().into()
            }
            Pair::Edwards(pair) => pair.sign(&payload).as_ref().into(),
        };
        Ok(Signature { payload: payload.into(), value })
    }
}

/// Add a signature to a bundle, once.
pub fn add(bundle: &mut Bundle, signature: Signature) {
    bundle.signatures.push(signature);
    manifest::settle(&mut bundle.signatures);
}

/// The digest that a signed document is about; none if it says something else.
pub(super) fn subject(payload: &[u8]) -> Option<Digest> {
    let payload: Payload = serde_json::from_slice(payload).ok()?;
    let critical = payload.critical;
    (critical.kind == KIND).then(|| critical.image.docker_manifest_digest.parse().ok())?
}

#[derive(Serialize, Deserialize)]
struct Payload {
    critical: Critical,
    #[serde(default)]
    optional: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: String,
}

/// The bytes of the one PEM block of a text, which has to be of this kind.
fn pem(text: &str, wanted: &'static str, hint: &'static str) -> Result<Vec<u8>, KeyError> {
    let no_pem = || KeyError::NoPem(wanted);
    let (_, rest) = text.split_once("-----BEGIN ").ok_or_else(no_pem)?;
    let (found, rest) = rest.split_once("-----").ok_or_else(no_pem)?;
    if found != wanted {
        let found: String = found.chars().take(60).collect();
        return Err(KeyError::OtherKind { found, wanted, hint });
    }
    let (body, _) = rest.split_once(&format!("-----END {wanted}-----")).ok_or_else(no_pem)?;
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(body).map_err(|_| no_pem())
}
