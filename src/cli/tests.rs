use std::path::Path;

use super::*;
use crate::config::Config;

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
        assert_eq!(args.resync, Some(60));
        assert_eq!(args.offer.internal, Some(true));
        assert_eq!(args.offer.explicit, None);
        assert_eq!(args.uri.as_deref(), Some(uri));
    }
}

#[test]
fn values_may_begin_with_a_dash() {
    let args = run(&["-retry-attempts", "-1", "-tags", "-x", "-internal=false", "consul://"]);
    assert_eq!(args.retry_attempts, Some(-1));
    assert_eq!(args.offer.tags.as_deref(), Some("-x"));
    assert_eq!(args.offer.internal, Some(false));
}

#[test]
fn the_label_flag_has_two_spellings() {
    for flag in ["-useIpFromLabel", "--useIpFromLabel", "--use-ip-from-label"] {
        assert_eq!(
            run(&[flag, "net.ip", "consul://"]).offer.use_ip_from_label.as_deref(),
            Some("net.ip")
        );
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

/// Each flag of the daemon's with a value, and the key that says the same.
const KEYS: [(&str, &str, &str); 22] = [
    ("ip", "192.0.2.1", "host.address = '192.0.2.1'"),
    ("hostname", "h", "host.name = 'h'"),
    ("resolve", "h=192.0.2.1", "host.resolve = { h = '192.0.2.1' }"),
    ("internal", "true", "registrator.internal = true"),
    ("explicit", "true", "registrator.explicit = true"),
    ("tags", "a,b", "registrator.tags = 'a,b'"),
    ("allow-http-get", "true", "registrator.allow-http-get = true"),
    ("useIpFromLabel", "net.ip", "registrator.use-ip-from-label = 'net.ip'"),
    ("cleanup", "true", "registrator.cleanup = true"),
    ("deregister", "on-success", "registrator.deregister = 'on-success'"),
    ("resync", "60", "registrator.resync = '1m'"),
    ("retry-attempts", "3", "registrator.retry-attempts = 3"),
    ("retry-interval", "500", "registrator.retry-interval = '500ms'"),
    ("ttl", "30", "registrator.ttl = 30"),
    ("ttl-refresh", "10", "registrator.ttl-refresh = '10s'"),
    ("compat", "registrator", "compat = 'registrator'"),
    ("no-provenance", "true", "registry.provenance = false"),
    ("cache-dir", "/c", "cache.dir = '/c'"),
    ("control", "none", "daemon.control = 'none'"),
    ("listen", "127.0.0.1:1", "listen.address = '127.0.0.1:1'"),
    ("otlp", "http://h:1", "telemetry.otlp = 'http://h:1'"),
    ("log-format", "json", "daemon.log-format = 'json'"),
];

/// Flags without a key, and why.
const WITHOUT_KEY: [(&str, &str); 4] = [
    ("config", "it names the file itself"),
    ("containers", "what is tried out in Docker's place is no setting of a host"),
    ("confirm", "somebody says it of one start; in a file it would disarm the guard for all"),
    ("version", "it is a question"),
];

fn of_file(flags: RunArgs, text: &str) -> String {
    let config = Config::parse(text, Path::new("wharfinger.toml"), Path::new("/etc"));
    format!("{:?}", flags.filled(&config.unwrap_or_else(|error| panic!("{text}: {error}"))))
}

/// A command line with a file, so that a pair of flags need not be complete.
fn given(flags: &[String]) -> RunArgs {
    let words: Vec<_> = flags.iter().map(String::as_str).collect();
    run(&[&["run", "--config", "wharfinger.toml"], &*words].concat())
}

#[test]
fn every_flag_has_a_key_and_the_flag_wins() {
    for (flag, value, key) in KEYS {
        let (line, plain) = (given(&[format!("--{flag}={value}")]), given(&[]));
        assert_ne!(format!("{plain:?}"), format!("{line:?}"), "--{flag} has a bearing");
        // The other keys are not said, so that all else is equal.
        let both = format!("{line:?}");
        assert_eq!(of_file(plain, key), both, "{key} is --{flag}={value}");
        assert_eq!(of_file(line, ""), both, "an empty file changes nothing of --{flag}");
    }
    for (flag, said, key) in [
        ("ip", "192.0.2.9", "host.address = '192.0.2.1'"),
        ("internal", "false", "registrator.internal = true"),
        ("resync", "0", "registrator.resync = '1m'"),
        ("tags", "", "registrator.tags = 'a'"),
        ("no-provenance", "true", "registry.provenance = true"),
        ("no-provenance", "false", "registry.provenance = false"),
        ("resolve", "x=192.0.2.7", "host.resolve = { h = '192.0.2.1' }"),
        ("compat", "none", "compat = 'registrator'"),
        ("listen", "none", "listen.address = '127.0.0.1:1'"),
        ("otlp", "none", "telemetry.otlp = 'http://h:1'"),
        ("log-format", "text", "daemon.log-format = 'json'"),
    ] {
        let line = given(&[format!("--{flag}={said}")]);
        let expected = format!("{line:?}");
        assert_eq!(of_file(line, key), expected, "--{flag}={said} wins over {key}");
    }
}

#[test]
fn no_flag_is_forgotten() {
    let command = Cli::command();
    let run = command.find_subcommand("run").expect("the command run");
    for flag in command.get_arguments().chain(run.get_arguments()).filter_map(|a| a.get_long()) {
        let with = KEYS.iter().any(|(name, ..)| *name == flag);
        let without = WITHOUT_KEY.iter().any(|(name, _)| *name == flag) || flag == "help";
        assert!(with != without, "--{flag} needs a key in the file, or a reason to have none");
    }
}

#[test]
fn commands_that_look_at_the_daemon_take_its_flags() {
    let line: Vec<String> =
        KEYS.iter().map(|(flag, value, _)| format!("-{flag}={value}")).collect();
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let more = ["-confirm", "--containers", "c.json", "--config", "f.toml"];
    let uri = ["consul://h:8500"];
    for command in [&["plan"][..], &["explain", "web"], &["record", "--out", "x"], &["check"]] {
        let words = [&["wharfinger"], command, &line, &more, &uri].concat();
        let parsed = parse(words.iter().map(OsString::from));
        let invocation = parsed.unwrap_or_else(|error| panic!("{command:?}: {}", error.message));
        let flags = invocation.flags().expect("it has the daemon's flags");
        assert_eq!((flags.resync, flags.ttl), (Some(60), Some(30)), "{command:?}");
        assert_eq!(flags.uri.as_deref(), Some("consul://h:8500"), "{command:?}");
    }
}

#[test]
fn a_line_that_cannot_be_used_has_a_code_that_says_nothing_else() {
    for (line, words, code) in [
        (vec!["plan", "-nosuch", "consul://x"], "flag provided but not defined: -nosuch", 64),
        (vec!["plan", "-resinc", "6", "memory://"], "was -resync meant?", 64),
        (vec!["plan", "--output", "xml", "memory://"], "invalid value 'xml'", 64),
        (vec!["plan", "-deregister", "never", "memory://"], "-deregister must be", 64),
        (vec!["plan", "-ip"], "flag needs an argument: -ip", 64),
        (vec!["plan", "-resync", "x", "memory://"], "invalid value 'x'", 64),
        (vec!["replay"], "required arguments", 64),
        (vec!["apply", "--confrm"], "was --confirm meant?\nnext: wharfinger apply --help", 64),
        (vec!["status", "--jsno"], "was --json meant?", 64),
        (vec!["status", "more"], "unexpected argument 'more'", 64),
        (vec!["check", "--josn"], "was --json meant?", 64),
        (vec!["pln", "-ip", "192.0.2.1", "memory://"], "was plan meant?", 64),
        (vec!["-ip", "192.0.2.1", "statsu"], "was status meant?", 64),
        (vec!["rnu", "memory://"], "was run meant?", 2),
        (vec!["plugin", "bild"], "bild", 2),
        (vec!["-resinc", "60", "memory://"], "was -resync meant?", 2),
    ] {
        let (message, exit) = fault(&line);
        assert!(message.contains(words), "{line:?}: {message}");
        assert_eq!(exit, code, "{line:?}: {message}");
        assert!(message.lines().count() < 16, "{line:?}: {message}");
    }
    let (message, _) = fault(&["pln", "-ip", "192.0.2.1", "memory://"]);
    assert!(message.ends_with("next: wharfinger plan -ip 192.0.2.1 memory://"), "{message}");
    // A word that is no slip is registrator's business.
    assert_eq!(run(&["127.0.0.1:8501"]).uri.as_deref(), Some("127.0.0.1:8501"));
}

#[test]
fn a_configuration_file_makes_the_uri_optional() {
    assert_eq!(run(&["run", "--config", "x.toml"]).uri, None);
    assert_eq!(run(&["--config", "x.toml", "consul://"]).uri.as_deref(), Some("consul://"));
}

/// What is told apart in one enum is described to people as well, and nothing else is.
#[test]
fn every_command_is_in_the_documents() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/command-line.md");
    let page = std::fs::read_to_string(page).expect("it is there");
    let command = Cli::command();
    let names: Vec<_> = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| command.get_name().to_string())
        .collect();
    assert_eq!(names.len(), 16, "{names:?}");
    for name in names {
        let named = [format!("wharfinger {name}"), format!("`{name}`")];
        assert!(named.iter().any(|named| page.contains(named)), "{name}");
    }
}
