use super::*;

fn proxies(env: &[(&str, &str)]) -> Proxies {
    Proxies::new(|name| {
        env.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
    })
}

fn of(env: &[(&str, &str)], asked: &str) -> Option<String> {
    proxies(env).of(&Url::parse(asked).expect("a URL")).map(ToString::to_string)
}

/// Check which of these go through the proxy with this `NO_PROXY`.
#[track_caller]
fn check(no_proxy: &str, through: &[&str], directly: &[&str]) {
    let env = [("HTTP_PROXY", "p:1"), ("HTTPS_PROXY", "http://p:2"), ("NO_PROXY", no_proxy)];
    for asked in through {
        let expected = if asked.starts_with("https") { "http://p:2/" } else { "http://p:1/" };
        assert_eq!(of(&env, asked).as_deref(), Some(expected), "{no_proxy}: {asked}");
    }
    for asked in directly {
        assert_eq!(of(&env, asked), None, "{no_proxy}: {asked}");
    }
}

#[test]
fn this_machine_is_asked_directly() {
    let here = [
        "http://127.0.0.1:8500",
        "https://127.0.0.1:8501",
        "http://127.8.9.10",
        "http://[::1]:8500",
        "http://[::ffff:127.0.0.1]:8500",
        "http://localhost:8500",
        "http://LOCALHOST",
    ];
    let others =
        ["http://consul:8500", "https://10.0.0.1", "http://localhost.example", "http://[::2]"];
    check("", &others, &here);
}

#[test]
fn exceptions_are_as_in_go() {
    // The cases are those of golang.org/x/net/http/httpproxy's own tests, as far as
    // they say something that another does not.
    let foo = ["http://foo.com", "http://bar.foo.com:80", "https://foo.com"];
    check("foo.com", &["http://barfoo.com", "http://foo.com.net"], &foo);
    check("FOO.com", &[], &foo);
    check(".foo.com", &["http://foo.com", "http://barfoo.com"], &["http://bar.foo.com"]);
    check("*.foo.com", &["http://foo.com"], &["http://bar.foo.com"]);
    check("foo.com:80", &["http://foo.com:81", "https://foo.com"], &["http://bar.foo.com"]);
    check(".foo.com:443", &["http://bar.foo.com"], &["https://bar.foo.com"]);
    check(" a.com , ,b.com:8080 ", &["http://b.com"], &["http://a.com", "http://x.b.com:8080"]);
    check("*", &[], &["http://foo.com", "http://10.0.0.1", "https://[::2]"]);
    check("x,*,y", &[], &["http://foo.com"]);
    check("10.0.0.0/8", &["http://11.0.0.1", "http://ten.com"], &["http://10.9.9.9:8500"]);
    check("10.1.2.3/8", &["http://11.0.0.1"], &["http://10.9.9.9"]);
    check("2001:db8::/48", &["http://[2001:db8:1::1]"], &["http://[2001:db8:0:1::1]"]);
    check("10.0.0.1", &["http://10.0.0.2"], &["http://10.0.0.1", "https://10.0.0.1:9"]);
    check("10.0.0.1:8500", &["http://10.0.0.1"], &["http://10.0.0.1:8500"]);
    check("::ffff:10.0.0.1", &[], &["http://10.0.0.1"]);
    check("2001:db8::1", &["http://[2001:db8::2]"], &["http://[2001:db8::1]:8500"]);
    check("[2001:db8::1]:8500", &["http://[2001:db8::1]"], &["http://[2001:db8::1]:8500"]);
    check("[2001:db8::1]", &[], &["http://[2001:db8::1]:8500"]);
    check(":80", &["http://foo.com"], &[]);
}

#[test]
fn a_proxy_is_named_by_the_environment() {
    let asked = "http://consul:8500";
    assert_eq!(of(&[], asked), None);
    assert_eq!(of(&[("HTTP_PROXY", "")], asked), None);
    for (value, expected) in [
        ("10.0.0.9:3128", "http://10.0.0.9:3128/"),
        ("proxy", "http://proxy/"),
        ("proxy:3128", "http://proxy:3128/"),
        ("http://u:s@proxy:3128", "http://u:s@proxy:3128/"),
        ("https://proxy", "https://proxy/"),
        ("[::2]:3128", "http://[::2]:3128/"),
    ] {
        assert_eq!(of(&[("http_proxy", value)], asked).as_deref(), Some(expected));
    }
    assert_eq!(of(&[("HTTP_PROXY", "http://a:b:c:d")], asked), None);
    let both = [("http_proxy", "small"), ("HTTP_PROXY", "capital")];
    assert_eq!(of(&both, asked).as_deref(), Some("http://capital/"));
    // Each scheme has its own, and none stands for both.
    assert_eq!(of(&[("HTTP_PROXY", "p")], "https://consul"), None);
    assert_eq!(of(&[("HTTPS_PROXY", "p")], "http://consul"), None);
    assert_eq!(of(&[("ALL_PROXY", "p")], asked), None);
    let cgi = [("HTTP_PROXY", "p"), ("REQUEST_METHOD", "GET")];
    assert_eq!(of(&cgi, asked), None);
    assert_eq!(of(&[("no_proxy", "consul"), ("HTTP_PROXY", "p")], asked), None);
}

#[test]
fn a_password_is_not_shown() {
    let proxies = proxies(&[("HTTP_PROXY", "http://user:secret@p:1")]);
    let text = format!("{proxies:?}");
    assert!(text.contains("http://p:1") && !text.contains("secret"), "{text}");
}
