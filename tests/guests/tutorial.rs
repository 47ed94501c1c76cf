//! Guarantee: the tutorial in plugins/README.md works as it stands. Its commands
//! are run in their order, in an empty folder, and say what the page says.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use crate::common::{
    author::shared,
    consul::{Consul, Options},
    daemon::Daemon,
};

/// A marked block of the page.
#[derive(Debug, PartialEq)]
enum Block {
    /// Commands of a shell.
    Run(String),
    /// What the commands before print, among other lines.
    Output(String),
    /// A file and its content.
    File(String, String),
}

/// The blocks that have a mark before them.
fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let mark = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
        let Some(mark) = mark.filter(|mark| !mark.starts_with("reference")) else { continue };
        let fence = lines.next().unwrap_or_default();
        assert!(fence.starts_with("```"), "a block follows the mark {mark:?}");
        let content: String = lines
            .by_ref()
            .take_while(|line| *line != "```")
            .map(|line| format!("{line}\n"))
            .collect();
        found.push(match mark.split_once(": ") {
            None if mark == "run" => Block::Run(content),
            None if mark == "output" => Block::Output(content),
            Some(("file", name)) => Block::File(name.into(), content),
            _ => panic!("unknown mark {mark:?}"),
        });
    }
    found
}

/// Whether a line has the parts of a pattern, between which `…` stands, in this
/// order.
fn like(line: &str, pattern: &str) -> bool {
    let mut rest = line;
    pattern.trim().split('…').all(|part| match rest.split_once(part.trim_end_matches(' ')) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

#[test]
fn a_pattern_is_found_in_a_line() {
    for (line, pattern, expected) in [
        ("new   env  300 µs", "new   env  …", true),
        ("a/dist/x.wasm", "…/dist/x.wasm", true),
        ("10 passed, 0 failed", "11 passed, 0 failed", false),
        ("b a", "a … b", false),
    ] {
        assert_eq!(like(line, pattern), expected, "{line} {pattern}");
    }
}

/// Run commands in the folder that the ones before have ended in.
fn run(commands: &str, folder: &mut std::path::PathBuf, path: &str, consul: &str) -> String {
    let mut shell = Command::new("sh")
        .arg("-eu")
        .current_dir(&*folder)
        .env("PATH", path)
        .env("CONSUL_HTTP_ADDR", consul)
        .envs(shared())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell");
    let script = format!("{commands}\necho \"ended in $PWD\"\n");
    shell.stdin.take().expect("its input").write_all(script.as_bytes()).expect("it reads");
    let output = shell.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{commands}\n{said}\n{errors}");
    let (said, end) = said.rsplit_once("ended in ").expect("the last line");
    *folder = end.trim_end().into();
    said.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorial_works_as_it_stands() {
    let page =
        fs::read_to_string(crate::common::root().join("plugins/README.md")).expect("the page");
    let blocks = blocks(&page);
    assert!(blocks.len() > 12, "{blocks:#?}");
    let consul = Consul::start(Options::default()).await;
    let address = consul.addr();
    let programs = Daemon::binary().parent().expect("its folder").display().to_string();
    let tools =
        crate::common::tool("consul", "consul").parent().expect("its folder").display().to_string();
    let path = format!("{programs}:{tools}:{}", std::env::var("PATH").expect("a path"));

    let start = tempfile::tempdir().expect("a folder");
    let mut folder = start.path().to_path_buf();
    let mut said = String::new();
    for block in blocks {
        match block {
            Block::Run(commands) => said = run(&commands, &mut folder, &path, &address),
            Block::File(name, content) => {
                // The agent of the test has a port of its own.
                let content = content.replace("127.0.0.1:8500", &address);
                fs::write(folder.join(name), content).expect("the file is written");
            }
            Block::Output(lines) => {
                let mut rest = said.lines();
                for wanted in lines.lines() {
                    assert!(rest.any(|line| like(line, wanted)), "{wanted:?} is not in\n{said}");
                }
            }
        }
    }
    assert!(folder.ends_with("go-names"), "{}", folder.display());
}
