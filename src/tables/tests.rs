use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Table;

use super::read;

/// All that a value of TOML can be, read by its own crate and here.
const ALL: &str = r#"
text = "a \"text\" of\tumlauts \u00e4"
'a literal key' = 'C:\no\escapes'
lines = """
one
two"""
numbers = [0, -9223372036854775808, 9223372036854775807, 0xdead_beef, 0o755, 0b1101, 1_000]
fractions = [0.5, -1e10, 6.02e23, inf, -inf]
truths = [true, false]
dates = [1979-05-27T07:32:00Z, 1979-05-27T00:32:00.999-07:00, 1979-05-27, 07:32:00]
nested = [[1, 2], ["a"], [{ a = 1 }, { b = { c = [] } }]]
dotted.keys.are = "tables"
empty = {}

[table.of.tables]
key = "value"

[[list]]
name = "first"
[[list]]
name = "second"
[list.more]
at = 2024-02-29
"#;

#[test]
fn a_table_is_what_the_crate_makes_of_it() {
    let whole: Table = read(ALL).expect("it is TOML");
    assert_eq!(whole, ALL.parse::<Table>().expect("it is TOML"));
    assert!(whole["dates"].as_array().expect("a list").iter().all(toml::Value::is_datetime));
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Form {
    big: Option<u64>,
    #[serde(default)]
    small: u8,
    kind: Option<Kind>,
    kinds: Option<Vec<Kind>>,
    either: Option<Either>,
    pair: Option<(String, i64)>,
    names: Option<BTreeMap<String, Wrapped>>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Plain,
    Number(u8),
    Fields { a: bool },
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Either {
    Number(i64),
    Text(String),
}

#[derive(Debug, PartialEq, Deserialize)]
struct Wrapped(f64);

#[test]
fn types_are_read_as_the_crate_reads_them() {
    for text in [
        "",
        "big = 18446744073709551615",
        "small = 255",
        "kind = \"plain\"",
        "kind = { number = 7 }",
        "kind = { fields = { a = true } }",
        "kinds = [\"plain\", { number = 1 }]",
        "either = 5",
        "either = \"5\"",
        "pair = [\"a\", 1]",
        "names.a = 1.5\nnames.b = 2.5",
        "[names]\na = 0.5",
    ] {
        assert_eq!(read::<Form>(text), Ok(toml::from_str(text).expect(text)), "{text}");
    }
}

/// The crate's words at the crate's place.
#[test]
fn faults_are_told_as_the_crate_tells_them() {
    for text in [
        "a = 1\nb = [\n  2,\n  \"x\" }\n",
        "small = 256",
        "big = -1",
        "\n  small = \"1\"",
        "kind = \"other\"",
        "kind = 7",
        "kinds = [\"plain\",\n\"none\"]",
        "kind = { number = \"x\" }",
        "either = true",
        "pair = [\"a\"]",
        "names = { a = \"x\" }",
        "other = 1",
        "names = { a = 1e999 }",
        "small = 1\nsmall = 2",
        "small = 1979-05-27",
        "[names]\n[names]",
        "=",
        "a",
    ] {
        let theirs = toml::from_str::<Form>(text).expect_err(text);
        let place = theirs.span().map_or(0, |place| place.start);
        let line = text[..place].matches('\n').count() + 1;
        let fault = read::<Form>(text).expect_err(text);
        assert!(!fault.contains('\n'), "{fault}");
        assert!(
            fault.starts_with(&format!("line {line}, column ")),
            "{text}: {fault} beside {theirs:?}"
        );
        assert!(
            fault.ends_with(&theirs.message().trim().replace('\n', "; ")),
            "{fault} beside {theirs:?}"
        );
    }
}

#[test]
fn a_number_that_is_too_large_is_said_to_be() {
    let fault = read::<Form>("big =\t18446744073709551616").expect_err("it is too large");
    assert_eq!(fault, "line 1, column 7: integer number overflowed");
}

#[test]
fn what_is_nested_deeply_is_answered_as_the_crate_answers_it() {
    let keys = vec!["a"; 60].join(".") + " = 1";
    let arrays = format!("a = {}{}", "[".repeat(60), "]".repeat(60));
    for text in [keys, arrays] {
        assert_eq!(read::<Table>(&text), Ok(text.parse::<Table>().expect("it is TOML")));
    }
    let (keys, arrays) = (vec!["a"; 20_000].join("."), "[".repeat(20_000));
    for text in [format!("{keys} = 1"), format!("a = {arrays}")] {
        assert!(text.parse::<Table>().is_err() && read::<Table>(&text).is_err());
    }
}
