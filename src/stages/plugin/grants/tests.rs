use crate::stages::plugin::grants::*;

fn origin(text: &str) -> Origin {
    text.parse().unwrap_or_else(|fault| panic!("{fault}"))
}

#[test]
fn an_origin_admits_what_is_below_its_path_only() {
    for (granted, url, expected) in [
        ("https://a.example/", "https://a.example/", true),
        ("https://a.example", "https://a.example/x/y?z=1", true),
        ("https://a.example/", "https://a.example:443/x", true),
        ("https://a.example/", "http://a.example/x", false),
        ("https://a.example/", "https://a.example:8443/x", false),
        ("https://a.example/", "https://b.example/x", false),
        ("https://a.example/", "https://a.example.b.example/x", false),
        ("https://a.example/", "https://a.example@b.example/x", false),
        ("https://a.example/v1", "https://a.example/v1", true),
        ("https://a.example/v1", "https://a.example/v1/x", true),
        ("https://a.example/v1", "https://a.example/v10", false),
        ("https://a.example/v1/", "https://a.example/v1/x", true),
        ("https://a.example/v1/", "https://a.example/v1", false),
        ("https://a.example/v1/", "https://a.example/v1/../admin", false),
        ("https://a.example/v1/", "https://a.example/v1/%2e%2e/admin", false),
        ("https://a.example/v1/", "https://a.example/v1/..%2fadmin", false),
        ("https://a.example/v1/", "https://a.example/v1/..\\admin", false),
        ("https://a.example/v1/", "https://a.example/v1/x?up=../", true),
    ] {
        assert_eq!(origin(granted).admits(url).is_some(), expected, "{granted} {url}");
    }
}

#[test]
fn what_servers_read_differently_is_refused() {
    let origin = origin("http://a.example/v1/");
    for path in [
        "x",
        "x;v=1",
        "x;v=1/y",
        "x/y;a=../z",
        "a/../b",
        "a/./b",
        "x%20y",
        "caf%c3%a9",
        "%7Ex",
        "x,y=z:w@v",
        "x.json",
        "x..y",
        ".well-known/x",
        "x?q=%2f..;%25",
        "//x",
    ] {
        let url = format!("http://a.example/v1/{path}");
        assert!(origin.admits(&url).is_some(), "{path}");
    }
    for path in [
        "..;/admin",
        "..;a=b/admin",
        ".;/admin",
        ";/admin",
        ";a/../admin",
        "..%3b/admin",
        "%2e%2e;/admin",
        ".%2e;/admin",
        "%2e%2e%3b/admin",
        "%2E./admin",
        "%2e/x",
        "%252e%252e/admin",
        "%252e%252e%252fadmin",
        "%25",
        "x%25y",
        "%25%32%65",
        "..%2fadmin",
        "..%2Fadmin",
        "..%5cadmin",
        "..\\admin",
        "x%5C..%5Cadmin",
        "%c0%ae%c0%ae/admin",
        "..%c0%af",
        "..%c1%9c",
        "%e0%80%af",
        "%e0%80%ae",
        "%f0%80%80%af",
        "%ff",
        "%c3",
        "%ef%bc%8f",
        "%ef%bc%8e%ef%bc%8e/admin",
        "%e2%88%95",
        "%e2%80%a5/admin",
        "%ef%bc%bc",
        "%ef%bc%85",
        "%u002e%u002e/admin",
        "%u2215",
        "%",
        "%2",
        "%zz",
        "%+1",
        "x%00",
        "x%0a",
        "x%0d%0aHost:b",
        "x%09",
        "%7f",
        "..%20/admin",
        ".../admin",
        "..../x",
        "%20/x",
        ".%20./x",
        "x%3fy",
        "x%23y",
        "x%3a80",
        "%40b",
        "a b",
        "a\tb",
        "\u{ff0f}",
        "é",
    ] {
        let url = format!("http://a.example/v1/{path}");
        assert!(origin.admits(&url).is_none(), "{path}");
    }
    for authority in [
        "user@a.example",
        "user:pw@a.example",
        ":@a.example",
        "@a.example",
        "a.example.",
        "a.example:080",
        "a.example:",
        "a.example:+80",
        "a.example%00",
        "a%2eexample",
        "ａ.example",
        "a。example",
        "a.example\\@b",
        "a.example#@b",
    ] {
        let url = format!("http://{authority}/v1/x");
        assert!(origin.admits(&url).is_none(), "{authority}");
    }
    assert!(origin.admits("http://A.Example/v1/x").is_some());
    assert!(origin.admits("http:a.example/v1/x").is_none());
    assert!(origin.admits("http:/a.example/v1/x").is_none());
    assert!(origin.admits("http:\\\\a.example/v1/x").is_none());
    let local: Origin = "http://127.0.0.1/".parse().expect("an origin");
    assert!(local.admits("http://127.0.0.1/x").is_some());
    for host in ["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.0.0.01", "[::ffff:127.0.0.1]"]
    {
        assert!(local.admits(&format!("http://{host}/x")).is_none(), "{host}");
        if !host.starts_with('[') {
            assert!(format!("http://{host}/").parse::<Origin>().is_err(), "{host}");
        }
    }
    let six: Origin = "http://[::1]:8080/".parse().expect("an origin");
    assert!(six.admits("http://[::1]:8080/x").is_some());
    assert!(six.admits("http://[0:0:0:0:0:0:0:1]:8080/x").is_none());
}

#[test]
fn what_is_no_origin_is_refused() {
    for text in [
        "",
        "a.example",
        "ftp://a.example/",
        "https://a.example/?x",
        "https://u:p@a/",
        "https://a/..;/",
        "https://a/%2561/",
        "https://127.1/",
        "https://ä.example/",
        "file:///etc",
    ] {
        let fault = text.parse::<Origin>().expect_err("it is no origin");
        assert!(fault.starts_with(&format!("{text:?}: ")), "{fault}");
    }
}

#[test]
fn a_key_stays_below_its_prefix() {
    let prefix: KvPrefix = "teams/".parse().expect("a prefix");
    assert_eq!(prefix.key("a/b"), Ok("teams/a/b".into()));
    for key in ["", "/", "../secret", "a/../../secret", "a//b", "./a", "a\n", &"x".repeat(600)] {
        assert!(prefix.key(key).is_err(), "{key:?}");
    }
    for prefix in ["", "/", "/x", "..", "a//b"] {
        assert!(prefix.parse::<KvPrefix>().is_err(), "{prefix:?}");
    }
}
