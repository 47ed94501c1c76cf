//! Guarantee: whoever writes a wrong plugin learns what is wrong and where, in each language: type,
//! text, file and line of an exception, field and value of a wrong answer, and by its name what a
//! stage has not. And what the plugin prints is to be seen.

use std::{fs, path::Path};

use crate::common::author::{arg, inspected, wharfinger, wharfinger_reading};
use serde_json::Value;

/// A language, its source, the line before which the mistakes are put, and these. A label
/// chooses one.
struct Wrong {
    language: &'static str,
    source: &'static str,
    before: &'static str,
    code: &'static str,
    /// The label's value, and parts of the stage's error.
    expected: &'static [(&'static str, &'static [&'static str])],
}

const PYTHON: Wrong = Wrong {
    language: "python",
    source: "src/plugin.py",
    before: "        wanted = configured.read(settings)\n",
    code: r#"        bad = next((label.value for label in container.labels if label.key == "bad"), "")
        print("printed", bad)
        if bad == "raise": {}["x"]
        if bad == "none": return None
        if bad == "type": return Outcome(verdicts=["keep"], added=[])
        if bad == "decision": return Outcome(verdicts=[Verdict(decision="keep", notes=[])], added=[])
        if bad == "port": return Outcome(verdicts=[replace(changed(services[0], port="80"))], added=[])
        if bad == "wants": return Outcome(verdicts=[keep(container.setup.user)], added=[])
        if bad == "count": return Outcome(verdicts=[], added=[])
        if bad == "import": import colorsys
        if bad == "open": open("/etc/passwd")
        if bad == "sleep": __import__("time").sleep(1)
        if bad == "now": __import__("datetime").datetime.now()
        if bad == "today": __import__("datetime").date.today()
        if bad == "random": __import__("os").urandom(8)
"#,
    expected: &[
        ("raise", &["KeyError: 'x'", "plugin.py:", "in process"]),
        ("none", &["process: wanted is Outcome, not None"]),
        ("type", &["process.verdicts[0]: wanted is Verdict, not str 'keep'"]),
        (
            "decision",
            &["process.verdicts[0].decision: wanted is Decision_Keep or", "not str 'keep'"],
        ),
        ("port", &["process.verdicts[0].decision.value.port: wanted is int, not str '80'"]),
        ("wants", &["AttributeError: 'NoneType' object has no attribute 'user'", "plugin.py:"]),
        ("count", &["one for each of 1 services, not 0"]),
        ("import", &["ModuleNotFoundError: colorsys: there is no such module", "plugin.py:"]),
        ("open", &["open: a stage has no files", "plugin.py:"]),
        ("sleep", &["time.sleep: a stage has no clock"]),
        ("now", &["datetime.now: a stage has no clock", "plugin.py:"]),
        ("today", &["date.today: a stage has no clock", "plugin.py:"]),
        ("random", &["os.urandom: a stage has no random numbers", "plugin.py:"]),
    ],
};

const JAVASCRIPT: Wrong = Wrong {
    language: "javascript",
    source: "src/plugin.js",
    before: "    const { settings } = readSettings(text);\n",
    code: r#"    const bad = container.labels.find((label) => label.key === "bad")?.value ?? "";
    console.log("printed", bad);
    if (bad === "throw") null.x;
    if (bad === "none") return;
    const keep = { decision: { tag: "keep" }, notes: [] };
    if (bad === "added") return { verdicts: [keep] };
    if (bad === "older") return { verdicts: [{ tag: "keep" }], added: [] };
    if (bad === "notes") return { verdicts: [{ ...keep, notes: [7] }], added: [] };
    if (bad === "tag") return { verdicts: [{ ...keep, decision: { tag: "kepe" } }], added: [] };
    if (bad === "port") {
      const decision = { tag: "replace", val: { ...services[0], port: "x" } };
      return { verdicts: [{ decision, notes: [] }], added: [] };
    }
    if (bad === "date") new Date();
    if (bad === "random") Math.random();
    if (bad === "now") performance.now();
    if (bad === "url") new URL("http://localhost");
    if (bad === "own") throw "could not";
"#,
    expected: &[
        ("throw", &["TypeError", "plugin.js:"]),
        ("none", &["process: wanted is an object, not undefined"]),
        ("added", &["process.added: wanted is a list, not undefined"]),
        ("older", &["process.verdicts[0].decision: wanted is an object, not undefined"]),
        ("notes", &["process.verdicts[0].notes[0]: wanted is a string, not 7"]),
        (
            "tag",
            &[
                "process.verdicts[0].decision.tag: wanted is one of keep, replace, veto, not \"kepe\"",
            ],
        ),
        (
            "port",
            &[
                "process.verdicts[0].decision.val.port: wanted is a number from 0 to 65535, not \"x\"",
            ],
        ),
        ("date", &["new Date(): a stage has no clock", "plugin.js:"]),
        ("random", &["Math.random: a stage has no random numbers"]),
        ("now", &["performance.now: a stage has no clock"]),
        ("url", &["ReferenceError", "URL"]),
        ("own", &["could not decide: could not"]),
    ],
};

const GO: Wrong = Wrong {
    language: "go",
    source: "plugin.go",
    before: "\tsettings, _ := readSettings(text)\n",
    code: r#"	bad, _ := container.Label("bad")
	println("printed", bad)
	switch bad {
	case "panic":
		println(services[len(services)+1].Name)
	case "none":
		return nil, nil
	case "count":
		return &contract.Outcome{}, nil
	case "text":
		return &contract.Outcome{Verdicts: []contract.Verdict{contract.Veto("a\xff")}}, nil
	case "verdict":
		return &contract.Outcome{Verdicts: []contract.Verdict{{}}}, nil
	case "deadlock":
		<-make(chan int)
	}
"#,
    expected: &[
        ("panic", &["index out of range [2] with length 1", "plugin.go:"]),
        ("none", &["Process: wanted is an outcome or an error"]),
        ("count", &["one for each of 1 services, not 0"]),
        ("text", &["Outcome.Verdicts[0].Decision.Veto.Reason: wanted is text in UTF-8"]),
        (
            "verdict",
            &["Outcome.Verdicts[0].Decision: wanted is one of its fields, and none is set"],
        ),
        ("deadlock", &["deadlock"]),
    ],
};

#[test]
fn a_mistake_in_python_is_named() {
    check(&PYTHON);
}

#[test]
fn a_mistake_in_javascript_is_named() {
    check(&JAVASCRIPT);
}

#[test]
fn a_mistake_in_go_is_named() {
    check(&GO);
}

fn check(wrong: &Wrong) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("wrong");
    let new = ["plugin", "new", "wrong", "--lang", wrong.language];
    wharfinger(folder.path(), &new).good();
    let source = root.join(wrong.source);
    let text = fs::read_to_string(&source).expect("the source is there");
    assert!(text.contains(wrong.before), "{text}");
    let text = text.replacen(wrong.before, &format!("{}{}", wrong.code, wrong.before), 1);
    fs::write(&source, text).expect("the source is written");
    let built = wharfinger(&root, &["plugin", "build", "--json"]).good().json();
    let file = built["file"].as_str().expect("a file").to_string();
    for (bad, parts) in wrong.expected {
        let said = run(&root, &file, bad);
        let error = said["error"]["message"].as_str().unwrap_or_default();
        for part in *parts {
            assert!(error.contains(part), "{} {bad}: {part:?} is not in {said:#}", wrong.language);
        }
        let messages = said["messages"].to_string();
        assert!(messages.contains(&format!("printed {bad}")), "{bad}: {said:#}");
    }
    // With none of them it is the plugin that it was.
    let said = run(&root, &file, "");
    assert!(said["error"].is_null(), "{said:#}");
}

fn run(root: &Path, file: &str, bad: &str) -> Value {
    let args =
        ["plugin", "run", arg(Path::new(file)), "--container", "-", "--timeout", "20s", "--json"];
    let labels: &[(&str, &str)] = &[("bad", bad)];
    let said = wharfinger_reading(root, &args, &inspected(labels));
    assert_eq!(said.stderr, "");
    said.json()
}
