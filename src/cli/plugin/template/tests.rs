use super::*;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap_or_else(|fault| panic!("{fault}"))
}

#[test]
fn a_name_is_lowercase_letters_digits_and_hyphens() {
    for good in ["a", "owner-label", "dns2", "v2-naming"] {
        assert_eq!(name(good).kebab(), good);
    }
    for (bad, part) in [
        ("", "empty"),
        ("Naming", "other characters"),
        ("my_plugin", "other characters"),
        ("näming", "other characters"),
        ("../up", "other characters"),
        ("2fast", "does not begin with a letter"),
        ("-x", "does not begin with a letter"),
        ("x-", "a hyphen stands between"),
        ("a--b", "a hyphen stands between"),
        ("class", "keeps that word"),
        ("test", "keeps that word"),
        (&"x".repeat(41), "more than 40"),
    ] {
        let fault = Name::parse(bad).expect_err(bad);
        assert!(fault.contains(part) && fault.contains("such as team-naming"), "{bad}: {fault}");
    }
}

#[test]
fn every_form_of_the_name_is_replaced() {
    let text = "team-naming team_naming TeamNaming teamNaming team naming";
    assert_eq!(name("dns-safe").replace(text), "dns-safe dns_safe DnsSafe dnsSafe team naming");
}

#[test]
fn paths_lead_into_the_project() {
    for (before, after) in [
        (r#"path = "../../sdk""#, r#"path = "vendor/wharfinger-plugin""#),
        ("wit=../../../wit/v0.1.0", "wit=wit/v0.1.0"),
        ("import '../../../../wit/v0.1.0/pipeline.wit'", "import '../wit/v0.1.0/pipeline.wit'"),
        ("../other", "../other"),
    ] {
        assert_eq!(at_home(before), after);
    }
}

#[test]
fn a_lock_file_stays_sorted_under_the_new_name() {
    let lock = "version = 4\n\n[[package]]\nname = \"b\"\nversion = \"1.0.0\"\n\n[[package]]\n\
                name = \"z\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"a\"\nversion = \"2.0.0\"\n";
    let sorted = sorted_lock(lock);
    let names: Vec<_> = sorted.lines().filter(|line| line.starts_with("name")).collect();
    assert_eq!(names, ["name = \"a\"", "name = \"b\"", "name = \"z\""]);
    assert_eq!(sorted_lock(&sorted), sorted);
    assert!(sorted.starts_with("version = 4\n\n[[package]]\nname = \"a\"\n"), "{sorted}");
}

#[test]
fn a_manifest_stands_without_its_workspace() {
    let manifest = "[package]\nname = \"p\"\nversion.workspace = true\n[dependencies]\n\
                    serde.workspace = true\nlog = { workspace = true, optional = true }\n\
                    [lints]\nworkspace = true\n";
    let workspace = "[workspace.package]\nversion = \"0.3.0\"\n[workspace.dependencies]\n\
                     serde = { version = \"1\", features = [\"derive\"] }\nlog = \"0.4\"\n";
    let text = standalone(manifest.as_bytes(), workspace.as_bytes());
    let expected = "[package]\nname = \"p\"\nversion = \"0.3.0\"\n[dependencies]\n\
                    serde = { version = \"1\", features = [\"derive\"] }\n\
                    log = { version = \"0.4\", optional = true }\n";
    let read = |text: &str| toml::from_str::<toml::Table>(text).expect("TOML");
    assert_eq!(read(&text), read(expected));
}

#[test]
fn a_purpose_is_a_line_that_each_language_reads_as_it_is() {
    let told = |text: &str| Purpose::parse(text).map(|purpose| purpose.sentence());
    assert_eq!(told(" Says where a service runs. ").as_deref(), Ok("Says where a service runs."));
    assert_eq!(told("käse & <b>").as_deref(), Ok("käse & <b>."));
    for (bad, part) in [
        (" ", "empty"),
        ("a\nb", "more than one line"),
        ("say \"hello\"", "languages read"),
        ("a\\b", "languages read"),
        ("what??/", "languages read"),
        (&"x".repeat(121), "more than 120"),
        ("A stage for Wharfinger in Go", "how an example begins"),
    ] {
        let fault = told(bad).expect_err(bad);
        assert!(fault.contains(part), "{bad}: {fault}");
    }
}

/// The files of a project, by their paths.
fn texts(language: &str, purpose: Option<&str>, blank: bool) -> Vec<(String, String)> {
    let (name, purpose) =
        (name("dns-safe"), purpose.map(|text| Purpose::parse(text).expect("one")));
    let wanted = Wanted { language, name: &name, purpose: purpose.as_ref(), blank };
    let text = |file: Written| (file.path, String::from_utf8_lossy(&file.content).into_owned());
    project(&wanted).into_iter().map(text).collect()
}

/// Whether a file is the project's own: the SDK's words have an example of a rule, too.
fn is_own(path: &str) -> bool {
    !path.starts_with("vendor/")
}

#[test]
fn name_and_purpose_are_in_description_manifest_and_readme() {
    for language in embedded::languages() {
        for blank in [false, true] {
            let own = "Says where a service runs";
            let files = texts(language, Some(own), blank);
            let having: Vec<_> =
                files.iter().filter(|(_, text)| text.contains(own)).map(|(path, _)| path).collect();
            let has = |part: &str| having.iter().any(|path| path.contains(part));
            assert!(has("README.md") && has(stamp::FILE), "{language}: {having:?}");
            assert!(has("plugin.") || has("src/lib.rs"), "{language}: {having:?}");
            for manifest in ["Cargo.toml", "package.json", "pyproject.toml"] {
                let there = files.iter().any(|(path, _)| path == manifest);
                assert!(!there || has(manifest), "{language} {manifest}: {having:?}");
            }
            for known in [EXAMPLE_PURPOSE, BLANK_PURPOSE] {
                let known = known.trim_end_matches('.');
                let with = |(path, text): &&(String, String)| is_own(path) && text.contains(known);
                let left: Vec<_> = files.iter().filter(with).map(|(path, _)| path).collect();
                assert!(left.is_empty(), "{language}: {known} in {left:?}");
            }
            let readme = files.iter().find(|(path, _)| path == "README.md").expect("it has one");
            assert!(readme.1.starts_with(&format!("# dns-safe\n\n{own}.\n\n")), "{}", readme.1);
        }
        let blank = texts(language, None, true);
        assert!(blank.iter().any(|(_, text)| text.contains(BLANK_PURPOSE)), "{language}");
        let rule = blank.iter().find(|(path, text)| is_own(path) && text.contains("<team>"));
        assert!(rule.is_none(), "{language}: {rule:?}");
    }
}

#[test]
fn a_blank_project_has_what_the_example_has_but_for_its_rule() {
    for language in embedded::languages() {
        let paths = |blank| {
            let files = texts(language, None, blank).into_iter();
            files.map(|(path, _)| path).collect::<std::collections::BTreeSet<_>>()
        };
        let (whole, blank) = (paths(false), paths(true));
        let kept = whole.iter().filter(|path| Part::of(path) != Part::Author);
        for path in kept
            .chain(["README.md", "cases/everything-stays/expected.json"].map(String::from).iter())
        {
            assert!(blank.contains(path), "{language} lacks {path}");
        }
        assert!(
            blank.iter().any(|path| path.contains("test") || path == "src/lib.rs"),
            "{language}"
        );
        assert!(blank.iter().filter(|path| path.starts_with("cases/")).count() == 3, "{language}");
        assert!(!blank.contains("cases/label/container.json"), "{language}");
    }
}

#[test]
fn the_stamp_has_each_file_that_was_written() {
    let files = texts("go", None, false);
    let (_, stamp) = files.iter().find(|(path, _)| path == stamp::FILE).expect("a stamp");
    let stamp: stamp::Stamp = serde_json::from_str(stamp).expect("it is one");
    assert_eq!((stamp.contract.as_str(), stamp.blank), (embedded::CONTRACT, false));
    for (path, text) in files.iter().filter(|(path, _)| path != stamp::FILE) {
        assert_eq!(stamp.files[path], stamp::digest(text.as_bytes()), "{path}");
    }
    assert_eq!(stamp.files.len() + 1, files.len());
}

#[test]
fn every_example_becomes_a_project_of_its_own() {
    for language in embedded::languages() {
        let named = name("dns-safe");
        let wanted = Wanted { language, name: &named, purpose: None, blank: false };
        let files = project(&wanted);
        let text = |path: &str| {
            let file = files.iter().find(|file| file.path == path);
            String::from_utf8_lossy(&file.unwrap_or_else(|| panic!("{path}")).content).into_owned()
        };
        assert!(text("build.sh").starts_with("#!"), "{language}");
        let contract = |file: &Written| {
            file.path.starts_with("wit/")
                && String::from_utf8_lossy(&file.content).contains("package wharfinger:pipeline@0.")
        };
        assert!(files.iter().any(contract), "{language}");
        assert!(files.iter().any(|file| file.path.ends_with("/container.json")), "{language}");
        for file in &files {
            let content = String::from_utf8_lossy(&file.content);
            let own = !file.path.starts_with("wit/") && !file.path.starts_with("vendor/");
            let whole = file.path.clone() + &content;
            for old in ["team-naming", "team_naming", "TeamNaming", "../../../wit", "../../sdk"] {
                assert!(!own || !whole.contains(old), "{language}: {old} in {}", file.path);
            }
        }
        assert!(files.windows(2).all(|pair| pair[0].path < pair[1].path), "{language}: twice");
    }
}
