use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::docker::{Tags, container};

fn shop() -> Container {
    let inspected = json!({
        "Id": "c".repeat(64),
        "Name": "/shop_web_1",
        "State": { "Status": "running" },
        "Config": {
            "Image": "registry.local/shop/web:1.2",
            "Env": ["SERVICE_NAME=web", "DB_PASSWORD=x", "SERVICE_TAGS=a", "SERVICE_TAGS=b"],
            "Labels": {
                "com.docker.compose.project": "shop",
                "com.docker.compose.service": "web",
                "tier": "front"
            }
        },
        "HostConfig": { "NetworkMode": "shop_default" },
        "NetworkSettings": { "Networks": { "shop_default": {}, "edge": {} } }
    });
    let response = serde_json::from_value(inspected).expect("as Docker prints it");
    container(&response, None, &Tags::default()).expect("a container")
}

fn check(text: &str, expected: Result<bool, &str>) {
    let answer = Selector::parse(text).expect(text).matches(&shop());
    match (answer.map_err(|error| error.to_string()), expected) {
        (Ok(answer), Ok(expected)) => assert_eq!(answer, expected, "{text}"),
        (Err(error), Err(part)) => assert!(error.contains(part), "{text}: {error}"),
        (answer, expected) => panic!("{text}: {answer:?} instead of {expected:?}"),
    }
}

fn check_fault(text: &str, part: &str) {
    let error = Selector::parse(text).expect_err(text).to_string();
    assert!(error.contains(part), "{text}: {error}");
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn an_expression_is_true_or_false_of_a_container() {
    for (text, expected) in [
        (r#"labels["tier"] == "front""#, true),
        (r#"labels.tier == "back""#, false),
        (r#"labels["com.docker.compose.project"] == "shop""#, true),
        (r#""nosuch" in labels"#, false),
        (r#"has(labels.nosuch) && labels.nosuch == "x""#, false),
        (r#"!("wharfinger.ignore" in labels)"#, true),
        (r#"labels[?"nosuch"].orValue("yes") == "yes""#, true),
        (r#"labels.?tier.orValue("") == "front""#, true),
        (r#"image.startsWith("registry.local/shop/")"#, true),
        (r#"image.matches(":[0-9.]+$")"#, true),
        (r#"name.endsWith("_1") && size(networks) == 2"#, true),
        (r#""edge" in networks"#, true),
        (r#"networks.exists(n, n.startsWith("shop"))"#, true),
        (r#"networks.all(n, n != "edge")"#, false),
        (r#"labels.exists(k, k.startsWith("com.docker.compose."))"#, true),
        (r#"network_mode in ["host", "none"]"#, false),
        (r#"env["SERVICE_NAME"] == "web" && env.SERVICE_TAGS == "b""#, true),
        (r#""DB_PASSWORD" in env"#, false),
        ("true", true),
    ] {
        check(text, Ok(expected));
    }
}

#[test]
fn what_has_no_answer_for_a_container_says_why() {
    check(r#"labels["nosuch"] == "x""#, Err(r#"there is no "nosuch"; ask first"#));
    check("labels[?name].orValue(labels.tier)", Err("neither true nor false"));
    check(r#"int(labels["tier"]) > 1"#, Err("invalid digit"));
    check(r#"networks[7] == "x""#, Err("7"));
}

#[test]
fn what_can_be_known_is_said_at_the_start() {
    for (text, part) in [
        ("", "line 1, column"),
        ("labels[", "line 1, column"),
        ("labels['a'] == 'b' &&\n )", "line 2, column 2"),
        ("label.tier == 'x'", r#"no variable "label"; there are labels, env, image"#),
        ("false && nosuch", r#"no variable "nosuch""#),
        ("networks.exists(n, m == 'x')", r#"no variable "m""#),
        ("networks.exists(n, true) && n == 'x'", r#"no variable "n""#),
        ("shout(name) == 'X'", r#"no function "shout""#),
        ("false && name.upper() == 'X'", r#"no function "upper""#),
        ("Foo{} == Foo{}", r#"no variable "Foo""#),
        ("name", "gives a string and neither"),
        ("size(networks)", "gives a int and neither"),
        ("name + 1 == name", "Unsupported binary operator"),
        ("name.x == 'a'", "no matching overload"),
        ("!name", "no matching overload"),
        ("image.matches('(')", "unclosed group"),
        ("labels.all(a, labels.all(b, labels.all(c, a != b)))", "more than 2 loops"),
    ] {
        check_fault(text, part);
    }
}

#[test]
fn what_costs_too_much_is_refused_and_the_rest_fits_the_stack() {
    check_fault(&format!("{:2100}", "true"), "longer than 2048 bytes");
    check_fault(&format!("1{} == 1", "+1".repeat(900)), "nests deeper than 160");
    check_fault(&format!("labels{} == ''", ".a".repeat(1000)), "nests deeper than 160");
    let nested = format!("{}1{} == 1", "[".repeat(500), "]".repeat(500));
    check_fault(&nested, "recursion limit exceeded");
    let called = format!("{}name{} == 1", "size(".repeat(300), ")".repeat(300));
    check_fault(&called, "recursion limit exceeded");
    // Two mebibytes, the stack of the threads that evaluate it.
    let deepest = format!("1{} == 151", "+1".repeat(150));
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    thread.spawn(move || check(&deepest, Ok(true))).expect("a thread").join().expect("no overflow");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[-+!?:.,\\[\\](){}\"'a-z0-9 &|=<>\\\\]{0,80}") {
        if let Ok(selector) = Selector::parse(&text) {
            let _ = selector.matches(&shop());
        }
    }

    #[test]
    fn no_words_make_it_panic(words in prop::collection::vec(prop::sample::select(vec![
        "labels", "name", "env", "networks", "[", "]", "(", ")", ".", "?", ":", "{", "}", ",",
        "\"a\"", "'\\u00e9'", "b'\\377'", "1", "-1", "9223372036854775807", "1.5e308", "2u", "null",
        "==", "!=", "<", "&&", "||", "!", "+", "-", "*", "/", "%", " in ", "has", "size", "exists",
        "all", "map", "filter", "x", "matches", "orValue", "optional.of", "int", "uint", "string",
        "double", "bytes", "type", "optMap", "true", "false",
    ]), 0..24)) {
        if let Ok(selector) = Selector::parse(&words.concat()) {
            let _ = selector.matches(&shop());
        }
    }
}

/// A container with so many labels of so many bytes.
fn many(count: usize, bytes: usize) -> Container {
    let label = |n| (format!("label-{n}"), "x".repeat(bytes));
    Container { labels: (0..count).map(label).collect(), ..shop() }
}

#[test]
fn the_cost_is_that_of_the_container_and_known_beforehand() {
    for (text, count, bytes, fits) in [
        ("'label-1' in labels", 20_000, 1, true),
        ("labels['label-1'] == 'x'", 20_000, 1, true),
        ("labels[?'none'].orValue('') == ''", 20_000, 1, true),
        ("labels.exists(k, k.startsWith('label-'))", 20_000, 1, true),
        ("labels.all(k, labels[k] == 'x')", 20_000, 1, true),
        ("labels.all(a, labels.all(b, a != '' && b != ''))", 100, 1, true),
        ("labels.all(a, labels.all(b, a != b || true))", 20_000, 1, false),
        ("labels.all(a, labels == labels)", 20_000, 1, false),
        ("size(labels.map(a, labels)) > 0", 20_000, 1, false),
        ("labels.map(a, a).all(b, labels.map(c, c).exists(d, d == b))", 20_000, 1, false),
        ("labels.all(a, [labels, env].all(b, size(b) > 0))", 20_000, 1, false),
        ("labels.all(a, a.matches('^[a-z0-9-]+$'))", 20_000, 1, false),
        ("labels.all(a, a.matches('^[a-z0-9-]+$'))", 100, 1, true),
        ("labels.all(a, name.matches(labels[a]))", 100, 1, false),
        ("'label-1' in labels", 2, 600_000, false),
        ("networks.all(n, n != '')", 20_000, 1, true),
    ] {
        let selector = Selector::parse(text).expect(text);
        let container = many(count, bytes);
        let began = std::time::Instant::now();
        match selector.matches(&container) {
            Err(SelectError::Cost(_)) if !fits => {}
            Ok(true) if fits => {}
            other => panic!("{text} on {count} labels: {other:?}"),
        }
        // Nothing that is let pass takes long, whatever the machine is busy with.
        assert!(began.elapsed().as_secs() < 10, "{text}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn what_is_not_small_is_evaluated_elsewhere_and_with_the_same_answer() {
    for text in ["labels.exists(k, k == 'label-19999')", "labels.exists(k, k == 'none')"] {
        let selector = Selector::parse(text).expect(text);
        let container = many(20_000, 1);
        let expected = selector.matches(&container);
        assert_eq!(selector.decide(&container).await, expected, "{text}");
    }
}
