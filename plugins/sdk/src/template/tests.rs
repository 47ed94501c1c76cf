use super::*;
use crate::testing::{container, host, service};

fn render(template: &str) -> Result<String, String> {
    let container = container("web-1")
        .image("registry.example.com:5000/shop/front/web:1.2")
        .label("team", " Shop ")
        .label("empty", " ")
        .label("com.docker.compose.project", "Big_Shop")
        .label("SERVICE_NAME", "front")
        .env("SERVICE_80_NAME", "front-http")
        .build();
    let mut service = service("web", 8080);
    service.origin = Some(crate::testing::origin(80));
    service.set_meta("version", "7");
    let host = host("node1").build();
    let facts = Facts { container: &container, host: &host, services: &[] };
    let template = Template::parse(template)?;
    template.render(facts, &service).map_err(|Missing(fact)| format!("missing {fact}"))
}

fn check(template: &str, expected: &str) {
    assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
}

fn refused(template: &str, words: &str) {
    let fault = render(template).expect_err(template);
    assert!(fault.contains(words), "{template}: {fault}");
}

#[test]
fn facts_are_put_in_their_places() {
    check("", "");
    check("{{{name}}}", "{web}");
    check("{label:team}-{image.name}", "Shop-web");
    check(
        "{image.registry} {image.path} {image.folder} {image.tag}",
        "registry.example.com:5000 shop/front/web shop/front 1.2",
    );
    check("{host}:{container}:{container-port}", "node1:web-1:80");
    check("{port} {protocol} {meta:version}", "8080 tcp 7");
    check("{service-name} {port-name}", "front front-http");
}

#[test]
fn an_empty_name_of_a_port_is_the_images() {
    let container = container("a").image("shop/web:1").env("SERVICE_80_NAME", "").build();
    let host = host("node1").build();
    let facts = Facts { container: &container, host: &host, services: &[] };
    let template = Template::parse("{port-name}").expect("a template");
    assert_eq!(template.render(facts, &service("a", 80)).as_deref(), Ok("web"));
    assert_eq!(template.render(facts, &service("a", 81)), Err(Missing("port-name".into())));
}

#[test]
fn facts_pass_through_functions() {
    check("{label:team|lower}", "shop");
    check("{compose.project|dns}", "big-shop");
    check("{label:none|default(x)|upper}", "X");
    check("{label:team|default(x)}", "Shop");
    check("{image.path|replace(/,-)}", "shop-front-web");
    check("{image.path|before(/)} {image.path|after(/)} {name|after(/)}", "shop front/web web");
    check("{image.registry|before(:)|reverse}", "com.example.registry");
}

#[test]
fn a_missing_fact_is_named() {
    assert_eq!(render("a-{label:none}"), Err("missing label:none".into()));
    assert_eq!(render("{label:empty}"), Err("missing label:empty".into()));
    assert_eq!(render("{swarm.service|dns}"), Err("missing swarm.service".into()));
}

#[test]
fn what_is_wrong_is_said() {
    refused("{name", "a { without its }");
    refused("name}", "a } without its {");
    refused("{nam}", "there is no fact \"nam\"; there are name, ");
    refused("{label:}", "a key is needed");
    refused("{name|loud}", "there is no function loud; there are lower, ");
    refused("{name|replace(,x)}", "there is no function replace(,x)");
    refused("{name|default(x}", "a ( without its )");
}

#[test]
fn a_template_is_written_as_it_was_read() {
    for text in
        ["", "a-{name}", "{{}}{label:a.b|default(x)|replace(_,-)|dns}", "{image.name|before(:)}"]
    {
        assert_eq!(Template::parse(text).map(|template| template.to_string()).as_deref(), Ok(text));
    }
}

#[test]
fn a_template_has_two_sides_of_a_fact() {
    let template = Template::parse("a-{name|lower}-{host}").expect("a template");
    let [before, fact, after] = template.around(&Fact::Name).expect("the name is in it");
    assert_eq!(before, Template::parse("a-").expect("a template"));
    assert_eq!(fact, Template::parse("{name|lower}").expect("a template"));
    assert_eq!(after, Template::parse("-{host}").expect("a template"));
    assert_eq!(template.around(&Fact::Port), None);
}
