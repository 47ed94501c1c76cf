//! What the stage makes of the keys of checks.

use super::*;

#[test]
fn the_most_specific_check_counts_of_whichever_kind_it_is() {
    let (web, tls) = ("http://192.0.2.1:8000", "https://192.0.2.1:8443");
    let list = r#"[{"TCP": "$SERVICE_IP:$SERVICE_PORT"}]"#;
    // The checks of 80/tcp, 443/tcp and 53/udp.
    for (env, expected) in [
        (
            vec![("CHECK_HTTP", "/a"), ("443_CHECK_HTTPS", "/b")],
            [format!("{web}/a"), format!("{tls}/b"), String::new()],
        ),
        (
            vec![("CHECK_HTTP", "/a"), ("443_CHECK_TCP", "true"), ("53_CHECK_TTL", "9s")],
            [format!("{web}/a"), "tcp 192.0.2.1:8443".into(), "ttl 9s".into()],
        ),
        (
            vec![("CHECK_TTL", "9s"), ("400-500_CHECK_HTTPS", "/b"), ("443_CHECK_HTTP", "")],
            ["ttl 9s".into(), format!("{tls}/b"), "ttl 9s".into()],
        ),
        (
            vec![("CHECK_TCP", "true"), ("CHECK_HTTP", "/a"), ("443_CHECK_TCP", "no")],
            [format!("{web}/a"), "http://192.0.2.1:8443/a".into(), String::new()],
        ),
        (
            vec![("CHECK_HTTP", "/a"), ("443_CHECK_HTTP", "")],
            [format!("{web}/a"), String::new(), String::new()],
        ),
        (
            vec![("CHECK_HTTP", "/a"), ("443_CHECKS", list), ("80_CHECK_TTL", "9s")],
            ["ttl 9s".into(), "tcp 192.0.2.1:8443".into(), String::new()],
        ),
        (
            vec![("CHECKS", list), ("443_CHECK_HTTPS", "/b")],
            ["tcp 192.0.2.1:8000".into(), format!("{tls}/b"), String::new()],
        ),
        (
            vec![("CHECKS", list), ("CHECK_TTL", "9s")],
            [
                "ttl 9s, tcp 192.0.2.1:8000".into(),
                "ttl 9s, tcp 192.0.2.1:8443".into(),
                "ttl 9s".into(),
            ],
        ),
        (
            vec![("CHECK_UDP", "true"), ("80_UDP_CHECK_HTTP", "/a")],
            [String::new(), String::new(), "udp 192.0.2.1:8053".into()],
        ),
        (
            vec![("53_CHECK_TCP", "true")],
            [String::new(), String::new(), "tcp 192.0.2.1:8053".into()],
        ),
        (
            vec![("CHECK_GRPC", "true"), ("1-1000_UDP_CHECK_H2PING", "true")],
            [
                "grpc 192.0.2.1:8000".into(),
                "grpc 192.0.2.1:8443".into(),
                "h2ping 192.0.2.1:8053 true".into(),
            ],
        ),
    ] {
        let came = several(&env);
        let found: Vec<_> = came.services.iter().map(checks).collect();
        assert_eq!(found, expected, "{env:?}");
        assert_eq!(came.warnings, [""; 0], "{env:?}");
    }
}

#[test]
fn a_number_with_two_protocols_has_the_check_of_each() {
    let container = web(&[("80_CHECK_HTTP", "/"), ("80_CHECK_UDP", "true")]).build();
    let mut services = testing::services(&container);
    let mut twin = services[0].clone();
    twin.id += ":udp";
    twin.protocol = Protocol::Udp;
    twin.origin.as_mut().expect("it has one").protocol = Protocol::Udp;
    services.push(twin);
    let came = Came::of("{}", &container, services, false);
    let found: Vec<_> = came.services.iter().map(checks).collect();
    assert_eq!(found, ["http://192.0.2.1:8000/", "udp 192.0.2.1:8000"]);
}

#[test]
fn every_field_of_a_check_has_a_key() {
    let came = came(&[
        ("CHECK_HTTP", "/a b"),
        ("CHECK_METHOD", "HEAD"),
        ("CHECK_HEADER", r#"{"Authorization": ["Basic eDp5"], "X-A": "$SERVICE_IP"}"#),
        ("CHECK_BODY", "hello $SERVICE_PORT"),
        ("CHECK_NAME", "front"),
        ("CHECK_NOTES", "of the web"),
        ("CHECK_ID", "web-http"),
        ("CHECK_STATUS", "warning"),
        ("CHECK_INTERVAL", "15s"),
        ("CHECK_TIMEOUT", "2s"),
        ("CHECK_DEREGISTER_CRITICAL_SERVICE_AFTER", "1h"),
        ("CHECK_SUCCESS_BEFORE_PASSING", "2"),
        ("CHECK_FAILURES_BEFORE_WARNING", "3"),
        ("CHECK_FAILURES_BEFORE_CRITICAL", "4"),
        ("CHECK_OUTPUT_MAX_SIZE", "512"),
        ("CHECK_DISABLE_REDIRECTS", "true"),
    ]);
    assert_eq!(came.warnings, [""; 0]);
    let service = &came.services[0];
    assert_eq!(service.meta, []);
    let [check] = &service.checks[..] else { panic!("{:?}", service.checks) };
    let CheckKind::Http(http) = &check.kind else { panic!("{check:?}") };
    assert_eq!(http.url, "http://192.0.2.1:8000/a%20b");
    assert_eq!(http.method.as_deref(), Some("HEAD"));
    assert_eq!(
        http.headers,
        [Attribute::new("Authorization", "Basic eDp5"), Attribute::new("X-A", "192.0.2.1")]
    );
    assert_eq!(http.body, "hello 8000");
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    assert_eq!(text(&check.name), "front");
    assert_eq!(text(&check.notes), "of the web");
    assert_eq!(text(&check.id), "web-http");
    assert_eq!(text(&check.interval), "15s");
    assert_eq!(text(&check.timeout), "2s");
    assert_eq!(text(&check.deregister_after), "1h");
    assert_eq!(check.initial_status, Some(wharfinger_plugin::CheckStatus::Warning));
    assert_eq!((check.success_before_passing, check.failures_before_critical), (Some(2), Some(4)));
    let attributes: Vec<_> =
        check.attributes.iter().map(|one| format!("{}={}", one.key, one.value)).collect();
    assert_eq!(
        attributes,
        ["DisableRedirects=true", "FailuresBeforeWarning=3", "OutputMaxSize=512"]
    );
}

#[test]
fn every_kind_of_check_has_a_key() {
    let id = web(&[]).build().id;
    let id = id.as_str();
    for (env, expected) in [
        (vec![("CHECK_HTTP", "a")], "http://192.0.2.1:8000/a"),
        (vec![("CHECK_HTTPS", "/a")], "https://192.0.2.1:8000/a"),
        (vec![("CHECK_TCP", "yes")], "tcp 192.0.2.1:8000"),
        (vec![("CHECK_UDP", "yes")], ""),
        (vec![("80_CHECK_UDP", "yes")], "udp 192.0.2.1:8000"),
        (vec![("CHECK_GRPC", "1"), ("CHECK_GRPC_SERVICE", "a.B")], "grpc 192.0.2.1:8000/a.B"),
        (vec![("CHECK_H2PING", "1")], "h2ping 192.0.2.1:8000 true"),
        (
            vec![("CHECK_H2PING", "1"), ("CHECK_H2_PING_USE_TLS", "no")],
            "h2ping 192.0.2.1:8000 false",
        ),
        (vec![("CHECK_TTL", "9s")], "ttl 9s"),
        (vec![("CHECK_SCRIPT", "ping $SERVICE_IP")], "script /bin/sh -c ping 192.0.2.1"),
        (vec![("CHECK_ARGS", r#"["ping", "$SERVICE_IP"]"#)], "script ping 192.0.2.1"),
        (vec![("CHECK_DOCKER_CONTAINER_ID", "true"), ("CHECK_ARGS", r#"["ls"]"#)], "docker ls"),
        (vec![("CHECK_DOCKER_CONTAINER_ID", id), ("CHECK_ARGS", r#"["ls"]"#)], "docker ls"),
        (vec![("CHECK_ALIAS_SERVICE", "db")], r#"alias None Some("db")"#),
    ] {
        let came = came(&env);
        assert_eq!(checks(&came.services[0]), expected, "{env:?}: {:?}", came.warnings);
        assert_eq!(came.services[0].meta, [], "{env:?}");
        assert_eq!(came.warnings, [""; 0], "{env:?}");
    }
}

#[test]
fn tls_is_set_for_every_kind_that_has_it() {
    let tls = [("CHECK_TLS_SERVER_NAME", "a.example"), ("CHECK_TLS_SKIP_VERIFY", "true")];
    for (env, typed, attributes) in [
        (vec![("CHECK_HTTPS", "/")], true, vec![]),
        (vec![("CHECK_GRPC", "1"), ("CHECK_GRPC_USE_TLS", "1")], true, vec![]),
        (vec![("CHECK_H2PING", "1")], false, vec!["TLSServerName=\"a.example\""]),
        (
            vec![("CHECK_TCP", "1"), ("CHECK_TCP_USE_TLS", "1")],
            false,
            vec!["TCPUseTLS=true", "TLSSkipVerify=true", "TLSServerName=\"a.example\""],
        ),
        (vec![("CHECK_TCP", "1")], false, vec![]),
    ] {
        let came = came(&[&env[..], &tls].concat());
        let check = &came.services[0].checks[0];
        let named = match &check.kind {
            CheckKind::Http(http) => http.tls_server_name.is_some() && http.tls_skip_verify,
            CheckKind::Grpc(grpc) => grpc.tls_server_name.is_some() && grpc.tls_skip_verify,
            _ => false,
        };
        assert_eq!(named, typed, "{env:?}");
        let found: Vec<_> =
            check.attributes.iter().map(|one| format!("{}={}", one.key, one.value)).collect();
        assert_eq!(found, attributes, "{env:?}");
    }
}

#[test]
fn a_value_that_cannot_be_used_costs_that_value() {
    for (env, warning, left) in [
        (
            vec![("CHECK_HTTP", "/"), ("CHECK_HEADER", "Basic c2VjcmV0")],
            "SERVICE_CHECK_HEADER",
            true,
        ),
        (
            vec![("CHECK_HTTP", "/"), ("CHECK_INTERVAL", "soon")],
            "SERVICE_CHECK_INTERVAL: \"soon\"",
            true,
        ),
        (
            vec![("CHECK_HTTP", "/"), ("CHECK_SUCCESS_BEFORE_PASSING", "-1")],
            "SERVICE_CHECK_SUCCESS_BEFORE_PASSING: \"-1\"",
            true,
        ),
        (
            vec![("CHECK_HTTP", "/"), ("CHECK_FAILURES_BEFORE_WARNING", "3")],
            "SERVICE_CHECK_FAILURES_BEFORE_WARNING",
            true,
        ),
        (vec![("CHECK_HTTP", "/"), ("CHECK_PORT", "81")], "SERVICE_CHECK_PORT", true),
        (vec![("CHECK_TTL", "soon")], "SERVICE_CHECK_TTL", false),
        (vec![("CHECK_ARGS", "ls")], "SERVICE_CHECK_ARGS", false),
        (vec![("CHECK_OS_SERVICE", "spooler")], "SERVICE_CHECK_OS_SERVICE", false),
        (vec![("CHECK_HTTP", "/"), ("CHECK_TOKEN", "c2VjcmV0")], "SERVICE_CHECK_TOKEN", true),
    ] {
        let came = came(&env);
        assert_eq!(came.services[0].checks.len(), usize::from(left), "{env:?}");
        assert_eq!(came.services[0].checks.first().map_or(0, |check| check.attributes.len()), 0);
        came.warns(&[warning]);
        assert!(!came.all.concat().contains("c2VjcmV0"), "{:?}", came.all);
        assert_eq!(came.services[0].meta, [], "{env:?}");
    }
}

#[test]
fn a_check_can_be_of_another_port_of_the_container() {
    let came = several(&[("80_CHECK_HTTP", "/"), ("80_CHECK_PORT", "443")]);
    assert_eq!(checks(&came.services[0]), "http://192.0.2.1:8443/");
    assert_eq!(came.warnings, [""; 0]);
}

#[test]
fn checks_stay_with_the_container() {
    let (any, drop) = (r#"{"check-targets": "any"}"#, r#"{"scripts": "drop"}"#);
    for (definition, kept) in [
        (r#"{"HTTP": "http://192.0.2.1:8000/a"}"#, true),
        (r#"{"HTTP": "http://$SERVICE_IP:$SERVICE_PORT/a"}"#, true),
        (r#"{"TCP": "192.0.2.1:8000"}"#, true),
        (r#"{"TTL": "10s"}"#, true),
        (r#"{"AliasService": "db"}"#, true),
        (r#"{"AliasService": "db", "AliasNode": "n"}"#, false),
        (
            r#"{"HTTP": "http://127.0.0.1:8500/v1/agent/service/deregister/x", "Method": "PUT"}"#,
            false,
        ),
        (r#"{"HTTP": "http://192.0.2.1:8500/"}"#, false),
        (r#"{"HTTP": "http://192.0.2.1:8000@127.0.0.1:8500/"}"#, false),
        (r#"{"HTTP": "http://localhost:8000/"}"#, false),
        (r#"{"HTTP": "http://169.254.169.254/latest"}"#, false),
        (r#"{"TCP": "10.0.0.1:22"}"#, false),
        (r#"{"UDP": "10.0.0.1:53"}"#, false),
        (r#"{"GRPC": "10.0.0.1:1/x"}"#, false),
        (r#"{"H2PING": "10.0.0.1:1"}"#, false),
        (r#"{"DockerContainerID": "abcdefabcdef", "Args": ["sh"]}"#, false),
    ] {
        let list = format!("[{definition}]");
        let own = came(&[("CHECKS", &list)]);
        assert_eq!(own.services[0].checks.len(), usize::from(kept), "{definition}");
        if !kept {
            own.warns(&["SERVICE_CHECKS", "the setting check-targets"]);
        }
        assert_eq!(under(any, &[("CHECKS", &list)]).services[0].checks.len(), 1, "{definition}");
    }
    for (key, value) in [
        ("CHECK_SCRIPT", "true"),
        ("CHECK_CMD", "true"),
        ("CHECK_ARGS", r#"["true"]"#),
        ("CHECKS", r#"[{"Args": ["true"]}]"#),
        ("CHECKS", r#"[{"DockerContainerID": "web", "Args": ["true"]}]"#),
    ] {
        assert_eq!(came(&[(key, value)]).services[0].checks.len(), 1, "{key}={value}");
        let dropped = under(drop, &[(key, value)]);
        assert_eq!(dropped.services[0].checks, [], "{key}={value}");
        dropped.warns(&["SERVICE_CHECK", "the setting scripts"]);
    }
}

#[test]
fn a_check_that_changes_something_follows_no_redirect() {
    for (method, stays) in
        [("GET", false), ("HEAD", false), ("PUT", true), ("post", true), ("DELETE", true)]
    {
        let check = came(&[("CHECK_HTTP", "/"), ("CHECK_METHOD", method)])
            .services
            .remove(0)
            .checks
            .remove(0);
        let found =
            check.attributes.iter().any(|one| one.key == "DisableRedirects" && one.value == "true");
        assert_eq!(found, stays, "{method}");
        let list = format!(
            r#"[{{"HTTP": "http://192.0.2.1:8000/", "Method": "{method}", "disable_redirects": false}}]"#
        );
        let check = came(&[("CHECKS", &list)]).services.remove(0).checks.remove(0);
        let off = check.attributes.iter().all(|one| one.value == "true");
        assert_eq!((check.attributes.len(), off), (1, stays), "{method}: {:?}", check.attributes);
    }
}

#[test]
fn no_check_follows_a_redirect_where_none_is_to() {
    let none = r#"{"check-redirects": "none"}"#;
    for (key, value) in [
        ("CHECK_HTTP", "/"),
        ("CHECK_HTTPS", "/"),
        ("80_CHECK_HTTP", "/"),
        ("CHECKS", r#"[{"HTTP": "http://192.0.2.1:8000/", "DisableRedirects": false}]"#),
    ] {
        let mut came = under(none, &[(key, value)]);
        let check = came.services.remove(0).checks.remove(0);
        let found: Vec<_> =
            check.attributes.iter().map(|one| (one.key.as_str(), one.value.as_str())).collect();
        assert_eq!(found, [("DisableRedirects", "true")], "{key}={value}");
    }
    let tcp = under(none, &[("CHECK_TCP", "true")]).services.remove(0).checks.remove(0);
    assert_eq!(tcp.attributes, []);
}
