//! What is secret in a text, whatever it is called.

use super::{
    HIDDEN, by_name,
    names::{self, Name},
};

/// A part of a text that is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) from: usize,
    pub(super) to: usize,
}

/// The longest name in front of a value, and the longest part of a URL that is looked at.
const LONGEST_NAME: usize = 128;
const LONGEST_URL: usize = 1024;
/// So much of a value tells what it is.
const TELLING: usize = 256;

/// The secret parts of a text, in their order, none within another.
pub(super) fn found(text: &str) -> Vec<Found> {
    // Most texts are short and have none of what marks one.
    let marks = ['=', ':', '_', '.', '-', '$', '*', ' '];
    if text.len() < HIDDEN.len() || !text.contains(marks) && text.len() < 16 {
        return Vec::new();
    }
    let mut all = Vec::new();
    private_keys(text, &mut all);
    urls(text, &mut all);
    assigned(text, &mut all);
    schemes(text, &mut all);
    words(text, &mut all);
    all.sort_by_key(|one: &Found| (one.from, std::cmp::Reverse(one.to)));
    let mut kept: Vec<Found> = Vec::new();
    for one in all.into_iter().filter(|one| one.from < one.to) {
        match kept.last_mut() {
            Some(last) if one.from < last.to => {
                last.to = last.to.max(one.to);
            }
            _ => kept.push(one),
        }
    }
    kept
}

fn sure(from: usize, to: usize) -> Found {
    Found { from, to }
}

/// Blocks of private keys, also those that have no end.
fn private_keys(text: &str, all: &mut Vec<Found>) {
    const BEGIN: &str = "-----BEGIN ";
    const KIND: &str = "PRIVATE KEY-----";
    const END: &str = "-----END ";
    let mut at = 0;
    while let Some(begin) = text[at..].find(BEGIN).map(|found| at + found) {
        at = begin + BEGIN.len();
        let Some(kind) = text[at..]
            .find("-----")
            .filter(|end| text[at..].get(..end + 5).is_some_and(|head| head.ends_with(KIND)))
        else {
            continue;
        };
        let body = at + kind + 5;
        let end = text[body..].find(END).map(|end| body + end + END.len());
        let end = end.map_or(text.len(), |end| {
            text[end..].find("-----").map_or(text.len(), |dashes| end + dashes + 5)
        });
        all.push(sure(begin, end));
        at = end;
    }
}

/// What stands before the host of a URL.
fn urls(text: &str, all: &mut Vec<Found>) {
    let mut at = 0;
    while let Some(from) = text[at..].find("://").map(|found| at + found + 3) {
        at = from;
        let rest = &text[from..text.floor_char_boundary(from + LONGEST_URL)];
        let rest = &rest[..rest.find(|c: char| is_end(c) || c == ',').unwrap_or(rest.len())];
        let authority = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        // A password may have what ends a host: then what follows the colon is no port.
        let port = rest[..authority].rsplit_once(':').map(|(_, port)| port);
        let odd = port.is_some_and(|port| port.parse::<u16>().is_err() && !port.is_empty());
        let user = match rest[..authority].rfind('@') {
            None if odd => rest.rfind('@'),
            user => user,
        };
        let Some(user) = user else { continue };
        match rest[..user].find(':') {
            Some(colon) if colon + 1 < user => all.push(sure(from + colon + 1, from + user)),
            _ if is_no_name(&rest[..user]) => all.push(sure(from, from + user)),
            _ => {}
        }
        at = from + user;
    }
}

/// Whether what stands alone in front of a host is rather a token than somebody's name.
fn is_no_name(user: &str) -> bool {
    let has_digit = user.bytes().any(|byte| byte.is_ascii_digit());
    user == HIDDEN || user.len() >= 16 || has_digit && user.len() >= 10
}

fn is_end(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>')
}

/// `name=value`, `"name":"value"` and a few headers, where the name is that of a secret.
fn assigned(text: &str, all: &mut Vec<Found>) {
    let mut done = 0;
    for (at, sign) in text.char_indices().filter(|(_, c)| matches!(c, '=' | ':')) {
        if at < done {
            continue;
        }
        let start = text.floor_char_boundary(at.saturating_sub(LONGEST_NAME));
        let before = &text[start..at];
        let name = before.trim_end_matches(['"', '\'', '\\']);
        let quoted = name.len() < before.len();
        let begin = name.rfind(|c: char| !is_of_name(c)).map_or(0, |last| last + 1);
        let begin = name.ceil_char_boundary(begin);
        let name = name[begin..].trim_start_matches('-');
        if name.is_empty()
            || names::judge(name) == Name::Plain
            || sign == ':' && !quoted && !is_header(name)
        {
            continue;
        }
        let after = &text[at + 1..];
        let spaces = after.len() - after.trim_start_matches(' ').len();
        if sign == '=' && spaces > 0 || after[spaces..].starts_with("//") {
            continue;
        }
        let opening = &after[spaces..];
        let opened = opening.trim_start_matches(['[', '\\']);
        let quote = opened.chars().next().filter(|c| matches!(c, '"' | '\''));
        let from = at + 1 + spaces + (opening.len() - opened.len()) + usize::from(quote.is_some());
        if quoted && sign == ':' && quote.is_none() {
            continue;
        }
        let ends = |c: char| match quote {
            Some(quote) => c == quote,
            None => is_end(c) || matches!(c, '&' | ';'),
        };
        let value = &text[from..];
        let first = &value[..value.floor_char_boundary(TELLING)];
        let whole = || value.find(ends).unwrap_or(value.len());
        let end = match first.find(ends) {
            Some(end) => end,
            None if by_name(name, first) => whole(),
            None => continue,
        };
        let mut value = value[..end].trim_end_matches('\\');
        if quote.is_none() {
            value = value.trim_end_matches([')', ']', '}', ',']);
        }
        if by_name(name, value) {
            done = from + value.len();
            all.push(sure(from, done));
        }
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// A name that stands before a colon without quotation marks.
fn is_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(&*name, "password" | "passwd" | "cookie" | "set-cookie") || name.starts_with("x-")
}

/// `Bearer …` and `Basic …`, and the password of `-u user:password`.
fn schemes(text: &str, all: &mut Vec<Found>) {
    for scheme in ["bearer ", "basic ", "token "] {
        for (from, word) in after(text, scheme) {
            let odd = word.chars().any(|c| !c.is_ascii_lowercase());
            let encoded = |c: char| is_of_name(c) || matches!(c, '~' | '+' | '/' | '=' | '*');
            let whole = word.chars().all(encoded) && word.len() >= 8 || word == HIDDEN;
            // `token` is a word of sentences.
            let before = &text[text.floor_char_boundary(from.saturating_sub(64))..from];
            let named = scheme != "token " || before.to_lowercase().contains("authorization");
            if odd && whole && named {
                all.push(sure(from, from + word.len()));
            }
        }
    }
    for (from, flag) in after(text, " --") {
        // The value is the next word; that of `--flag=value` is found by its sign.
        let next = &text[from + flag.len()..];
        let Some(next) = next.strip_prefix(' ').filter(|next| !next.starts_with('-')) else {
            continue;
        };
        let value = &next[..next.find(is_end).unwrap_or(next.len())];
        if names::judge(flag) == Name::Secret && !value.is_empty() {
            let from = from + flag.len() + 1;
            all.push(sure(from, from + value.len()));
        }
    }
    for flag in ["-u ", "--user "] {
        for (from, word) in after(text, flag) {
            if let Some((user, password)) = word.split_once(':').filter(|(_, pw)| !pw.is_empty()) {
                let from = from + user.len() + 1;
                all.push(sure(from, from + password.len()));
            }
        }
    }
}

/// The words that follow a text, whose letters may be of either case.
fn after<'a>(text: &'a str, what: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let lower = text.to_ascii_lowercase();
    let places: Vec<usize> = lower
        .match_indices(what)
        .map(|(at, _)| at)
        .filter(|at| what.starts_with(' ') || !text[..*at].ends_with(is_of_name))
        .collect();
    places.into_iter().map(move |at| {
        let from = at + what.len();
        let rest = &text[from..];
        let end = rest.find(|c| is_end(c) || matches!(c, ',' | ';' | '\\')).unwrap_or(rest.len());
        (from, &rest[..end])
    })
}

/// Words of the form of a token, and what was hidden before.
fn words(text: &str, all: &mut Vec<Found>) {
    let is_of_word =
        |c: char| is_of_name(c) || matches!(c, '+' | '/' | '~' | '$' | '*' | '{' | '}');
    let mut from = 0;
    while from < text.len() {
        let Some(begin) = text[from..].find(is_of_word).map(|found| from + found) else { return };
        let rest = &text[begin..];
        let word = &rest[..rest.find(|c| !is_of_word(c)).unwrap_or(rest.len())];
        from = begin + word.len();
        if is_token(word) || is_hash(word) || word == HIDDEN {
            all.push(sure(begin, begin + word.len()));
        }
    }
}

/// What begins so, and has at least this length, is a token of somebody's.
const TOKENS: [(&str, usize); 28] = [
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 22),
    ("glpat-", 20),
    ("gldt-", 20),
    ("glrt-", 20),
    ("xoxb-", 16),
    ("xoxp-", 16),
    ("xoxa-", 16),
    ("xoxr-", 16),
    ("xoxs-", 16),
    ("xapp-", 16),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("whsec_", 16),
    ("sk-", 24),
    ("hvs.", 24),
    ("hvb.", 24),
    ("hvr.", 24),
    ("npm_", 24),
    ("dckr_pat_", 20),
    ("SG.", 24),
    ("AIza", 35),
    ("pypi-", 24),
];

fn is_token(word: &str) -> bool {
    let known = TOKENS.iter().any(|(head, least)| word.starts_with(head) && word.len() >= *least);
    let jwt = word.starts_with("eyJ") && word.len() >= 30 && word.matches('.').count() == 2;
    let of_aws = (word.starts_with("AKIA") || word.starts_with("ASIA"))
        && word.len() == 20
        && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    known || jwt || of_aws
}

/// The hash of a password, as in the files of web servers.
fn is_hash(word: &str) -> bool {
    let heads =
        ["$apr1$", "$2a$", "$2b$", "$2y$", "$1$", "$5$", "$6$", "$argon2", "{SHA}", "{SSHA}"];
    heads.iter().any(|head| word.starts_with(head)) && word.len() >= 16
}

/// The form of Consul's tokens.
pub(super) fn is_uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == lengths.len()
        && parts.iter().zip(lengths).all(|(part, length)| {
            part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
}
