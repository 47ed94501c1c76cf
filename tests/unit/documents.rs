//! The documents hold together: what they link to is there, and the page for operators has each message that
//! asks for one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::telemetry::event;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All pages that people read, below the folders that are this project's own.
fn pages() -> Vec<PathBuf> {
    let mut folders = vec![root().join("docs"), root().join("plugins"), root().join("packaging")];
    let mut pages: Vec<_> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(|name| root().join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let others = ["target", "dist", "node_modules"].iter().any(|other| name == *other);
            match path.is_dir() {
                true if others || name.to_string_lossy().starts_with('.') => {}
                true => folders.push(path),
                false if path.extension().is_some_and(|ending| ending == "md") => pages.push(path),
                false => {}
            }
        }
    }
    pages
}

/// The text without what stands there to the letter: blocks and words of code.
fn prose(text: &str) -> String {
    let mut inside = false;
    let mut kept = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            let plain = line.split('`').step_by(2);
            kept.extend(plain.flat_map(|part| [part, "`"]));
            kept.push('\n');
        }
    }
    kept
}

/// Where a text's links and pictures lead.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let ends = [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"'), ("href=\"", '"')];
    let each = ends.into_iter().flat_map(|(begin, end)| {
        prose
            .split(begin)
            .skip(1)
            .filter_map(move |rest| rest.split(end).next())
            .collect::<Vec<_>>()
    });
    let local = each.map(String::from).filter(|link| !link.contains("://"));
    local.collect()
}

/// The anchors of a page's headings, as they are made of their words.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut inside = false;
    let heading = |line: &str| {
        inside ^= line.trim_start().starts_with("```");
        let words = line.trim_start_matches('#');
        let words = words.strip_prefix(' ').filter(|_| !inside && line.starts_with('#'))?;
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        Some(kept.collect::<String>().trim().to_lowercase().replace(' ', "-"))
    };
    text.lines().filter_map(heading).collect()
}

/// The link's fault, if it has one.
fn fault(page: &Path, text: &str, link: &str) -> Option<String> {
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, a)| (file, Some(a)));
    let target = page.parent().expect("a folder").join(file);
    let there = match file {
        "" => text.to_string(),
        _ if !target.exists() => return Some("there is no such file".into()),
        _ => fs::read_to_string(&target).unwrap_or_default(),
    };
    let missing = anchor.is_some_and(|anchor| !anchors(&there).contains(anchor));
    missing.then(|| "there is no such heading".into())
}

#[test]
fn every_link_leads_somewhere() {
    let mut count = 0;
    let mut faults = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for link in links(&text) {
            count += 1;
            if let Some(fault) = fault(&page, &text, &link) {
                faults.push(format!("{}: {link}: {fault}", page.display()));
            }
        }
    }
    assert!(count > 60, "{count} links");
    assert_eq!(faults, [""; 0], "{faults:#?}");
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let text = "# Some `code`, and more\n[a](#some-code-and-more) [b](#none) [c](none.md) [d](README.md#none)\n\
                `[e](none)`\n```\n# none\n[f](none)\n```\n<img src=\"none.png\"> [g](https://none.example)\n";
    let found: Vec<_> = links(text)
        .into_iter()
        .filter(|link| fault(&root().join("page.md"), text, link).is_some())
        .collect();
    assert_eq!(found, ["#none", "none.md", "README.md#none", "none.png"]);
}

/// The events that are told as warnings and errors, by the source.
fn warnings() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            for level in ["warn", "error"] {
                for rest in words.split(&format!("{level}!(")).skip(1) {
                    let Some(name) = rest.trim_start().strip_prefix("event = event::") else {
                        continue;
                    };
                    let name: String =
                        name.chars().take_while(|c| *c == '_' || c.is_ascii_uppercase()).collect();
                    found.entry(name).or_default().insert(level);
                }
            }
        }
    }
    found
}

#[test]
fn operators_are_told_what_to_do_about_each_warning() {
    let page = fs::read_to_string(root().join("docs/operations.md")).expect("the page");
    let section = page.split("\n## Messages\n").nth(1).expect("the section");
    let section = section.split("\n## ").next().expect("its text");
    let rows: BTreeSet<_> =
        section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let warnings = warnings();
    assert!(warnings.len() > 40, "{warnings:?}");
    for constant in warnings.keys() {
        let kind = event::ALL.iter().find(|kind| kind.constant == constant).expect("an event");
        assert!(rows.contains(kind.name), "{} is not in docs/operations.md, Messages", kind.name);
    }
    for row in rows {
        assert!(event::ALL.iter().any(|kind| kind.name == row), "there is no event {row}");
    }
}

#[test]
fn operators_are_told_what_to_do_about_each_alert() {
    let page = fs::read_to_string(root().join("docs/operations.md")).expect("the page");
    let rules = root().join("packaging/prometheus/alerts.yml");
    let rules = fs::read_to_string(rules).expect("the rules");
    let alerts: Vec<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 5, "{alerts:?}");
    for alert in alerts {
        assert!(page.contains(&format!("\n| `{alert}` | ")), "{alert}");
    }
}

#[test]
fn the_first_page_is_short_and_every_page_is_found_from_another_one() {
    let page = fs::read_to_string(root().join("README.md")).expect("the page");
    let lines = page.lines().count();
    assert!(lines <= 110, "README.md has {lines} lines");
    let pages = pages();
    let mut linked = BTreeSet::new();
    for page in &pages {
        for link in links(&fs::read_to_string(page).expect("a page")) {
            let file = link.split('#').next().unwrap_or_default();
            linked.extend(page.with_file_name(file).canonicalize().ok().filter(|to| to != page));
        }
    }
    for page in pages.iter().filter(|page| page.starts_with(root().join("docs"))) {
        let found = page.canonicalize().is_ok_and(|page| linked.contains(&page));
        assert!(found, "nothing leads to {}", page.display());
    }
}

#[test]
fn each_of_registrators_flags_is_said_what_becomes_of_it() {
    let page = fs::read_to_string(root().join("docs/migrating.md")).expect("the page");
    let section = page.split("\n## The flags\n").nth(1).expect("the section");
    let section = section.split("\n## ").next().expect("its text");
    for flag in [
        "ip",
        "internal",
        "explicit",
        "useIpFromLabel",
        "tags",
        "deregister",
        "resync",
        "cleanup",
        "ttl",
        "ttl-refresh",
        "retry-attempts",
        "retry-interval",
    ] {
        assert!(section.contains(&format!("`-{flag}`")), "-{flag}");
    }
}

/// What the library of stages itself shows is compiled and run by its own tests.
#[test]
fn the_first_pages_plugin_is_the_one_that_is_tested() {
    let page = fs::read_to_string(root().join("README.md")).expect("the page");
    let shown = page.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next());
    let tested = fs::read_to_string(root().join("plugins/sdk/src/lib.rs")).expect("the library");
    let tested: Vec<_> = tested.lines().filter_map(|line| line.strip_prefix("//! ")).collect();
    let tested: Vec<_> = tested.iter().map(|line| line.trim()).collect();
    let shown: Vec<_> = shown.expect("a block").lines().map(str::trim).collect();
    assert!(tested.windows(shown.len()).any(|lines| lines == shown), "{shown:#?}");
}
