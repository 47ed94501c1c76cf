//! The shape of the code: the core does no I/O, and files say what they are
//! for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn the_core_knows_neither_docker_nor_consul_nor_wasm() {
    let core = ["model", "select.rs", "pipeline", "reconcile/state"];
    let mut checked = 0;
    for path in sources(&src()) {
        let name = path.strip_prefix(src()).expect("a path below src").display().to_string();
        if !core.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        checked += 1;
        let text = fs::read_to_string(&path).expect("a source");
        for foreign in ["bollard", "reqwest", "wasmtime", "tokio::net", "std::net::Tcp", "std::fs"]
        {
            assert!(!text.contains(foreign), "{name} mentions {foreign}");
        }
    }
    assert!(checked >= 9, "{checked}");
}

#[test]
fn wasm_is_known_in_the_plugin_host_only() {
    for path in sources(&src()) {
        let name = path.strip_prefix(src()).expect("a path below src").display().to_string();
        let text = fs::read_to_string(&path).expect("a source");
        let uses = text.contains("wasmtime::") || text.contains("use wasmtime");
        assert!(name.starts_with("stages/plugin") || !uses, "{name} uses wasmtime");
    }
}

/// Whatever asks what a registry can do asks the registry.
#[test]
fn what_a_registry_can_do_is_not_read_off_its_uri() {
    let mut checked = 0;
    for path in sources(&src()) {
        let name = path.strip_prefix(src()).expect("a path below src").display().to_string();
        let text = fs::read_to_string(&path).expect("a source");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        if name.starts_with("registry") || path.ends_with("tests.rs") {
            continue;
        }
        checked += 1;
        for guess in
            ["\"consulkv", "\"consul-tls", "\"consul-unix", "with(\"consul\"", "with(\"memory"]
        {
            assert!(!code.contains(guess), "{name} mentions {guess}");
        }
    }
    assert!(checked >= 100, "{checked}");
}

/// Each further way is another copy of the reading of hundreds of types; `json` and `tables` say more.
#[test]
fn json_and_toml_are_read_in_one_way() {
    let mut checked = 0;
    for path in sources(&src()) {
        let name = path.strip_prefix(src()).expect("a path below src").display().to_string();
        let text = fs::read_to_string(&path).expect("a source");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        // The modules that only tests have.
        if name.contains("tests") || name.contains("/sim") || name == "daemon/idle.rs" {
            continue;
        }
        checked += code.matches("serde_json::from_slice").count();
        for other in
            ["serde_json::from_str", "serde_json::from_value", "toml::from_str", "Table>()"]
        {
            assert!(!code.contains(other), "{name} has {other}");
        }
    }
    assert!(checked >= 40, "{checked}");
}

#[test]
fn every_module_says_what_it_is_for() {
    for path in sources(&src()) {
        let text = fs::read_to_string(&path).expect("a source");
        let tests = path.ends_with("tests.rs");
        assert!(tests || text.starts_with("//!"), "{} has no head", path.display());
    }
}

/// What features or a new version could bring in without a word: a second provider of
/// cryptography, and tables for host names in other scripts, which no registry has. The
/// version of `idna_adapter` decides on the latter; 1.0 refuses such a name.
#[test]
fn the_lock_file_holds_what_was_chosen() {
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock"));
    let lock = lock.expect("the lock file is there");
    let packages: Vec<&str> =
        lock.lines().filter_map(|line| line.strip_prefix("name = ")).collect();
    assert!(packages.contains(&"\"ring\"") && packages.contains(&"\"idna_adapter\""));
    for unwanted in ["\"aws-lc", "\"openssl\"", "\"openssl-sys\"", "\"icu_"] {
        let found = packages.iter().find(|package| package.starts_with(unwanted));
        assert_eq!(found, None, "`cargo tree -i` tells what it came with");
    }
}

/// A module by its path from the crate's root.
type Module = Vec<String>;

/// What a `use` names, one path each.
fn used(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim();
    if let Some((before, group)) =
        tree.split_once('{').and_then(|(before, rest)| Some((before, rest.strip_suffix('}')?)))
    {
        let before: Vec<String> = segments(before);
        let (mut depth, mut begin, mut all) = (0, 0, Vec::new());
        for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    let parts = used(&group[begin..at]).into_iter();
                    all.extend(parts.map(|part| [before.clone(), part].concat()));
                    begin = at + 1;
                }
                _ => {}
            }
        }
        return all;
    }
    vec![segments(tree.split(" as ").next().unwrap_or_default())]
}

fn segments(path: &str) -> Vec<String> {
    let parts = path.split("::").map(str::trim).filter(|part| !part.is_empty());
    parts.map(String::from).collect()
}

/// The text without comments, tests, and what only tests use.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let mut code = String::new();
    let mut tested = false;
    for line in lines {
        if line.trim() == "#[cfg(test)]" {
            tested = true;
        } else if std::mem::take(&mut tested) && line.trim_start().starts_with("use ") {
            tested = !line.contains(';');
        } else {
            code.push_str(line);
            code.push('\n');
        }
    }
    code
}

/// Which modules each module uses. What a module takes from the one that it is a part of is no
/// arrow back: the two are one thing to a reader. Tests may use what they like.
fn arrows() -> BTreeMap<Module, BTreeSet<Module>> {
    let named: BTreeMap<Module, PathBuf> = sources(&src())
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(src()).expect("a path below src").with_extension("");
            let name = name.iter().map(|part| part.to_string_lossy().into_owned());
            (name.collect::<Module>(), path)
        })
        .filter(|(name, _)| !["main", "lib"].contains(&name[0].as_str()))
        .filter(|(name, _)| !name.iter().any(|part| part == "tests" || part == "sim"))
        .collect();
    let mut arrows = BTreeMap::new();
    for (module, path) in &named {
        let text = code(&fs::read_to_string(path).expect("a source"));
        let uses = text.split(';').filter_map(|statement| {
            let at = statement.rfind("use ")?;
            let begins = statement[..at].chars().next_back().is_none_or(char::is_whitespace);
            begins.then(|| statement[at + 4..].to_string())
        });
        let mut all = BTreeSet::new();
        for path in uses.flat_map(|tree| used(&tree)) {
            let mut path = path.into_iter().peekable();
            let mut at: Module = match path.peek().map(String::as_str) {
                Some("crate") => drop_first(&mut path, Vec::new()),
                Some("self") => drop_first(&mut path, module.clone()),
                Some("super") => {
                    let mut at = module.clone();
                    while path.next_if(|part| part == "super").is_some() {
                        at.pop();
                    }
                    at
                }
                _ => module.clone(),
            };
            for part in path {
                at.push(part);
                if !named.contains_key(&at) {
                    at.pop();
                    break;
                }
            }
            if named.contains_key(&at) && !module.starts_with(&at) {
                all.insert(at);
            }
        }
        arrows.insert(module.clone(), all);
    }
    arrows
}

fn drop_first(path: &mut impl Iterator<Item = String>, at: Module) -> Module {
    path.next();
    at
}

/// What can be reached from a module.
fn reached(arrows: &BTreeMap<Module, BTreeSet<Module>>, from: &Module) -> BTreeSet<Module> {
    let (mut found, mut due) = (BTreeSet::new(), vec![from.clone()]);
    while let Some(next) = due.pop() {
        for other in arrows.get(&next).into_iter().flatten() {
            if found.insert(other.clone()) {
                due.push(other.clone());
            }
        }
    }
    found
}

#[test]
fn the_arrows_between_modules_are_read_right() {
    let paths =
        |tree| -> Vec<String> { used(tree).into_iter().map(|path| path.join("::")).collect() };
    assert_eq!(
        paths("crate::a::{b, c::{d as e, f}}"),
        ["crate::a::b", "crate::a::c::d", "crate::a::c::f"]
    );
    let arrows = arrows();
    let module = |name: &str| segments(name);
    assert!(
        arrows[&module("reconcile::state::plan")].contains(&module("reconcile::state::catalog"))
    );
    assert!(reached(&arrows, &module("cli::plan")).contains(&module("reconcile::state::guard")));
    assert!(arrows.len() > 100, "{}", arrows.len());
}

#[test]
fn no_module_uses_what_uses_it() {
    let arrows = arrows();
    let circles: Vec<String> = arrows
        .keys()
        .filter(|module| reached(&arrows, module).contains(*module))
        .map(|module| module.join("::"))
        .collect();
    assert_eq!(circles, [""; 0]);
}
