use super::*;

fn run(line: &[&str]) -> RunArgs {
    let words = ["wharfinger"].iter().chain(line).map(OsString::from);
    match parse(words) {
        Ok(Invocation::Run(args)) => *args,
        other => panic!("{line:?}: {other:?}"),
    }
}

fn fault(line: &[&str]) -> (String, u8) {
    let words = ["wharfinger"].iter().chain(line).map(OsString::from);
    let error = parse(words).expect_err("the line cannot be used");
    (error.message, error.code)
}

#[test]
fn flags_have_one_dash_or_two() {
    let uri = "consul://10.0.0.1:8500";
    for line in [
        vec!["-ip", "10.0.0.2", "-resync", "60", "-internal", uri],
        vec!["--ip", "10.0.0.2", "--resync", "60", "--internal", uri],
        vec!["-ip=10.0.0.2", "--resync=60", "-internal=true", uri],
        vec!["run", "-ip", "10.0.0.2", "-resync", "60", "-internal", uri],
    ] {
        let args = run(&line);
        assert_eq!(args.offer.ip.as_deref(), Some("10.0.0.2"), "{line:?}");
        assert_eq!(args.resync, 60);
        assert!(args.offer.internal);
        assert!(!args.offer.explicit);
        assert_eq!(args.uri.as_deref(), Some(uri));
    }
}

#[test]
fn values_may_begin_with_a_dash() {
    let args = run(&["-retry-attempts", "-1", "-tags", "-x", "-internal=false", "consul://"]);
    assert_eq!(args.retry_attempts, Some(-1));
    assert_eq!(args.offer.tags, "-x");
    assert!(!args.offer.internal);
}

#[test]
fn the_label_flag_has_two_spellings() {
    for flag in ["-useIpFromLabel", "--useIpFromLabel", "--use-ip-from-label"] {
        assert_eq!(run(&[flag, "net.ip", "consul://"]).offer.use_ip_from_label, "net.ip");
    }
}

#[test]
fn faults_have_the_words_and_exit_codes_of_registrator() {
    for (line, words, code) in [
        (vec![], "Missing required argument for registry URI.", 2),
        (vec!["consul://x", "-ip", "1.2.3.4"], "Extra unparsed arguments:\n  -ip 1.2.3.4", 2),
        (vec!["-version"], "flag provided but not defined: -version", 2),
        (vec!["-nosuch", "consul://x"], "flag provided but not defined: -nosuch", 2),
        (vec!["-ip"], "flag needs an argument: -ip", 2),
        (vec!["-deregister", "never", "consul://x"], "-deregister must be", 1),
        (vec!["-retry-interval", "0", "consul://x"], "-retry-interval must be greater than 0", 1),
        (vec!["-ttl", "10", "-ttl-refresh", "10", "consul://x"], "-ttl must be greater", 1),
        (vec!["-ttl", "10", "consul://x"], "-ttl and -ttl-refresh must be specified together", 1),
    ] {
        let (message, exit) = fault(&line);
        assert!(message.starts_with(words), "{line:?}: {message}");
        assert_eq!(exit, code, "{line:?}");
    }
    assert_eq!(fault(&["-h"]).1, 0);
}

#[test]
fn a_configuration_file_makes_the_uri_optional() {
    assert_eq!(run(&["run", "--config", "x.toml"]).uri, None);
    assert_eq!(run(&["--config", "x.toml", "consul://"]).uri.as_deref(), Some("consul://"));
}

/// What is told apart in one enum is described to people as well, and nothing else is.
#[test]
fn every_command_is_in_the_readme() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(readme).expect("it is there");
    let command = Cli::command();
    let names: Vec<_> = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| command.get_name().to_string())
        .collect();
    assert_eq!(names.len(), 10, "{names:?}");
    for name in names {
        let named = [format!("wharfinger {name}"), format!("`{name}`")];
        assert!(named.iter().any(|named| readme.contains(named)), "{name}");
    }
}
