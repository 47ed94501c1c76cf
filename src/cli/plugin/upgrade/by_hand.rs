//! What an author's code has of an older version of the contract, found by its words.

use crate::cli::plugin::embedded;

/// Something that a person has to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ByHand {
    /// The file, in the project.
    pub(super) file: String,
    /// Its line, from 1.
    pub(super) line: usize,
    /// What is to be done.
    pub(super) what: &'static str,
}

/// A word of 0.1.0, in files of this ending, that is no such word where it is part of another.
struct Word {
    language: &'static str,
    word: &'static str,
    /// With one of these before it, it is something else.
    unless: &'static [&'static str],
    what: &'static str,
}

const fn word(
    language: &'static str,
    word: &'static str,
    unless: &'static [&'static str],
    what: &'static str,
) -> Word {
    Word { language, word, unless, what }
}

const JS_KEEP: &str = "{ tag: \"keep\" } is keep() of src/verdict";
const JS_REPLACE: &str = "{ tag: \"replace\", val: service } is replace(service) of src/verdict";
const JS_VETO: &str = "{ tag: \"veto\", val: reason } is veto(reason) of src/verdict";
const JS_GUARD: &str =
    "guard({ … }) of src/guard.js around the stage makes mistakes say where they are";
const PY_KEEP: &str = "Verdict_Keep() is keep() of src/verdict.py";
const PY_REPLACE: &str = "Verdict_Replace(service) is replace(service) of src/verdict.py";
const PY_VETO: &str = "Verdict_Veto(reason) is veto(reason) of src/verdict.py";
const RS_KEEP: &str =
    "Verdict::Keep is Verdict::keep(), and in a match Decision::Keep of verdict.decision";
const RS_REPLACE: &str = "Verdict::Replace(service) is Verdict::replace(service), and in a match Decision::Replace(service) of \
     verdict.decision";
const RS_VETO: &str = "Verdict::Veto(reason) is Verdict::veto(reason), and in a match Decision::Veto(veto) of verdict.decision";
const RS_REASON: &str = "Veto(reason) is Veto::new(reason)";
const GO_DECISION: &str =
    "what a verdict decides is in its Decision: verdict.Decision.Replace, .Decision.Veto.Reason";
const C_KEEP: &str =
    "a verdict that keeps is keep() of verdict.h; one that is read has its tag in decision";
const C_REPLACE: &str = "a verdict that replaces is replace(service) of verdict.h; one that is read has tag and val in decision";
const C_VETO: &str = "a verdict that vetoes is veto(reason) of verdict.h; one that is read has tag and val in decision, and the \
     reason in val.veto.reason";

/// The words, in the order in which a line is searched for them.
const WORDS: [Word; 26] = [
    word("javascript", "tag: \"keep\"", &[], JS_KEEP),
    word("javascript", "tag: 'keep'", &[], JS_KEEP),
    word("javascript", "tag: \"replace\"", &[], JS_REPLACE),
    word("javascript", "tag: 'replace'", &[], JS_REPLACE),
    word("javascript", "tag: \"veto\"", &[], JS_VETO),
    word("javascript", "tag: 'veto'", &[], JS_VETO),
    word("javascript", "export const stage = {", &[], JS_GUARD),
    word("typescript", "tag: \"keep\"", &[], JS_KEEP),
    word("typescript", "tag: 'keep'", &[], JS_KEEP),
    word("typescript", "tag: \"replace\"", &[], JS_REPLACE),
    word("typescript", "tag: 'replace'", &[], JS_REPLACE),
    word("typescript", "tag: \"veto\"", &[], JS_VETO),
    word("typescript", "tag: 'veto'", &[], JS_VETO),
    word("typescript", "export const stage", &["guard"], JS_GUARD),
    word("python", "Verdict_Keep", &[], PY_KEEP),
    word("python", "Verdict_Replace", &[], PY_REPLACE),
    word("python", "Verdict_Veto", &[], PY_VETO),
    word("rust", "Verdict::Keep", &[], RS_KEEP),
    word("rust", "Verdict::Replace", &[], RS_REPLACE),
    word("rust", "Verdict::Veto", &[], RS_VETO),
    word("rust", "Veto(", &["::"], RS_REASON),
    word("go", ".Replace", &["contract", "Decision"], GO_DECISION),
    word("go", ".Veto", &["contract", "Decision"], GO_DECISION),
    word("c", "VERDICT_KEEP", &[], C_KEEP),
    word("c", "VERDICT_REPLACE", &[], C_REPLACE),
    word("c", "VERDICT_VETO", &[], C_VETO),
];

/// What is wrong with a file as a whole: it has the first word and not the second.
const LACKS: [(&str, &str, &str, &str); 3] = [
    (
        "python",
        "Description(",
        "wants=",
        "the description has what the stage wants: wants=Facts(0) for nothing, with Facts from \
         wit_world.imports.types",
    ),
    (
        "python",
        "(exports.Stage)",
        "@guard.stage",
        "@guard.stage above the class, and import guard, make mistakes say where they are",
    ),
    (
        "rust",
        "Service {",
        "Service::new(",
        "a Service has more fields: those that are not named are ..Service::new(id, name, address, port)",
    ),
];

/// What the endings of a language's sources are.
fn endings(language: &str) -> &'static [&'static str] {
    match language {
        "javascript" => &["js", "mjs"],
        "typescript" => &["ts", "js", "mjs"],
        "python" => &["py"],
        "rust" => &["rs"],
        "go" => &["go"],
        _ => &["c", "h"],
    }
}

/// Everything that a person has to change in a file.
pub(super) fn found(language: &str, file: &str, text: &str) -> Vec<ByHand> {
    let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending);
    if !endings(language).contains(&ending) {
        return Vec::new();
    }
    let at = |line: usize, what| ByHand { file: file.to_string(), line: line + 1, what };
    let mut all = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let words = WORDS.iter().filter(|word| word.language == language);
        let first = words.into_iter().find(|word| has(line, word));
        all.extend(first.map(|word| at(number, word.what)));
    }
    for (_, one, other, what) in LACKS.iter().filter(|(own, ..)| *own == language) {
        let line = text.lines().position(|line| is_said(line, one, language));
        if let Some(line) = line.filter(|_| !text.contains(other)) {
            all.push(at(line, what));
        }
    }
    all.sort_by_key(|one| one.line);
    all
}

/// Whether a line builds or names something of this name, and does not define or import it.
fn is_said(line: &str, word: &str, language: &str) -> bool {
    let defines = language == "rust"
        && ["fn ", "struct ", "impl ", "->"].iter().any(|word| line.contains(word));
    line.contains(word) && !defines
}

fn has(line: &str, word: &Word) -> bool {
    line.match_indices(word.word).any(|(at, _)| {
        let before = &line[..at];
        let after = line[at + word.word.len()..].chars().next();
        let whole = !word.word.ends_with(char::is_alphanumeric)
            || !after
                .is_some_and(|next| next.is_alphanumeric() || next == '(' && word.language == "go");
        whole
            && !word
                .unless
                .iter()
                .any(|part| before.ends_with(part) || line.contains("guard") && *part == "guard")
    })
}

/// A text with this program's version of the contract where it names another one; none if it names
/// none. Versions stand in what JavaScript and TypeScript import.
pub(super) fn renamed(file: &str, text: &str, contract: &str) -> Option<String> {
    let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending);
    if !endings("typescript").contains(&ending) {
        return None;
    }
    let mut edited = text.to_string();
    for interface in ["types", "logging", "stage"] {
        let name = |version: &str| format!("wharfinger:pipeline/{interface}@{version}");
        edited = edited.replace(&name(contract), &name(embedded::CONTRACT));
    }
    (edited != text).then_some(edited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_older_contract_are_found_with_their_lines() {
        for (language, file, text, lines) in [
            (
                "javascript",
                "src/a.js",
                "x\nreturn { tag: \"keep\" };\n{ tag: 'veto', val }",
                vec![2, 3],
            ),
            ("javascript", "src/a.js", "export const stage = guard({\nkeep()", vec![]),
            ("javascript", "src/a.js", "export const stage = {", vec![1]),
            ("javascript", "README.md", "{ tag: \"keep\" }", vec![]),
            ("typescript", "src/a.ts", "export const stage: typeof contract = {", vec![1]),
            ("typescript", "src/a.ts", "export const stage = guard<typeof contract>({", vec![]),
            ("python", "src/a.py", "Verdict_Keep()\nDescription(\n", vec![1, 2]),
            ("python", "src/a.py", "Description(wants=Facts(0))", vec![]),
            ("python", "src/a.py", "class Stage(exports.Stage):", vec![1]),
            ("rust", "src/lib.rs", "Verdict::Keep => {}\nErr(Veto(\"no\".into()))", vec![1, 2]),
            (
                "rust",
                "src/lib.rs",
                "Verdict::keep()\nErr(Veto::new(\"no\"))\nDecision::Veto(x)",
                vec![],
            ),
            ("rust", "src/lib.rs", "fn f() -> Service {\n", vec![]),
            ("rust", "src/lib.rs", "let s = Service { id, name };", vec![1]),
            ("go", "a.go", "case verdict.Replace != nil:\nverdict.Veto.x", vec![1, 2]),
            (
                "go",
                "a.go",
                "contract.Replace(service)\nverdict.Decision.Veto\nstrings.ReplaceAll(x)",
                vec![],
            ),
            ("c", "a.c", "(verdict){.tag = WHARFINGER_PIPELINE_TYPES_VERDICT_KEEP}", vec![1]),
            ("c", "a.h", "WHARFINGER_PIPELINE_TYPES_DECISION_KEEP", vec![]),
        ] {
            let found: Vec<_> =
                found(language, file, text).into_iter().map(|one| one.line).collect();
            assert_eq!(found, lines, "{language}: {text}");
        }
    }

    #[test]
    fn imports_name_the_version_of_this_program() {
        let old = "import { log } from \"wharfinger:pipeline/logging@0.1.0\";";
        let new = renamed("src/a.js", old, "0.1.0").expect("it names one");
        assert_eq!(new, old.replace("0.1.0", embedded::CONTRACT));
        assert_eq!(renamed("src/a.js", &new, "0.1.0"), None);
        assert_eq!(renamed("README.md", old, "0.1.0"), None);
        assert_eq!(renamed("src/a.js", "other:thing/logging@0.1.0", "0.1.0"), None);
    }
}
