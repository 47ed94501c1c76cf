use wharfinger_plugin::testing::{
    self, ContainerBuilder, container, faults, laws, run, service, services, tagged,
};

use super::*;

/// A container with what each of the five conventions needs.
fn web() -> ContainerBuilder {
    container("shop-web-1")
        .image("registry.example.com/shop/front/web:1.2")
        .label("com.docker.compose.project", "shop")
        .label("com.docker.compose.service", "web")
        .label("domain", "team.example.com")
        .label("env", "staging")
        .label("team", "shop")
        .publish(8080, 80)
}

fn names(settings: &str, container: &ContainerBuilder) -> Vec<String> {
    let answer = run::<Naming>(settings, container, services(container));
    assert_eq!(answer.vetoes, []);
    answer.services.into_iter().map(|service| service.name).collect()
}

fn check(templates: &str, expected: &str) {
    assert_eq!(names(&format!(r#"{{"names": {templates}}}"#), &web()), [expected]);
}

#[test]
fn conventions_are_settings() {
    check(r#"["{label:domain|reverse}.{image.name}"]"#, "com.example.team.web");
    check(r#"["{label:team}-{image.name}-{label:env}"]"#, "shop-web-staging");
    check(r#"["{compose.project}-{compose.service}"]"#, "shop-web");
    check(
        r#"["{image.registry|replace(.,-)}-{image.path|replace(/,-)}"]"#,
        "registry-example-com-shop-front-web",
    );
    check(r#"["{port-name}", "{service-name}", "{image.name}"]"#, "web");
}

#[test]
fn the_first_template_counts_that_has_all_its_facts() {
    check(r#"["{swarm.service}", "{label:team}-{name}", "{name}"]"#, "shop-web");
    check(r#"["{swarm.service}"]"#, "web");
    let settings = r#"{"names": ["{swarm.service}", "{label:x}-{name}"], "otherwise": "veto"}"#;
    let answer = run::<Naming>(settings, &web(), services(&web()));
    assert_eq!(answer.reasons(), ["no name can be made without swarm.service, or without label:x"]);
}

#[test]
fn a_name_that_has_its_surroundings_keeps_them() {
    let settings = r#"{"names": ["{label:team}-{name|dns}-{label:env}"]}"#;
    let proposed = ["web", "Web_App", "shop-web-staging", "shop-web", "shop--staging"];
    let proposed = proposed.iter().map(|name| service(name, 80)).collect();
    assert_eq!(
        run::<Naming>(settings, &web(), proposed).names(),
        [
            "shop-web-staging",
            "shop-web-app-staging",
            "shop-web-staging",
            "shop-shop-web-staging",
            "shop-shop-staging-staging"
        ]
    );
}

#[test]
fn several_services_of_a_container_are_told_apart() {
    let two = web().publish(9090, 90);
    let app = r#"{"names": ["{label:team}-{image.name}"]}"#;
    assert_eq!(names(app, &two), ["shop-web-80", "shop-web-90"]);
    let same = r#"{"names": ["{label:team}-{image.name}"], "several": "same"}"#;
    assert_eq!(names(same, &two), ["shop-web", "shop-web"]);
    let port = r#"{"names": ["{image.name}-at-{port}"]}"#;
    assert_eq!(names(port, &two), ["web-at-8080", "web-at-9090"]);
}

#[test]
fn what_the_container_says_can_win() {
    let named = web().label("SERVICE_80_NAME", "front");
    let settings = r#"{"names": ["{label:team}-{image.name}"], "keep-explicit": true}"#;
    let answer = run::<Naming>(settings, &named, vec![service("front", 80), service("web", 90)]);
    assert_eq!(answer.names(), ["front", "shop-web-90"]);
}

#[test]
fn ids_and_tags_are_made_if_they_are_wanted() {
    let settings = r#"{
        "names": ["{label:team}-{name}"],
        "ids": ["{label:none}", "{host}-{container}-{container-port}"],
        "tags": ["env:{label:env}", "none:{label:none}", "{name}"]
    }"#;
    let answer = run::<Naming>(settings, &web(), vec![tagged("web", 80, &["a"])]);
    assert_eq!(answer.names(), ["shop-web"]);
    assert_eq!(answer.ids(), ["host-shop-web-1-80"]);
    assert_eq!(answer.tags(), [["a", "env:staging", "shop-web"]]);
}

#[test]
fn settings_are_validated() {
    let refused = |settings: &str, words: &str| {
        let faults = faults::<Naming>(settings).join("\n");
        assert!(faults.contains(words), "{settings}: {faults}");
    };
    refused("{}", "names");
    refused(r#"{"names": []}"#, "there is no template");
    refused(r#"{"names": ["{nmae}"]}"#, "there is no fact \"nmae\"");
    for missing in ["{label:team", "{label:team-{image.name}", "{label:team}-{image.name", "team}"]
    {
        refused(&format!(r#"{{"names": ["{missing}"]}}"#), "without its");
    }
    refused(r#"{"names": ["{name}-{name}"]}"#, "number 1: {name} can stand in it once only");
    refused(r#"{"names": ["a", "{name|after(-)}"]}"#, "number 2: after(-) of {name}");
    refused(r#"{"names": ["{name|replace(a,aa)}"]}"#, "replace(a,aa) of {name}");
    refused(r#"{"names": ["a"], "otherwise": "drop"}"#, "drop");
    assert_eq!(faults::<Naming>(r#"{"names": ["{name|lower}"]}"#), [""; 0]);
}

#[test]
fn it_keeps_the_laws() {
    for settings in [
        r#"{"names": ["{label:domain|reverse}.{label:team}.{image.name}"]}"#,
        r#"{"names": ["{label:team|dns}-{name|dns|default(x)}-{label:env}", "{name|lower}"]}"#,
        r#"{"names": ["{compose.project}-{compose.service}"], "otherwise": "veto"}"#,
        r#"{"names": ["{port-name}", "{service-name}", "{image.name}"], "tags": ["n:{name}"]}"#,
        r#"{"names": ["{label:team}-{name|replace(.,-)|before(_)}"], "ids": ["{host}-{port}"]}"#,
    ] {
        assert!(laws::<Naming>(settings) > 20, "{settings}");
    }
    assert_eq!(testing::samples().len(), 400);
}
