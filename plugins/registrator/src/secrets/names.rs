//! Which names are those of secrets.
//!
//! A name is split into words where case or punctuation changes, so that `DB_PASSWORD`,
//! `dbPassword` and `com.example.db-password` are one. Of a name with dots, as of a label, the
//! last part counts: what stands before it says whose it is.

/// What a name says of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// It is a secret.
    Secret,
    /// It is one, unless it is a way to authenticate, such as `basic`.
    Auth,
    /// It is one, unless it is a mere word.
    Key,
    /// It is one if it has the form of Consul's tokens.
    Acl,
    /// Nothing.
    Plain,
}

/// A name with one of these in it, whatever stands around, is that of a secret.
const ANYWHERE: [&str; 22] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "credential",
    "privatekey",
    "apikey",
    "accesskey",
    "encryptionkey",
    "signingkey",
    "sshkey",
    "masterkey",
    "sessionkey",
    "licensekey",
    "authkey",
    "accountkey",
    "deploykey",
    "authorization",
    "connectionstring",
    "connstr",
];

/// So is one with one of these words.
const WORDS: [&str; 8] = ["dsn", "psk", "jwt", "cred", "creds", "otp", "totp", "bearer"];

/// So is one that ends with one of these.
const LAST: [&str; 4] = ["salt", "pepper", "sig", "signature"];

/// Words in front of `key` that make it a secret.
const SECRET_KEYS: [&str; 43] = [
    "private",
    "secret",
    "api",
    "access",
    "encryption",
    "encrypt",
    "signing",
    "sign",
    "ssh",
    "ssl",
    "tls",
    "gpg",
    "pgp",
    "rsa",
    "dsa",
    "ecdsa",
    "ed25519",
    "hmac",
    "aes",
    "master",
    "session",
    "crypto",
    "cipher",
    "license",
    "licence",
    "auth",
    "account",
    "storage",
    "client",
    "server",
    "app",
    "deploy",
    "webhook",
    "root",
    "shared",
    "admin",
    "user",
    "jwk",
    "csrf",
    "vault",
    "unseal",
    "wireguard",
    "wg",
];

/// Words in front of `key` that make it none.
const PLAIN_KEYS: [&str; 31] = [
    "public",
    "pub",
    "routing",
    "route",
    "partition",
    "primary",
    "foreign",
    "sort",
    "cache",
    "row",
    "object",
    "hash",
    "shard",
    "map",
    "label",
    "translation",
    "i18n",
    "lookup",
    "index",
    "unique",
    "group",
    "kv",
    "config",
    "header",
    "meta",
    "tag",
    "env",
    "message",
    "metric",
    "sticky",
    "balance",
];

/// Words after `key` that only say how it is written.
const FORMS: [&str; 7] = ["base64", "b64", "pem", "hex", "raw", "value", "data"];

/// What a name says of its value.
pub(super) fn judge(name: &str) -> Name {
    let name = without_prefix(name);
    let segments: Vec<&str> = name.split('.').filter(|segment| !segment.is_empty()).collect();
    let Some((last, before)) = segments.split_last() else { return Name::Plain };
    if before.iter().any(|segment| ANYWHERE.contains(&&*squeezed(segment))) {
        return Name::Secret;
    }
    let all = squeezed(name);
    if *last == "users" && (all.contains("basicauth") || all.contains("digestauth")) {
        return Name::Secret;
    }
    let squeezed = squeezed(last);
    if ANYWHERE.iter().any(|part| squeezed.contains(part)) {
        return Name::Secret;
    }
    let mut words = words(last);
    while words.len() > 1
        && words.last().is_some_and(|word| {
            FORMS.contains(&&**word) || word.bytes().all(|byte| byte.is_ascii_digit())
        })
    {
        words.pop();
    }
    let Some((end, before)) = words.split_last() else { return Name::Plain };
    // The folder that a shell is in.
    let is_folder = before.is_empty() && end == "pwd";
    let is_pass = ["pass", "pw", "pwd"].iter().any(|word| end.ends_with(word))
        && !matches!(&**end, "bypass" | "compass" | "oldpwd");
    if words.iter().any(|word| WORDS.contains(&&**word))
        || LAST.contains(&&**end)
        || is_pass && !is_folder
    {
        return Name::Secret;
    }
    match (&**end, before.last().map(|word| &**word)) {
        ("auth" | "cookie", _) => Name::Auth,
        ("key" | "keys", Some(word)) if SECRET_KEYS.contains(&word) => Name::Secret,
        ("key" | "keys", Some(word)) if PLAIN_KEYS.contains(&word) => Name::Plain,
        ("key" | "keys", _) => Name::Key,
        _ if words.iter().any(|word| matches!(&**word, "acl" | "consul" | "vault" | "nomad")) => {
            Name::Acl
        }
        _ => Name::Plain,
    }
}

/// The name without what only says that it is a key of registrator's, and for which port.
fn without_prefix(name: &str) -> &str {
    let Some(rest) = name.strip_prefix("SERVICE_") else { return name };
    let port = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
    let rest = if port.len() < rest.len() { port.strip_prefix('_').unwrap_or(rest) } else { rest };
    rest.strip_prefix("TCP_").or_else(|| rest.strip_prefix("UDP_")).unwrap_or(rest)
}

/// Letters and digits only, in lower case.
fn squeezed(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The words of a name, in lower case.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (n, c) in chars.iter().enumerate() {
        let lower_at = |n: usize| chars.get(n).is_some_and(char::is_ascii_lowercase);
        let begins = c.is_ascii_uppercase()
            && n > 0
            && (lower_at(n - 1) || chars[n - 1].is_ascii_uppercase() && lower_at(n + 1));
        if begins || !c.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if c.is_ascii_alphanumeric() {
            words.last_mut().expect("there is a word").push(c.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a value says how somebody authenticates, or that nobody has to.
pub(super) fn is_way_to_authenticate(value: &str) -> bool {
    let value = value.trim().to_ascii_lowercase();
    matches!(
        &*value,
        "true"
            | "false"
            | "yes"
            | "no"
            | "on"
            | "off"
            | "0"
            | "1"
            | "none"
            | "null"
            | "basic"
            | "digest"
            | "bearer"
            | "oauth"
            | "oauth2"
            | "oidc"
            | "ldap"
            | "saml"
            | "kerberos"
            | "ntlm"
            | "mtls"
            | "tls"
            | "enabled"
            | "disabled"
            | "required"
            | "optional"
            | "anonymous"
            | "internal"
            | "external"
            | "forward"
    )
}

/// Whether a value is a word or a number, as names of things are.
pub(super) fn is_word(value: &str) -> bool {
    let value = value.trim();
    let letters = |c: char| c.is_ascii_alphabetic() || matches!(c, '-' | '_' | '.' | '/');
    value.len() <= 24 && value.chars().all(letters)
        || value.len() <= 4 && value.parse::<u32>().is_ok()
}
