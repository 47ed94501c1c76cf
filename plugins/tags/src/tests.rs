use wharfinger_plugin::testing::{ContainerBuilder, container, faults, laws, run, tagged};

use super::*;

fn web() -> ContainerBuilder {
    container("web")
        .image("shop/web:1.27.3-alpine")
        .label("team", "shop")
        .label("extra", "a, b,,a")
        .label("blank", " ")
}

fn check(settings: &str, before: &[&str], after: &[&str]) {
    let answer = run::<Tags>(settings, &web(), vec![tagged("web", 80, before)]);
    assert_eq!(answer.tags(), [after], "{settings}");
    assert_eq!(answer.messages, [""; 0], "{settings}");
}

#[test]
fn tags_are_gathered() {
    check("{}", &["b", "a", "b"], &["b", "a"]);
    check(
        r#"{"add": ["x", "{label:team}:{name}", "{label:none}"]}"#,
        &["a", "x"],
        &["a", "x", "shop:web"],
    );
    check(r#"{"labels": {"team": "team=", "none": "none=", "blank": "b="}}"#, &[], &["team=shop"]);
    check(r#"{"lists": ["extra", "blank"]}"#, &["b"], &["b", "a"]);
    check(
        r#"{"versions": ["v{major}", "v{major}.{minor}", "{version}"]}"#,
        &[],
        &["v1", "v1.27", "1.27.3-alpine"],
    );
}

#[test]
fn tags_are_rewritten() {
    let settings = r#"{"rewrite": [
        {"match": "env[:=](.+)", "to": "environment-$1"},
        {"match": "(?<key>[a-z]+)/(?<value>.+)", "to": "${key}=${value}"},
        {"match": "old-.*", "to": ""}
    ]}"#;
    check(
        settings,
        &["env:qa", "environment-qa", "a/b/c", "old-x", "prenv:x"],
        &["environment-qa", "a=b/c", "prenv:x"],
    );
    let prefix = r#"{"rewrite": [{"match": "(.*)", "unless": "x-.*", "to": "x-$1"}]}"#;
    check(prefix, &["a", "x-b"], &["x-a", "x-b"]);
}

#[test]
fn a_rule_without_an_end_changes_nothing_and_is_told() {
    let settings = r#"{"rewrite": [{"match": "(a.*)", "to": "a$1"}]}"#;
    let answer = run::<Tags>(settings, &web(), vec![tagged("web", 80, &["a", "b"])]);
    assert_eq!(answer.tags(), [["a", "b"]]);
    assert_eq!(
        answer.messages,
        [
            "warn: rewrite: the tag \"a\" would be changed anew each time; it stays as it is (unless)"
        ]
    );
}

#[test]
fn tags_are_dropped_and_ordered() {
    check(r#"{"drop": ["internal-*", "x"]}"#, &["b", "internal-a", "x", "a"], &["b", "a"]);
    check(r#"{"only": ["a*", "b*"], "drop": ["ab"]}"#, &["b", "c", "ab", "a"], &["b", "a"]);
    check(r#"{"order": "sorted", "add": ["a"]}"#, &["c", "b"], &["a", "b", "c"]);
    check(r#"{"add": ["secret"], "drop": ["secret"]}"#, &[], &[]);
}

#[test]
fn settings_are_validated() {
    let refused = |settings: &str, words: &str| {
        let faults = faults::<Tags>(settings).join("\n");
        assert!(faults.contains(words), "{settings}: {faults}");
    };
    refused(r#"{"rewrite": [{"match": "(", "to": "a"}]}"#, "rewrite, match \"(\": ");
    refused(
        r#"{"rewrite": [{"match": "a", "unless": "[", "to": "a"}]}"#,
        "rewrite, unless \"[\": ",
    );
    refused(r#"{"versions": ["v"]}"#, "versions: \"v\": it has no place for the version");
    refused(r#"{"add": ["{team}"]}"#, "there is no fact \"team\"");
    refused(r#"{"order": "up"}"#, "up");
    assert_eq!(faults::<Tags>("{}"), [""; 0]);
}

#[test]
fn it_keeps_the_laws() {
    for settings in [
        "{}",
        r#"{"add": ["team:{label:team}", "{name}"], "labels": {"tier": "t="}, "order": "sorted"}"#,
        r#"{"versions": ["v{major}"], "drop": ["a*"], "lists": ["owner", "traefik.enable"]}"#,
        r#"{"rewrite": [{"match": "([a-z])", "to": "$1$1"}, {"match": "bb", "to": "a"}]}"#,
        r#"{"rewrite": [{"match": "(.*)", "to": "x$1"}], "only": ["a*", "env*"]}"#,
    ] {
        assert!(laws::<Tags>(settings) > 20, "{settings}");
    }
}
