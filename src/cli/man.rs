//! The man pages, one for each command. They are made of the command line when packages are built, by this test and by
//! nothing that is shipped.

use std::{fs, path::Path};

use clap::{Command, CommandFactory as _};

use super::Cli;

/// What the command line does not say of itself, for the page of the program.
const MORE: &str = r#"
.SH FILES
.TP
\fI/etc/wharfinger/wharfinger.toml\fR
The configuration that the packaged unit names. An example that is not in force is beside it.
.TP
\fI/etc/wharfinger/environment\fR
Variables for the daemon, such as a token of Consul's.
.TP
\fI/usr/share/wharfinger/plugins\fR
The library of policies.
.TP
\fI/usr/share/wharfinger/wharfinger.schema.json\fR
The schema of the configuration, for editors.
.SH EXIT STATUS
.TP
\fB0\fR
It was done.
.TP
\fB1\fR
It could not be done; also a command line of the daemon that cannot be used, as in registrator.
.TP
\fB2\fR
Something waits for a decision, or would change.
.TP
\fB64\fR
A command line that cannot be used.
.TP
\fB78\fR
A configuration that cannot be used.
"#;

/// With WHARFINGER_MAN in the environment the pages are written to that folder.
#[test]
fn every_command_has_a_page_with_its_flags() {
    let scratch = tempfile::tempdir().expect("a folder");
    let named = std::env::var_os("WHARFINGER_MAN");
    let folder = named.as_deref().map_or(scratch.path(), Path::new);
    fs::create_dir_all(folder).expect("a folder");
    let mut command = without_help(Cli::command()).version(env!("CARGO_PKG_VERSION"));
    command.build();
    clap_mangen::generate_to(command.clone(), folder).expect("the pages are written");
    let page = folder.join("wharfinger.1");
    let text = fs::read_to_string(&page).expect("the page of the program");
    fs::write(&page, text.trim_end().to_string() + MORE).expect("it is written");
    let mut found = 0;
    check(&command, "wharfinger", folder, &mut found);
    assert!(found > 20, "{found}");
    let pages = fs::read_dir(folder).expect("a folder").count();
    assert_eq!(pages, found, "there is a page for what is no command");
}

/// The same without the commands `help`, which have nothing to say in a manual.
fn without_help(command: Command) -> Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}

fn check(command: &Command, name: &str, folder: &Path, found: &mut usize) {
    let text = fs::read_to_string(folder.join(format!("{name}.1")));
    let text = text.unwrap_or_else(|error| panic!("{name}: {error}")).replace('\\', "");
    *found += 1;
    for flag in command.get_arguments().filter(|flag| !flag.is_hide_set()) {
        let long = flag.get_long().map(|long| format!("--{long}")).unwrap_or_default();
        assert!(text.contains(&long), "{name}: {long}");
    }
    for one in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        check(one, &format!("{name}-{}", one.get_name()), folder, found);
    }
}
