//! Guarantee: a plugin can use packages of others. Those of npm, ES modules and CommonJS, in JavaScript and
//! TypeScript, and those of pure Python; errors go on naming the author's lines, a build is the same
//! wherever it lies, and what cannot be had is refused by its name. What plugins/README.md says of the names that
//! an engine has, and has not, is so.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::common::author::{Said, arg, inspected, wharfinger, wharfinger_reading};
use serde_json::Value;

/// A project of the example, in a folder that goes with it.
struct Project {
    /// Kept for its end.
    _folder: tempfile::TempDir,
    root: PathBuf,
}

impl Project {
    fn new(language: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("with-packages");
        let new = ["plugin", "new", "with-packages", "--lang", language];
        wharfinger(folder.path(), &new).good();
        Self { _folder: folder, root }
    }

    /// Puts lines before the one that is named.
    fn write(&self, file: &str, changes: &[(&str, &str)]) {
        let path = self.root.join(file);
        let mut text = fs::read_to_string(&path).expect("the source");
        for (before, lines) in changes {
            assert!(text.contains(before), "{before} is not in {text}");
            text = text.replacen(before, &format!("{lines}{before}"), 1);
        }
        fs::write(&path, text).expect("the source");
    }

    fn build(&self) -> Said {
        wharfinger(&self.root, &["plugin", "build", "--json"])
    }

    /// What becomes of a container with these labels.
    fn run(&self, labels: &[(&str, &str)]) -> Value {
        let file = self.root.join("dist/with_packages.wasm");
        let args = ["plugin", "run", arg(&file), "--container", "-", "--timeout", "20s", "--json"];
        wharfinger_reading(&self.root, &args, &inspected(labels)).json()
    }

    /// The error of such a container.
    fn error(&self, labels: &[(&str, &str)]) -> String {
        let said = self.run(labels);
        let error = said["error"]["message"].as_str();
        error.unwrap_or_else(|| panic!("{labels:?}: {said:#}")).to_string()
    }

    /// The line of these words in a file, counted from 1.
    fn line(&self, file: &str, words: &str) -> usize {
        let text = fs::read_to_string(self.root.join(file)).expect("the source");
        text.lines().position(|line| line.contains(words)).expect("the words are there") + 1
    }

    /// The same source in another folder gives the same component; `without` are what builds have left.
    fn same_elsewhere(&self, digest: &Value, without: &[&str]) {
        let place = tempfile::tempdir().expect("a folder");
        let root = place.path().join("another place");
        let copied = Command::new("cp").arg("-r").arg(&self.root).arg(&root).status();
        assert!(copied.expect("cp").success());
        for left in without {
            fs::remove_dir_all(root.join(left)).expect("it was left");
        }
        let again = wharfinger(&root, &["plugin", "build", "--json"]).good().json();
        assert_eq!(&again["digest"], digest);
    }
}

/// The names of one engine in the table of plugins/README.md: there, refused, not there.
fn table(engine: &str) -> [Vec<String>; 3] {
    let text = fs::read_to_string(crate::common::root().join("plugins/README.md")).expect("it");
    let row = text.lines().find(|line| line.starts_with(&format!("| {engine} |")));
    let cells: Vec<_> = row.expect("the engine's row").split('|').skip(2).take(3).collect();
    let names = |cell: &&str| -> Vec<_> {
        cell.split('`').skip(1).step_by(2).map(str::to_string).collect()
    };
    let found: Vec<Vec<String>> = cells.iter().map(names).collect();
    assert!(found.iter().all(|names| names.len() > 5), "{found:?}");
    found.try_into().expect("three cells")
}

/// What the plugin of a test says of the names in the table.
fn as_in_the_table(project: &Project, [there, refused, lacking]: &[Vec<String>; 3]) {
    let said = project.run(&[("bad", "names")]);
    let messages = said["messages"].as_array().expect("messages").iter();
    let mut messages = messages.filter_map(|one| one.as_str()?.strip_prefix("info: "));
    assert_eq!(messages.next(), Some(&*format!("there {}", there.join(" "))), "{said:#}");
    assert_eq!(messages.next(), Some(&*format!("lacking {}", lacking.join(" "))), "{said:#}");
    for name in refused {
        let message = messages.next().unwrap_or_else(|| panic!("{name}: {said:#}"));
        assert!(message.contains(": a stage has no "), "{name}: {message}");
    }
    assert_eq!(messages.next(), None, "{said:#}");
}

fn npm_install(root: &Path, packages: &[&str]) {
    let output = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"])
        .args(packages)
        .current_dir(root)
        .output()
        .expect("npm");
    assert!(output.status.success(), "{output:?}");
}

/// One of CommonJS, one of ES modules.
const NPM: [&str; 2] = ["slugify@1.6.9", "change-case@5.4.4"];
const IMPORTS: &str =
    "import slugify from \"slugify\";\nimport { kebabCase } from \"change-case\";\n";

fn with_packages_of_npm(language: &str, ending: &str, types: &str) -> Project {
    let project = Project::new(language);
    npm_install(&project.root, &NPM);
    let rule = format!("src/naming.{ending}");
    let names = table("QuickJS");
    let mistakes = format!(
        r#"  const bad = container.labels.find(({{ key }}) => key === "bad")?.value ?? "";
  if (bad === "own") throw new RangeError("so be it");
  if (bad === "package") slugify(7{types});
  const named = (name{any}){any} => name.split(".").reduce((at{any}, part{any}) => at?.[part], globalThis{types});
  if (bad === "names") {{
    console.log("there", ...{there:?}.filter((name) => named(name) !== undefined));
    console.log("lacking", ...{lacking:?}.filter((name) => named(name) === undefined));
    for (const name of {refused:?}) {{
      try {{
        named(name)();
      }} catch (error{any}) {{
        console.log(error.message);
      }}
    }}
  }}
  // @ts-ignore: there is none.
  if (bad === "lack") new URL("a");
  if (team) return services.map((service) => rename(kebabCase(slugify(team)) + settings.separator, service));
"#,
        any = if types.is_empty() { "" } else { ": any" },
        there = names[0],
        refused = names[1],
        lacking = names[2],
    );
    project.write(&rule, &[("import { keep", IMPORTS), ("  if (team) return", &mistakes)]);
    let built = project.build().good().json();

    let said = project.run(&[("team", "Shop Ünit")]);
    assert!(said.to_string().contains("\"shop-unit-"), "{said:#}");
    let at = |words| format!("({} (src/naming.{ending}:{}))", "decide", project.line(&rule, words));
    let error = project.error(&[("bad", "own")]);
    assert!(error.contains("RangeError: so be it") && error.contains(&at("so be it")), "{error}");
    // A package that is called wrongly: the error has the line of the call, the log that of the package.
    let said = project.run(&[("bad", "package")]);
    let error = said["error"]["message"].as_str().unwrap_or_default();
    assert!(
        error.contains("slugify: string argument") && error.contains(&at("slugify(7")),
        "{said:#}"
    );
    let messages = said["messages"].to_string();
    assert!(messages.contains("(node_modules/slugify/slugify.js:"), "{said:#}");

    as_in_the_table(&project, &names);
    let error = project.error(&[("bad", "lack")]);
    assert!(error.contains("ReferenceError: URL is not defined"), "{language}: {error}");
    project.same_elsewhere(&built["digest"], &["dist"]);
    project
}

#[test]
fn packages_of_npm_in_javascript() {
    let project = with_packages_of_npm("javascript", "js", "");
    // What only Node.js has is named with who asks for it: when it is used,
    project.write(
        "src/naming.js",
        &[(
            "  if (bad === \"own\")",
            "  if (bad === \"node\") require(\"node:fs\").readFileSync(\"x\");\n",
        )],
    );
    project.build().good();
    let error = project.error(&[("bad", "node")]);
    let expected = "node:fs: a stage has no modules of Node.js (asked for by src/naming.js)";
    assert!(error.contains(expected), "{error}");
    // or while building.
    project.write("src/naming.js", &[("import { keep", "import { readFileSync } from \"fs\";\n")]);
    project.write("src/naming.js", &[("  if (bad === \"own\")", "  readFileSync;\n")]);
    let error = project.build().error();
    let expected = "fs: a stage has no modules of Node.js (asked for by src/naming.js)";
    assert!(error.contains("src/plugin.js could not") && error.contains(expected), "{error}");
    // A project of before that has no bundler is told how it gets one.
    fs::remove_dir_all(project.root.join("node_modules/esbuild")).expect("it is there");
    let error = project.build().error();
    assert!(error.contains("npm install --save-dev --save-exact esbuild@"), "{error}");
}

#[test]
fn packages_of_npm_in_typescript() {
    with_packages_of_npm("typescript", "ts", " as any");
}

#[test]
fn packages_of_pure_python() {
    let project = Project::new("python");
    let examples = crate::common::root().join("plugins/examples/python/.venv");
    if examples.is_dir() {
        std::os::unix::fs::symlink(examples, project.root.join(".venv")).expect("a link");
    }
    let names = table("CPython 3.14");
    let [there, refused, lacking] = &names;
    let modules: Vec<_> = there.iter().chain(lacking).collect();
    let (imported, owners): (Vec<_>, Vec<_>) = refused
        .iter()
        .map(|name| (name.as_str(), name.rsplit_once('.').map_or("builtins", |(owner, _)| owner)))
        .unzip();
    let top = format!(
        r#"import importlib

import inflection

FOUND = set()
for one in {modules:?}:
    try:
        importlib.import_module(one)
        FOUND.add(one)
    except (ImportError, RuntimeError):
        pass
OWNERS = {{name: importlib.import_module(owner) for name, owner in zip({imported:?}, {owners:?})}}
GIVEN = {{
    "open": ["/x"],
    "os.stat": ["/x"],
    "os.urandom": [8],
    "select.select": [[], [], [], 0],
    "zoneinfo.ZoneInfo": ["Europe/Berlin"],
}}


async def nothing():
    pass


def call(name):
    function = getattr(OWNERS[name], name.rsplit(".", 1)[-1])
    given = [nothing()] if name == "asyncio.run" else GIVEN.get(name, [])
    made = function(*given)
    if name == "threading.Event":
        made.wait(1)


"#
    );
    project.write(
        "src/naming.py",
        &[
            ("from settings", &top),
            (
                "    return labels.get",
                r#"    bad = labels.get("bad", "")
    if bad == "own": raise ValueError("so be it")
    if bad == "package": inflection.ordinalize("x")
    if bad == "names":
        print("there", *[one for one in THERE if one in FOUND])
        print("lacking", *[one for one in LACKING if one not in FOUND])
        for one in OWNERS:
            try:
                call(one)
            except RuntimeError as error:
                print(error)
    if "team" in labels: return inflection.dasherize(inflection.underscore(labels["team"]))
"#,
            ),
            ("def team", &format!("THERE, LACKING = {there:?}, {lacking:?}\n\n\n")),
        ],
    );
    let packages = project.root.join("packages.txt");
    let refused = || {
        fs::write(&packages, "markupsafe  # of which the half is C\n").expect("a file");
        let error = project.build().error();
        assert!(error.contains("arkup") && error.contains("native code"), "{error}");
    };
    refused();
    let right = "inflection==0.5.1\n";
    fs::write(&packages, right).expect("a file");
    let said = project.build();
    let built = said.good().json();
    assert!(said.stderr.contains("installing inflection==0.5.1 into build/packages"), "{said:?}");

    let said = project.run(&[("team", "ShopUnit")]);
    assert!(said.to_string().contains("\"shop-unit-"), "{said:#}");
    let line = |words| format!("(naming.py:{} in team)", project.line("src/naming.py", words));
    let error = project.error(&[("bad", "own")]);
    assert!(error.contains("ValueError: so be it") && error.contains(&line("so be it")), "{error}");
    let said = project.run(&[("bad", "package")]);
    let error = said["error"]["message"].as_str().unwrap_or_default();
    assert!(error.contains("invalid literal") && error.contains(&line("ordinalize")), "{said:#}");
    assert!(said["messages"].to_string().contains("inflection"), "{said:#}");

    as_in_the_table(&project, &names);
    // What cannot be had costs nothing of what was there.
    refused();
    let installed = fs::read_to_string(project.root.join("build/packages.txt")).expect("a file");
    assert_eq!(installed, right);
    assert!(project.root.join("build/packages/inflection").is_dir());
    fs::write(&packages, right).expect("a file");
    project.same_elsewhere(&built["digest"], &["build", "dist"]);
}
