use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{HttpGet, Template, TemplateError, values};

fn container() -> serde_json::Value {
    json!({
        "Id": "0123456789abcdef",
        "Name": "/app",
        "Created": "2026-11-22T18:09:44.151900000Z",
        "State": { "Running": true, "Pid": 42, "FinishedAt": "0001-01-01T00:00:00Z" },
        "Config": {
            "Image": "web:80",
            "Env": ["ENVIRONMENT=test", "SERVICE_80_NAME=a", "HOME=/home", "SERVICE_81_NAME=b"],
            "ExposedPorts": { "80/tcp": {} },
            "Entrypoint": null,
            "Labels": { "arn": "arn:aws:task/368f", "tier": "Front" },
        },
        "HostConfig": { "NetworkMode": "default", "ShmSize": 67108864 },
        "NetworkSettings": {
            "SandboxID": "c9e3",
            "Ports": { "80/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "20080" }], "53/udp": null },
            "Networks": { "bridge": { "IPAddress": "172.17.0.2", "IPPrefixLen": 16 } },
        },
    })
}

/// The words of a failure, with its cause.
fn said(error: &TemplateError) -> String {
    let cause = error.source().map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

#[track_caller]
fn check(template: &str, expected: &str) {
    let rendered =
        Template::parse(template, HttpGet::Forbidden).and_then(|read| read.render(&container()));
    assert_eq!(rendered.map_err(|error| said(&error)).as_deref(), Ok(expected), "{template}");
}

#[track_caller]
fn check_parse_error(template: &str, expected: &str) {
    assert_eq!(
        said(&Template::parse(template, HttpGet::Forbidden).unwrap_err()),
        expected,
        "{template}"
    );
}

/// Parses, and fails on the container.
#[track_caller]
fn check_render_error(template: &str, expression: &str, cause: &str) {
    let error =
        Template::parse(template, HttpGet::Forbidden).unwrap().render(&container()).unwrap_err();
    let cause = if cause.is_empty() { String::new() } else { format!(": {cause}") };
    let expected = format!("the template cannot be evaluated at <{expression}>{cause}");
    assert_eq!(said(&error), expected, "{template}");
}

#[test]
fn text_and_fields() {
    check("", "");
    check("f1,f2}}", "f1,f2}}");
    check("n={{.Name}},img={{.Config.Image}}", "n=/app,img=web:80");
    check(" {{- .Name -}} , b ", "/app, b ");
    check("{{/* \" */}}a{{- /* ` */ -}} c", "ac");
    check("{{.ID}} {{.Id}}", "0123456789abcdef 0123456789abcdef");
    check("{{.State.Running}},{{.State.Pid}},{{.HostConfig.ShmSize}}", "true,42,67108864");
    check("{{.Created}}", "2026-11-22 18:09:44.1519 +0000 UTC");
    // Docker says it, registrator's struct does not have it.
    check("{{.NetworkSettings.SandboxID}}", "c9e3");
}

#[test]
fn what_the_json_leaves_out_is_zero() {
    check("{{.RestartCount}},{{.HostConfig.Memory}},{{.HostConfig.CPUShares}}", "0,0,0");
    check("[{{.Driver}}],{{.State.OOMKilled}},{{.State.Health.FailingStreak}}", "[],false,0");
    check("{{.Config.Entrypoint}} {{.Config.Volumes}} {{.Mounts}}", "[] map[] []");
    check("{{.State.StartedAt}}", "0001-01-01 00:00:00 +0000 UTC");
    check("{{with .Config.Healthcheck}}h{{else}}none{{end}}", "none");
}

#[test]
fn maps_and_structs() {
    check("{{.Config.Labels}}", "map[arn:arn:aws:task/368f tier:Front]");
    check("{{.Config.ExposedPorts}}", "map[80/tcp:{}]");
    check("{{.Config.Labels.tier}},{{.Config.Labels.none}}", "Front,<no value>");
    check(r#"{{index .Config.Labels "tier"}},[{{index .Config.Labels "none"}}]"#, "Front,[]");
    check(r#"{{(index .NetworkSettings.Networks "bridge").IPPrefixLen}}"#, "16");
    check(r#"{{(index .NetworkSettings.Networks "none").IPPrefixLen}}"#, "0");
    check(
        "{{range $p, $b := .NetworkSettings.Ports}}{{$p}}{{range $b}}={{.HostIP}}:{{.HostPort}}{{end}};{{end}}",
        "53/udp;80/tcp=0.0.0.0:20080;",
    );
    check_render_error("{{.Nope}}", ".Nope", "");
    check_render_error("a{{.Config.Nope | toUpper}}", ".Config.Nope | toUpper", "");
}

#[test]
fn the_default_bridge_stands_beside_the_networks() {
    check("{{.NetworkSettings.IPAddress}}/{{.NetworkSettings.IPPrefixLen}}", "172.17.0.2/16");
    let mut container = container();
    container["NetworkSettings"]["IPAddress"] = json!("");
    let template = Template::parse("[{{.NetworkSettings.IPAddress}}]", HttpGet::Forbidden).unwrap();
    assert_eq!(template.render(&container).unwrap(), "[]", "an old Docker says it itself");
}

#[test]
fn control_flow_and_builtins() {
    check("{{if eq .State.Running true}}up{{else}}down{{end}}", "up");
    check("{{range $i, $e := .Config.Env}}{{if $i}};{{end}}{{len $e}}{{end}}", "16;17;10;17");
    check(r#"{{printf "%s:%d:%v:%q" .Name .State.Pid .Config.Cmd "x"}}"#, r#"/app:42:[]:"x""#);
    check("{{$x := .Name | toUpper}}{{$x}}{{slice .ID 0 4}}", "/APP0123");
    check(r#"{{define "t"}}<{{.}}>{{end}}{{template "t" .Name}}"#, "</app>");
}

#[test]
fn cutting() {
    check("{{strSlice .Name 1 3}},{{strSlice .Name 2}},{{strSlice .Name}}", "ap,pp,/app");
    check("{{strSlice .Name 0 99}},{{strSlice .Name 99}},{{strSlice .Name 3 1}}", "/app,/app,p");
    check("{{strSlice .Name 0 0}},{{strSlice .Name 2 -1}},{{strSlice .Name 1 2 3}}", ",pp,/app");
    check(r#"{{strSlice "héllo" 0 2}}"#, "h\u{fffd}");
    check_render_error(
        "{{strSlice .Name -1}}",
        "strSlice .Name -1",
        "strSlice: index out of range",
    );
    check(r#"{{split "/" "a/b"}},{{split "" "aé"}},{{split "," "" | len}}"#, "[a b],[a é],1");
    check(r#"{{splitIndex 0 "/" "a/b/c"}}{{splitIndex -1 "/" "a/b/c"}}"#, "ac");
    check(r#"{{splitIndex 9 "/" "a/b"}}{{splitIndex -9 "/" "a/b"}}"#, "ba");
    check(r#"{{split ":" "x:y" | sIndex 1}}"#, "y");
    check("{{sIndex 2 .Config.Env}},{{sIndex -3 .Config.Env}}", "HOME=/home,SERVICE_80_NAME=a");
    check(
        "{{sIndex 9 .Config.Env}},{{sIndex -9 .Config.Env}}",
        "SERVICE_81_NAME=b,ENVIRONMENT=test",
    );
    let empty = r#"matchAllElements "^NOPE" .Config.Env | sIndex 0"#;
    check_render_error(&format!("{{{{{empty}}}}}"), empty, "sIndex: index out of range");
}

#[test]
fn changing() {
    check(
        r#"{{toUpper .Config.Image}},{{mIndex "tier" .Config.Labels | toLower}}"#,
        "WEB:80,front",
    );
    check(r#"{{toUpper "straße"}}"#, "STRAßE");
    check(
        r#"{{replace -1 "p" "" .Name}},{{replace 1 "o" "0" "foo"}},{{replace 0 "o" "" "o"}}"#,
        "/a,f0o,o",
    );
    check(r#"{{replace -1 "" "-" "ab"}}"#, "-a-b-");
    check(r#"{{join "+" (split "," "a,b")}},[{{join "," .Config.Cmd}}]"#, "a+b,[]");
    check(
        r#"{{mIndex "arn" .Config.Labels | splitIndex -1 "/"}},[{{mIndex "no" .Config.Labels}}]"#,
        "368f,[]",
    );
}

#[test]
fn matching() {
    check(r#"{{matchFirstElement "^SERVICE_" .Config.Env}}"#, "SERVICE_80_NAME=a");
    check(r#"[{{matchFirstElement "^NOPE" .Config.Env}}]"#, "[]");
    check(r#"{{matchAllElements `81|^H\w+=` .Config.Env}}"#, "[HOME=/home SERVICE_81_NAME=b]");
    check(r#"{{matchAllElements "^NOPE" .Config.Env}}"#, "[]");
}

#[test]
fn literals() {
    check(r#"{{"}}"}}{{`}}`}}it's {{"a"}} isn't"#, "}}}}it's a isn't");
    check(r#"{{"\x41éé\u00e9b\U0001F600\101\\"}}"#, "Aéééb😀A\\");
    check(r#"{{`a\`}},{{"say \"x\\\"y\""}},{{"`\"\\n"}}"#, r#"a\,say "x\"y",`"\n"#);
    check(r"{{'a'}}{{'\n'}}", "9710");
    check_parse_error(
        "a\n{{\"\\d\"}}",
        r#"the template does not parse at line 2, column 3: "\d" is no literal"#,
    );
}

#[test]
fn a_wrong_template_is_found_before_the_first_container() {
    check_parse_error(
        "{{.Name",
        "the template does not parse at line 1, column 8: unclosed action",
    );
    check_parse_error(
        "{{nope .Name}}",
        "the template does not parse at line 1, column 3: function nope not defined",
    );
    let unclosed = "is given no regular expression: error: unclosed group";
    check_parse_error(r#"{{matchFirstElement "(" .X}}"#, &format!("matchFirstElement {unclosed}"));
    check_parse_error("{{matchAllElements `(` .X}}", &format!("matchAllElements {unclosed}"));
    check(r#"matchAllElements "({{/* matchAllElements "(" */}}"#, "matchAllElements \"(");
    let computed = r#"matchFirstElement (print "(") .Config.Env"#;
    check_render_error(&format!("{{{{{computed}}}}}"), computed, "error: unclosed group");
}

#[test]
fn arguments_have_go_s_types() {
    let no_string = "argument 1 of toUpper is not a string";
    check_render_error("{{toUpper 5}}", "toUpper 5", no_string);
    check_render_error("{{toUpper .Config.Labels.no}}", "toUpper .Config.Labels.no", no_string);
    check_render_error("{{toUpper}}", "toUpper", "toUpper got 0 arguments");
    check_render_error(
        r#"{{join "," "a"}}"#,
        r#"join "," "a""#,
        "argument 2 of join is not a list of strings",
    );
    check_render_error(
        r#"{{sIndex "0" .Args}}"#,
        r#"sIndex "0" .Args"#,
        "argument 1 of sIndex is not an integer",
    );
    check_render_error(
        r#"{{jsonParse "{}" "a"}}"#,
        r#"jsonParse "{}" "a""#,
        "argument 1 of jsonParse is not bytes",
    );
}

#[test]
fn a_rendering_is_bounded() {
    let doubled = format!("{{{{$s := `x`}}}}{}", "{{$s = printf `%s%s` $s $s}}".repeat(30));
    check_render_error(&doubled, "$s = printf `%s%s` $s $s", "");
    let replaced = r#"replace -1 "" (printf "%999999d" 1) (printf "%999999d" 1)"#;
    check_render_error(
        &format!("{{{{{replaced}}}}}"),
        replaced,
        "the result of replace is too large",
    );
    let forever = r#"{{define "t"}}{{template "t"}}{{end}}{{template "t"}}"#;
    assert!(Template::parse(forever, HttpGet::Forbidden).unwrap().render(&container()).is_err());
}

/// A long rendering ends between two calls of functions, each of which is bounded by its result.
#[test]
fn a_rendering_has_a_deadline() {
    let value = format!("A={}", "a".repeat(1 << 20));
    let mut container = container();
    container["Config"]["Env"] = vec![json!(value); 2].into();
    // A thousand times as long as one call: minutes without the deadline.
    let call = "matchFirstElement `(a|b|ab)*c` $.Config.Env";
    let slow =
        format!("{{{{range .Config.Env}}}}{}{{{{end}}}}", format!("{{{{{call}}}}}").repeat(2000));
    let began = Instant::now();
    let error = Template::parse(&slow, HttpGet::Forbidden).unwrap().render(&container).unwrap_err();
    assert_eq!(said(&error), format!("the template cannot be evaluated at <{call}>"));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn a_long_answer_and_a_deep_one_are_no_values() {
    let long = |n: usize| format!("[\"{}\"]", "x".repeat(n - 4));
    assert!(values(&long(2 << 20)).is_ok());
    let error = values(&long((2 << 20) + 1)).unwrap_err();
    assert_eq!(said(&error), "Docker's answer on the container is longer than 2097152 bytes");
    let error = values(&"[".repeat(1000)).unwrap_err();
    let start = "Docker's answer on the container cannot be read: recursion limit exceeded";
    assert!(said(&error).starts_with(start), "{error}");
}

#[test]
fn an_error_does_not_tell_the_environment() {
    for template in ["{{.Nope}}", "{{index .Config.Env 9}}", "{{range .Config.Env}}{{.X}}{{end}}"] {
        let error = Template::parse(template, HttpGet::Forbidden)
            .unwrap()
            .render(&container())
            .unwrap_err();
        assert!(!format!("{error:?}").contains("test"), "{error:?}");
    }
}

#[test]
fn http_get_is_off_by_default() {
    check_parse_error(
        r#"{{httpGet "http://127.0.0.1/"}}"#,
        "httpGet is not allowed; start with --allow-http-get",
    );
    check(r#"httpGet {{"httpGet"}}"#, "httpGet httpGet");
}

/// Answer one request, and render `{{CALL}}` with the server's address for `URL`.
fn render_with_server(status: &str, body: String, call: &str) -> Result<String, String> {
    render_with(HttpGet::Checked, status, body, call)
}

fn render_with(how: HttpGet, status: &str, body: String, call: &str) -> Result<String, String> {
    // As main does; only the first of the tests succeeds.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("\"http://{}/\"", listener.local_addr().unwrap());
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        lines.map_while(Result::ok).find(String::is_empty);
        // A client that has seen enough hangs up.
        let _ = stream.write_all((head + &body).as_bytes());
    });
    let template = format!("{{{{{}}}}}", call.replace("URL", &url));
    let rendered = Template::parse(&template, how).unwrap().render(&container());
    server.join().unwrap();
    rendered.map_err(|error| error.source().map(ToString::to_string).unwrap_or_default())
}

#[tokio::test]
async fn http_get_and_json_parse() {
    let body = r#"{"n": 7.0, "a": {"c": "U\nS", "e": null}, "list": [1, {"x": true}]}"#;
    for (call, expected) in [
        (r#"jsonParse (httpGet URL) "n""#, "7.0"),
        (r#"jsonParse (httpGet URL) "a::c""#, r"U\nS"),
        (r#"jsonParse (httpGet URL) "a""#, r#"{"c": "U\nS", "e": null}"#),
        (r#"jsonParse (httpGet URL) "a::e""#, "null"),
        (r#"jsonParse (httpGet URL) "list::[1]::x""#, "true"),
        (r#"jsonParse (httpGet URL) "list::[2]""#, ""),
        (r#"jsonParse (httpGet URL) "no::key""#, ""),
        (r#"strSlice (printf "%s" (httpGet URL)) 0 4"#, r#"{"n""#),
        (r#"slice (httpGet URL) 0 3"#, "[123 34 110]"),
    ] {
        let rendered = render_with_server("200 OK", body.into(), call);
        assert_eq!(rendered.as_deref(), Ok(expected), "{call}");
    }
    let rendered = render_with_server("200 OK", "no json".into(), r#"jsonParse (httpGet URL) "n""#);
    assert_eq!(rendered.as_deref(), Ok(""));
}

#[test]
fn a_failed_http_get_is_an_error() {
    let call = "len (httpGet URL)";
    let rendered = render_with_server("200 OK", "x".repeat(1 << 20), call);
    assert_eq!(rendered.as_deref(), Ok("1048576"));
    let rendered = render_with_server("200 OK", "x".repeat((1 << 20) + 1), call);
    assert_eq!(rendered.unwrap_err(), "the result of httpGet is too large");
    let rendered = render_with_server("404 Not Found", "x".into(), call);
    assert_eq!(rendered.unwrap_err(), "httpGet: the answer is 404 Not Found");
}

#[test]
fn the_original_goes_on_after_a_failed_http_get() {
    let call = r#"jsonParse (httpGet URL) "n""#;
    let page = |status: &str| render_with(HttpGet::Original, status, r#"{"n":1}"#.into(), call);
    assert_eq!(page("200 OK").as_deref(), Ok("1"));
    assert_eq!(page("503 Service Unavailable").as_deref(), Ok("1"));
    // Nothing listens on a port that was just given back.
    let url =
        format!("http://{}/", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let template = format!(r#"x{{{{jsonParse (httpGet "{url}") "n"}}}}"#);
    let render = |how| Template::parse(&template, how).unwrap().render(&container());
    assert_eq!(render(HttpGet::Original).as_deref(), Ok("x"));
    assert!(render(HttpGet::Checked).is_err());
}
