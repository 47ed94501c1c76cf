use super::*;

#[test]
fn names_of_secrets_are_told_from_others() {
    for name in [
        "SERVICE_DB_PASSWORD",
        "SERVICE_80_DB_PASSWORD",
        "SERVICE_80_TCP_PASSWD",
        "dbPassword",
        "DB_PASS",
        "DBPASS",
        "userpw",
        "TS_AUTHKEY",
        "X-Amz-Signature",
        "ERLANG_COOKIE",
        "BASIC_AUTH",
        "PGPASSWORD",
        "MYSQL_PWD",
        "db-pw",
        "ROOT_PASSPHRASE",
        "SERVICE_SECRET",
        "CLIENT_SECRET_ID",
        "API_TOKEN",
        "tokens",
        "com.example.db.password",
        "com.example.password.db",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "apiKey",
        "API_KEY",
        "APIKEY",
        "PRIVATE_KEY",
        "SSH_KEY",
        "TLS_KEY_PEM",
        "SIGNING_KEY_2",
        "ENCRYPTION_KEY_BASE64",
        "STRIPE_API_KEY",
        "SENTRY_DSN",
        "CONNECTION_STRING",
        "Authorization",
        "Proxy-Authorization",
        "X-Consul-Token",
        "X-Api-Key",
        "Set-Cookie",
        "REDIS_AUTH",
        "GOOGLE_CREDENTIALS",
        "JWT",
        "WP_AUTH_SALT",
        "traefik.http.middlewares.a.basicauth.users",
    ] {
        assert!(by_name(name, "hunter2"), "{name}");
        assert!(is_secret(name, "hunter2") && value(name, "hunter2") == HIDDEN, "{name}");
        assert!(is_secret(name, HIDDEN), "{name}: what was hidden stays a secret");
        assert!(!is_secret(name, ""), "{name}: nothing is no secret");
    }
    for name in [
        "SERVICE_NAME",
        "SERVICE_80_CHECK_HTTP",
        "SERVICE_CHECK_SUCCESS_BEFORE_PASSING",
        "SERVICE_WEIGHTS_PASSING",
        "PUBLIC_KEY",
        "ROUTING_KEY",
        "PRIMARY_KEY",
        "KEYSPACE",
        "KEY_PREFIX",
        "MONKEY",
        "AUTHOR",
        "AUTH_URL",
        "PWD",
        "BYPASS_CACHE",
        "BYPASS",
        "OLDPWD",
        "COMPASS",
        "OWNER",
        "TEAM",
        "traefik.http.middlewares.auth.forwardauth.address",
        "com.example.secrets-team.owner",
        "traefik.http.routers.a.middlewares",
        "SERVICE_TAGS",
        "GIT_COMMIT",
        "PASSIVE",
    ] {
        assert!(!by_name(name, "hunter2"), "{name}");
        assert_eq!(value(name, "hunter2"), "hunter2", "{name}");
    }
    for (name, value, expected) in [
        ("AUTH", "basic", false),
        ("ENABLE_AUTH", "true", false),
        ("traefik.http.services.a.loadbalancer.sticky.cookie", "true", false),
        ("AUTH", "user:pass", true),
        ("KEY", "orders", false),
        ("STRIPE_KEY", "a8f3b2", true),
        ("CONSUL_ACL", "8f246b77-f3e1-ff88-5b48-8ec93abf3e05", true),
        ("CONSUL_ADDR", "10.0.0.1:8500", false),
        ("REQUEST_ID", "8f246b77-f3e1-ff88-5b48-8ec93abf3e05", false),
    ] {
        assert_eq!(is_secret(name, value), expected, "{name}={value}");
    }
}

#[test]
fn secrets_in_texts_are_hidden_and_nothing_else() {
    for (given, expected) in [
        ("postgres://app:pass@db/shop", "postgres://app:***@db/shop"),
        ("a postgres://app:p@ss@db/x and more", "a postgres://app:***@db/x and more"),
        ("amqp://u:p/ss@mq", "amqp://u:***@mq"),
        ("https://0123456789abcdef0123@o1.ingest/1", "https://***@o1.ingest/1"),
        ("https://abcdef012345@sentry.local/1", "https://***@sentry.local/1"),
        ("/health?token=abc&x=1", "/health?token=***&x=1"),
        ("http://h:80/?api_key=abc#x y", "http://h:80/?api_key=*** y"),
        ("curl --password=hunter2 -v", "curl --password=*** -v"),
        ("mysql --password hunter2 -h db", "mysql --password *** -h db"),
        ("curl -u admin:hunter2 http://h", "curl -u admin:*** http://h"),
        ("Server=db;Password=hunter2;Port=1", "Server=db;Password=***;Port=1"),
        ("SERVICE_DB_PASSWORD=hunter2", "SERVICE_DB_PASSWORD=***"),
        ("{\"token\":\"abc\",\"a\":\"b\"}", "{\"token\":\"***\",\"a\":\"b\"}"),
        ("{\"Authorization\": [\"Bearer abc\"]}", "{\"Authorization\": [\"***\"]}"),
        ("{\\\"password\\\":\\\"abc\\\"}", "{\\\"password\\\":\\\"***\\\"}"),
        ("Authorization: Bearer abcDEF123", "Authorization: Bearer ***"),
        ("X-Consul-Token: 8f246b77", "X-Consul-Token: ***"),
        ("Authorization: Basic YWRtaW46aHVudGVyMg==", "Authorization: Basic ***"),
        ("a eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_d b", "a *** b"),
        ("ghp_0123456789abcdefghij", "***"),
        ("key AKIAIOSFODNN7EXAMPLE.", "key AKIAIOSFODNN7EXAMPLE."),
        ("key AKIAIOSFODNN7EXAMPLE", "key ***"),
        ("admin:$apr1$abc$0123456789abcdef", "admin:***"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nx", "***\nx"),
        ("-----BEGIN PRIVATE KEY-----\\nMII", "***"),
        ("tag.users=admin:a,bob:b", "tag.users=admin:a,bob:b"),
        ("t.basicauth.users=admin:a,bob:b", "t.basicauth.users=***"),
        // None of these is one.
        ("-----BEGIN PUBLIC KEY-----\nMII\n-----END PUBLIC KEY-----", ""),
        ("the token lacks service \"x\" { policy = \"write\" }", ""),
        ("secret-words: a word is empty", ""),
        ("error: token: permission denied", ""),
        ("Basic authentication is off", ""),
        ("http://10.0.0.1:8500/v1/agent", ""),
        ("{label:team}-{image.name}", ""),
        ("https://user@example.com and ssh://git@example.com/x.git", ""),
        ("registry.local/shop/web:1.2 a@b", ""),
        ("consul://127.0.0.1:8500", ""),
        ("web1:web:80 name=web port=80", ""),
        ("8f246b77-f3e1-ff88-5b48-8ec93abf3e05", ""),
        ("sha256:0123456789abcdef0123456789abcdef", ""),
        ("größe=ü: ä", ""),
    ] {
        let expected = if expected.is_empty() { given } else { expected };
        assert_eq!(text(given), expected);
        assert_eq!(text(expected), expected, "once more");
        let certain = expected != given;
        assert_eq!(is_secret("x", given), certain, "{given}");
        assert_eq!(is_secret("x", expected), certain, "{expected}: it stays one");
    }
}

#[test]
fn a_long_text_takes_no_long_time() {
    let start = std::time::Instant::now();
    for piece in ["a=", "://", "-----BEGIN ", "password=", "bearer ", "x:", "é=\"", "@"] {
        let _ = text(&piece.repeat(50_000));
    }
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}
