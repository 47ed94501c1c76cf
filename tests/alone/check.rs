//! Guarantee: `wharfinger check` says every fault of a configuration with the
//! stage's name, and of a sound one what each stage is.

use std::{fs, time::Duration};

use crate::common::{daemon::Daemon, plugin};

const SOON: Duration = Duration::from_secs(60);

/// The exit code of the check of this file, what it prints and what it logs.
async fn check(text: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("plugins")).expect("a folder");
    fs::write(folder.path().join("text.wasm"), "hello").expect("a file");
    let file = folder.path().join("wharfinger.toml");
    fs::write(&file, text).expect("the file is written");
    let path = file.to_str().expect("a path");
    let mut daemon = Daemon::start(&["check", "--config", path], &[]);
    let status = daemon.wait(SOON).await;
    (status.code(), daemon.stdout(), daemon.stderr())
}

#[tokio::test]
async fn a_sound_configuration_is_described_in_a_line_for_each_stage() {
    let text = format!(
        "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n\
         [[pipeline]]\nname = 'naming'\nfile = {:?}\nmode = 'monitor'\n",
        plugin("convention")
    );
    let (code, stdout, stderr) = check(&text).await;
    assert_eq!(code, Some(0), "{stderr}");
    let lines: Vec<Vec<&str>> =
        stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let [first, second] = &lines[..] else { panic!("{stdout}") };
    assert_eq!(first[..3], ["registrator", "enforce", "registrator"]);
    assert_eq!((first[4], &second[..3]), ("built-in", &["naming", "monitor", "convention"][..]));
    assert_eq!(second[4].len(), 64, "{stdout}");
}

#[tokio::test]
async fn without_a_file_the_default_is_checked() {
    let mut daemon = Daemon::start(&["check"], &[]);
    assert!(daemon.wait(SOON).await.success(), "{}", daemon.log());
    assert!(daemon.stdout().starts_with("registrator  enforce  registrator"), "{}", daemon.log());
}

#[tokio::test]
async fn every_fault_of_every_stage_is_said_in_one_run() {
    let text = format!(
        "[limits]\ntimeout = '1ms'\n\
         [[pipeline]]\nname = 'neither'\n\
         [[pipeline]]\nname = 'settings'\nfile = {:?}\nsettings = {{ owner-lable = 'x' }}\n\
         [[pipeline]]\nname = 'folder'\nfile = 'plugins'\n\
         [[pipeline]]\nname = 'text'\nfile = 'text.wasm'\n\
         [[pipeline]]\nname = 'missing'\nfile = 'none.wasm'\n\
         [[pipeline]]\nname = 'unknown'\nbuiltin = 'traefik'\n",
        plugin("convention")
    );
    let (code, stdout, stderr) = check(&text).await;
    assert_eq!((code, stdout.as_str()), (Some(78), ""), "{stderr}");
    for (place, fault) in [
        ("limits.timeout", "1ms"),
        ("stage \"neither\"", "either builtin or file"),
        ("stage \"settings\"", "owner-lable"),
        ("stage \"folder\"", "is a folder"),
        ("stage \"text\"", "not a WebAssembly file"),
        ("stage \"missing\"", "none.wasm"),
        ("stage \"unknown\"", "there is no built-in stage"),
    ] {
        let said = stderr.lines().any(|line| line.contains(place) && line.contains(fault));
        assert!(said, "{place}: {fault} is not in\n{stderr}");
    }
    assert!(stderr.contains("7 faults"), "{stderr}");
}

#[tokio::test]
async fn a_file_that_is_no_configuration_has_the_exit_code_of_run() {
    let (code, _, stderr) = check("[[pipeline]]\nname = 'a'\nmode = 'watch'\n").await;
    assert_eq!(code, Some(78));
    assert!(stderr.contains("watch") && stderr.contains("line 3"), "{stderr}");
}
