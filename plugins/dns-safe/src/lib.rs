//! Names that DNS can serve: a name that Consul's DNS could not answer for is
//! mended, or its service vetoed.
//!
//! ```toml
//! settings = { action = "fix", tags = "keep" }
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharfinger_plugin::{Description, Facts, Policy, Service, Veto, description, dns, tags};

/// The stage.
pub struct DnsSafe;

wharfinger_plugin::export!(DnsSafe);

/// What the operator can set.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// What becomes of a name that DNS cannot serve.
    action: Action,
    /// Dots may stand in a name. Consul's DNS does not serve such a name, but
    /// others that read the catalog may.
    dots: bool,
    /// What becomes of a tag that DNS cannot serve, as in
    /// `<tag>.<name>.service.consul`.
    tags: Tags,
}

#[derive(Debug, Default, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Action {
    /// It becomes lower case, with hyphens in the place of what is illegal; if
    /// it is too long it is cut, and ends with a digest of the whole.
    #[default]
    Fix,
    /// The service is not registered, and the reason says why.
    Veto,
}

#[derive(Debug, Default, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Tags {
    /// It stays: most tags are not for DNS.
    #[default]
    Keep,
    /// It is mended like a name, or dropped if nothing is left of it.
    Fix,
    /// It is dropped.
    Drop,
    /// The service is not registered.
    Veto,
}

impl Policy for DnsSafe {
    type Settings = Settings;

    fn describe() -> Description {
        description!("Makes names that DNS can serve, or vetoes the others.")
    }

    fn apply(settings: &Settings, _facts: Facts, service: &mut Service) -> Result<(), Veto> {
        let fixed = name(&service.name, settings.dots);
        match settings.action {
            _ if fixed == service.name => {}
            Action::Fix if fixed.is_empty() => {
                return Err(Veto::new(format!(
                    "name {:?}: it has neither a letter nor a digit that DNS knows",
                    service.name
                )));
            }
            Action::Fix => service.name = fixed,
            Action::Veto => return Err(Veto::new(format!("name {}", fault(&service.name)))),
        }
        let safe = |tag: &str| dns::label(tag) == tag;
        match settings.tags {
            Tags::Keep => {}
            Tags::Fix => tags::rewrite(&mut service.tags, |tag| {
                Some(dns::label(&tag)).filter(|label| !label.is_empty())
            }),
            Tags::Drop => tags::remove(&mut service.tags, |tag| !safe(tag)),
            Tags::Veto => {
                if let Some(tag) = service.tags.iter().find(|tag| !safe(tag)) {
                    return Err(Veto::new(format!("tag {}", fault(tag))));
                }
            }
        }
        Ok(())
    }
}

/// The name as DNS can serve it.
fn name(name: &str, dots: bool) -> String {
    if !dots {
        return dns::label(name);
    }
    let labels = name.split('.').map(dns::label).filter(|label| !label.is_empty());
    let joined = labels.collect::<Vec<_>>().join(".");
    // No name of several labels is so long; one label says it all.
    if joined.len() > dns::MAX_NAME { dns::label(&joined) } else { joined }
}

/// Why DNS cannot serve it.
fn fault(text: &str) -> String {
    let illegal = |c: &char| !c.is_ascii_alphanumeric() && *c != '-';
    if text.len() > dns::MAX_LABEL {
        format!("{text:?}: {} characters, and DNS has {} at most", text.len(), dns::MAX_LABEL)
    } else if let Some(c) = text.chars().find(illegal) {
        format!("{text:?}: {c:?} cannot stand in a DNS name")
    } else if text.starts_with('-') || text.ends_with('-') {
        format!("{text:?}: it begins or ends with a hyphen")
    } else if text.contains("--") {
        format!("{text:?}: it has two hyphens in a row, as encoded names have")
    } else {
        format!("{text:?}: it has capital letters, which DNS does not tell from small ones")
    }
}

#[cfg(test)]
mod tests {
    use wharfinger_plugin::testing::{container, faults, laws, run, service, tagged};

    use super::*;

    fn check(settings: &str, name: &str, expected: Result<&str, &str>) {
        let answer = run::<DnsSafe>(settings, &container("c"), vec![service(name, 80)]);
        let found = match answer.reasons()[..] {
            [reason] => Err(reason.to_string()),
            _ => Ok(answer.one().name.clone()),
        };
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{settings} {name:?}");
    }

    #[test]
    fn names_are_mended() {
        check("{}", "web", Ok("web"));
        check("{}", "Shop_Web.v2", Ok("shop-web-v2"));
        check("{}", "-größe-", Ok("gr-e"));
        check("{}", "___", Err("name \"___\": it has neither a letter nor a digit that DNS knows"));
        check(r#"{"dots": true}"#, "Com.Example..Web_App", Ok("com.example.web-app"));
        check(
            r#"{"dots": true}"#,
            "...",
            Err("name \"...\": it has neither a letter nor a digit that DNS knows"),
        );
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let long = |end: &str| {
            let answer =
                run::<DnsSafe>("{}", &container("c"), vec![service(&("a".repeat(80) + end), 80)]);
            answer.one().name.clone()
        };
        assert_eq!(long("x").len(), 63);
        assert_ne!(long("x"), long("y"));
        let many = ["abcdefghij"; 30].join(".");
        let answer = run::<DnsSafe>(r#"{"dots": true}"#, &container("c"), vec![service(&many, 80)]);
        assert!(dns::is_label(&answer.one().name));
    }

    #[test]
    fn or_they_are_vetoed_with_the_reason() {
        let veto = r#"{"action": "veto"}"#;
        check(veto, "shop-web", Ok("shop-web"));
        check(veto, "shop_web", Err("name \"shop_web\": '_' cannot stand in a DNS name"));
        check(veto, "a.b", Err("name \"a.b\": '.' cannot stand in a DNS name"));
        check(veto, "web-", Err("name \"web-\": it begins or ends with a hyphen"));
        check(
            veto,
            "Web",
            Err("name \"Web\": it has capital letters, which DNS does not tell from small ones"),
        );
        check(
            veto,
            "a--b",
            Err("name \"a--b\": it has two hyphens in a row, as encoded names have"),
        );
        check(
            veto,
            &"a".repeat(64),
            Err(&format!("name {:?}: 64 characters, and DNS has 63 at most", "a".repeat(64))),
        );
        check(r#"{"action": "veto", "dots": true}"#, "com.example", Ok("com.example"));
    }

    #[test]
    fn tags_are_treated_as_it_is_said() {
        let run = |settings| {
            let proposed = vec![tagged("web", 80, &["v1", "X_Y", "urlprefix-/", "/"])];
            run::<DnsSafe>(settings, &container("c"), proposed)
        };
        assert_eq!(run("{}").tags(), [["v1", "X_Y", "urlprefix-/", "/"]]);
        assert_eq!(run(r#"{"tags": "fix"}"#).tags(), [["v1", "x-y", "urlprefix"]]);
        assert_eq!(run(r#"{"tags": "drop"}"#).tags(), [["v1"]]);
        assert_eq!(
            run(r#"{"tags": "veto"}"#).reasons(),
            ["tag \"X_Y\": '_' cannot stand in a DNS name"]
        );
    }

    #[test]
    fn settings_are_validated() {
        assert!(faults::<DnsSafe>(r#"{"action": "mend"}"#)[0].contains("mend"));
        assert!(faults::<DnsSafe>(r#"{"dot": true}"#)[0].contains("dot"));
    }

    #[test]
    fn it_keeps_the_laws() {
        for settings in [
            "{}",
            r#"{"dots": true, "tags": "fix"}"#,
            r#"{"action": "veto", "tags": "drop"}"#,
            r#"{"tags": "veto"}"#,
        ] {
            assert!(laws::<DnsSafe>(settings) > 100, "{settings}");
        }
    }
}
