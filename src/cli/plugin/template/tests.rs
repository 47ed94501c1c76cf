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
fn every_example_becomes_a_project_of_its_own() {
    for language in embedded::languages() {
        let files = project(language, &name("dns-safe"));
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
