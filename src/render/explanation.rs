//! Why a container's services are what they are.

use super::{Text, Tone, Tree, fields_of, forecast::head, outcome};
use crate::{
    model::{
        container::{Container, Health},
        registered::Registered,
    },
    pipeline::{Blame, Outcome},
    reconcile::{Absence, AbsenceKind, Brief, Explained, Explanation, Standing},
    secrets,
};

/// An explanation as a tree.
pub fn explanation(explanation: &Explanation) -> Tree {
    let Some(container) = &explanation.container else {
        let mut tree = Tree::new(Text::of(Tone::Plain, "no container here offers it"));
        for absence in &explanation.absences {
            tree.push(why(absence));
        }
        tree.push(unwanted(explanation));
        return tree;
    };
    let brief = Brief {
        id: container.id.to_string(),
        name: container.name.clone(),
        image: container.image.clone(),
    };
    let mut tree = Tree::new(head(&brief));
    for absence in &explanation.absences {
        tree.push(why(absence));
    }
    tree.push(facts(container, explanation.hidden));
    if let Some(made) = &explanation.outcome {
        for part in outcome(made, &explanation.stages) {
            tree.push(part);
        }
    }
    let blame = explanation.outcome.as_ref().map(Outcome::blame).unwrap_or_default();
    for one in &explanation.services {
        tree.push(service(one, blame.get(&one.service.id)));
    }
    if !explanation.unwanted.is_empty() {
        tree.push(unwanted(explanation));
    }
    if !explanation.warnings.is_empty() {
        let warnings = explanation.warnings.iter().map(|words| Tree::new(words.as_str()));
        tree.push(Tree::new(Text::of(Tone::Warning, "warnings")).with(warnings));
    }
    tree
}

fn why(absence: &Absence) -> Text {
    let what = match &absence.service {
        Some(service) => format!(" {service}: "),
        None => ": ".into(),
    };
    Text::of(Tone::Removed, format!("{}", absence.kind))
        .and(Tone::Plain, format!("{what}{}", absence.words))
}

fn facts(container: &Container, hidden: usize) -> Tree {
    let mut rows: Vec<(&str, String)> = Vec::new();
    let health = match container.health {
        Health::None => String::new(),
        other => format!(", {}", format!("{other:?}").to_lowercase()),
    };
    rows.push(("state", format!("{}{health}", format!("{:?}", container.state).to_lowercase())));
    let peer = container.network_peer.as_ref();
    let shared = peer.map(|peer| format!(", shared with {}", peer.name)).unwrap_or_default();
    rows.push(("network", format!("{}{shared}", container.network_mode)));
    for network in &container.networks {
        let address = network.address().unwrap_or("no address");
        rows.push(("", format!("{address} in {}", network.name)));
    }
    for port in &container.published_ports {
        let protocol = format!("{:?}", port.protocol).to_lowercase();
        let (inside, host, at) = (port.container_port, &port.host_ip, port.host_port);
        rows.push(("published", format!("{inside}/{protocol} at {host}, port {at}")));
    }
    let published =
        |port: u16| container.published_ports.iter().any(|one| one.container_port == port);
    for port in container.exposed_ports.iter().filter(|port| !published(port.port)) {
        let protocol = format!("{:?}", port.protocol).to_lowercase();
        rows.push(("exposed", format!("{}/{protocol}", port.port)));
    }
    for (key, value) in &container.env {
        rows.push(("variable", format!("{key}={}", secrets::value(key, value))));
    }
    match hidden {
        0 => {}
        1 => rows.push(("variable", "1 other is not shown".into())),
        n => rows.push(("variable", format!("{n} others are not shown"))),
    }
    for (key, value) in &container.labels {
        rows.push(("label", format!("{key}={}", secrets::value(key, value))));
    }
    let rows = rows.into_iter().map(|(key, value)| Tree::new(format!("{key:9}  {value}")));
    Tree::new(Text::of(Tone::Strong, "facts")).with(rows)
}

fn service(one: &Explained, blame: Option<&Blame>) -> Tree {
    let (tone, words) = match &one.standing {
        Standing::Registered => (Tone::Added, "is registered as it should be".to_string()),
        Standing::Missing => (Tone::Removed, "is not registered".into()),
        Standing::Differs(fields) => {
            (Tone::Changed, format!("is registered, but differs in {}", fields.join(", ")))
        }
        Standing::Taken(by) => {
            (Tone::Removed, format!("is not registered: the ID is that of {by}"))
        }
    };
    let by = |part: &str| blame.and_then(|blame| blame.of(part)).map(ToString::to_string);
    let head = Text::of(Tone::Plain, "service ")
        .and(Tone::Strong, &one.service.id)
        .and(tone, format!("  {words}"));
    let mut tree = Tree::new(head).with(fields_of(&one.service, by));
    let mut body = one.body.clone();
    secrets::json(&mut body);
    tree.push(Text::of(Tone::Faint, "body").and(Tone::Plain, "  ").and_json(&body));
    if let Some(now) = one.registered.as_ref().filter(|_| one.standing != Standing::Registered) {
        tree.push(in_consul(now));
    }
    tree
}

/// The services in Consul beside those that the pipeline makes. Of a container that could not be
/// judged, or of which the change is held, they stay.
fn unwanted(explanation: &Explanation) -> Tree {
    let keeps = |absence: &Absence| matches!(absence.kind, AbsenceKind::Failed | AbsenceKind::Held);
    let words = match explanation.absences.iter().any(keeps) {
        true => "in Consul, and kept",
        false => "in Consul and not wanted",
    };
    Tree::new(Text::of(Tone::Changed, words)).with(explanation.unwanted.iter().map(in_consul))
}

fn in_consul(now: &Registered) -> Tree {
    let text = |key: &str, value: &str| Tree::new(format!("{key:7}  {value}"));
    let mut tree = Tree::new(Text::of(Tone::Plain, "in Consul: ").and(Tone::Strong, &now.id));
    tree.push(text("name", &now.name));
    let address = if now.address.is_empty() { "the node's address" } else { &now.address };
    tree.push(text("address", &format!("{address}, port {}", now.port)));
    if !now.tags.is_empty() {
        tree.push(text("tags", &format!("[{}]", now.tags.join(", "))));
    }
    for (key, value) in &now.meta {
        tree.push(text("meta", &format!("{key}={}", secrets::value(key, value))));
    }
    tree
}
