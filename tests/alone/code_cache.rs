//! Compiled code is kept and found again, compiled in a process of its own, and
//! whatever is fed to the loader, it answers with an error.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::common::{
    daemon::Daemon,
    fake_docker::FakeDocker,
    http::Activity,
    root,
    stages::{AMPLE, container, process, spec},
};
use bytesize::ByteSize;
use wharfinger::{
    error::error_chain,
    pipeline::Stage as _,
    stages::plugin::{Cache, Compiler, ComponentStage, HostOptions, LoadError, PluginHost},
};

const SOON: Duration = Duration::from_secs(120);

fn host(cache: Option<&Path>) -> Arc<PluginHost> {
    let cache = cache.map(|folder| Cache::open(folder, ByteSize::mib(64)).expect("a cache"));
    let compiler = Compiler::Child(Daemon::binary().into());
    let options = HostOptions { cache, compiler, ..HostOptions::default() };
    Arc::new(PluginHost::new(options).expect("this machine runs WebAssembly"))
}

async fn load(host: &Arc<PluginHost>, name: &str) -> Result<ComponentStage, LoadError> {
    let settings = if matches!(name, "hostile" | "granted") { "null" } else { "{}" };
    host.load(spec(crate::common::plugin(name), settings, AMPLE)).await
}

#[tokio::test]
async fn a_warm_start_compiles_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let names = ["registrator", "convention", "hostile", "wasi_probe", "minimal"];
    let mut times = Vec::new();
    for compilations in [5, 0] {
        let host = host(Some(&cache));
        let began = Instant::now();
        let mut stages = Vec::new();
        for name in names {
            let stage = match name {
                "convention" => {
                    let settings = r#"{"tag": "x"}"#;
                    host.load(spec(crate::common::plugin(name), settings, AMPLE)).await
                }
                "wasi_probe" => host.load(spec(crate::common::plugin(name), "null", AMPLE)).await,
                _ => load(&host, name).await,
            };
            stages.push(stage.unwrap_or_else(|error| panic!("{name}: {}", error_chain(&error))));
        }
        times.push(began.elapsed());
        assert_eq!(host.compilations(), compilations);
        let (container, facts, services) = container(&[]);
        let minimal = stages[4].process(&container, &facts, &services).await;
        assert!(minimal.result.is_ok(), "{:?}", minimal.result);
    }
    println!("five stages: {:?} compiled, {:?} from the cache", times[0], times[1]);

    // A damaged entry is made again, and is then whole.
    for entry in fs::read_dir(&cache).expect("the cache") {
        let path = entry.expect("an entry").path();
        let mut bytes = fs::read(&path).expect("an entry");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(&path, bytes).expect("it can be written");
    }
    for compilations in [1, 0] {
        let host = host(Some(&cache));
        let stage = load(&host, "minimal").await.expect("it loads");
        assert_eq!(host.compilations(), compilations);
        assert!(process(&stage, &[]).await.result.is_ok());
    }
}

#[tokio::test]
async fn one_content_is_compiled_once_and_what_the_compiler_says_is_said() {
    let host = host(None);
    let first = load(&host, "minimal").await.expect("it loads");
    let second = load(&host, "minimal").await.expect("it loads");
    assert_eq!(host.compilations(), 1);
    drop((first, second));
    load(&host, "minimal").await.expect("it loads");
    assert_eq!(host.compilations(), 2, "what nobody uses is not kept in memory");

    // A function whose type and body do not agree.
    let bytes = crate::common::guest::stage(
        "(func (result i32) (i64.const 0))",
        crate::common::guest::KEEP,
    );
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), bytes).expect("it is written");
    let error = host.load(spec(file.path().into(), "{}", AMPLE)).await.err().expect("damaged");
    let text = error_chain(&error);
    assert!(matches!(error, LoadError::Compile { .. }), "{text}");
    assert!(text.contains("offset"), "{text}");

    // Without the program that compiles, it is done here.
    let compiler = Compiler::Child("/nonexistent/wharfinger".into());
    let options = HostOptions { compiler, ..HostOptions::default() };
    let host = Arc::new(PluginHost::new(options).expect("a host"));
    load(&host, "minimal").await.expect("it loads");
}

#[test]
fn the_process_that_compiles_has_limits_and_says_what_is_wrong() {
    let mut child = Command::new(Daemon::binary());
    child.arg(wharfinger::stages::plugin::COMPILE_COMMAND);
    let empty = child.stdin(std::process::Stdio::null()).output().expect("it can be run");
    assert_eq!(empty.status.code(), Some(1));
    assert!(!empty.stderr.is_empty() && empty.stdout.is_empty());
    let help = Command::new(Daemon::binary()).arg("--help").output().expect("it can be run");
    let help = String::from_utf8_lossy(&help.stderr).into_owned();
    assert!(help.contains("plan") && !help.contains("compile-component"), "{help}");
}

fn configuration(folder: &Path, head: &str) -> String {
    let mut text = format!("{head}\n[[pipeline]]\nname = 'first'\nbuiltin = 'registrator'\n");
    for n in 0..5 {
        let file = crate::common::plugin(["registrator", "convention", "wasi_probe"][n % 3]);
        let copy = folder.join(format!("{n}.wasm"));
        // Each is a component of its own, by a custom section at its end.
        let mut bytes = fs::read(file).expect("a component");
        bytes.extend([0, 3, 1, b'n', u8::try_from(n).expect("a digit")]);
        fs::write(&copy, bytes).expect("it is written");
        text += &format!("[[pipeline]]\nname = 'stage-{n}'\nfile = {copy:?}\ntimeout = '5s'\n");
    }
    let path = folder.join("wharfinger.toml");
    fs::write(&path, text).expect("it is written");
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_code_where_a_flag_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let docker = FakeDocker::start(Activity::default());
    let config = configuration(folder.path(), "");
    let code = folder.path().join("by-flag");
    let entries = || {
        let all = fs::read_dir(&code).expect("the folder").map(|one| one.expect("an entry").path());
        all.map(|path| (path.clone(), fs::read(path).expect("code"))).collect::<BTreeMap<_, _>>()
    };
    let kept = code.display().to_string();
    let mut daemon = Daemon::start(
        &["run", "--config", &config, "--cache-dir", &kept, "-ip", "192.0.2.1", "memory://"],
        &[("DOCKER_HOST", &docker.host())],
    );
    daemon.wait_for_log("Listening for Docker events", SOON).await;
    let first = entries();
    assert_eq!(first.len(), 5);
    // The same file, and one with a component more: what was compiled is not compiled again.
    daemon.signal("HUP");
    daemon.wait_for_log("read again; the pipeline is the same", SOON).await;
    let (bytes, more) =
        (fs::read(crate::common::plugin("minimal")), folder.path().join("more.wasm"));
    fs::write(&more, bytes.expect("a component")).expect("it is written");
    let text = fs::read_to_string(&config).expect("the file");
    let text = format!("{text}[[pipeline]]\nname = 'more'\nfile = {more:?}\ntimeout = '5s'\n");
    fs::write(&config, text).expect("it is written");
    daemon.wait_for_log("reloaded; the new pipeline is in force", SOON).await;
    let now = entries();
    assert_eq!(now.len(), 6);
    assert!(first.iter().all(|(path, bytes)| now.get(path) == Some(bytes)));
    let log = daemon.log();
    assert!(!log.contains("are not kept"), "{log}");
    daemon.terminate().await;
}

/// systemd makes the folder of a unit with a user of its own a symbolic link, which the daemon takes for none.
#[tokio::test(flavor = "multi_thread")]
async fn the_unit_of_the_packages_keeps_code_where_systemd_makes_a_link() {
    let unit = root().join("packaging/systemd/wharfinger.service");
    let unit = fs::read_to_string(unit).expect("the unit");
    let of = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or_else(|| panic!("{key} is not in the unit"))
    };
    let (name, mode) = (of("CacheDirectory="), of("CacheDirectoryMode="));
    let folder = of("Environment=WHARFINGER_CACHE_DIR=").strip_prefix("/var/cache/");
    let machine = tempfile::tempdir().expect("a folder");
    let private = machine.path().join("private").join(name);
    fs::create_dir_all(&private).expect("a folder");
    let mode = u32::from_str_radix(mode, 8).expect("a mode");
    fs::set_permissions(&private, fs::Permissions::from_mode(mode)).expect("it is ours");
    std::os::unix::fs::symlink(&private, machine.path().join(name)).expect("a link");

    let docker = FakeDocker::start(Activity::default());
    let config = configuration(machine.path(), "");
    let kept = machine.path().join(folder.expect("below /var/cache")).display().to_string();
    let daemon = Daemon::start(
        &["run", "--config", &config, "-ip", "192.0.2.1", "memory://"],
        &[("DOCKER_HOST", &docker.host()), ("WHARFINGER_CACHE_DIR", &kept)],
    );
    daemon.wait_for_log("Listening for Docker events", SOON).await;
    assert_eq!(fs::read_dir(&kept).expect("the folder").count(), 5, "{}", daemon.log());
    assert!(!daemon.log().contains("are not kept"), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_keeps_code_where_it_is_told_and_stays_small() {
    let folder = tempfile::tempdir().expect("a folder");
    let docker = FakeDocker::start(Activity::default());
    let config = configuration(folder.path(), "[cache]\ndir = 'code'\nsize = '64MiB'");
    for start in ["cold", "warm"] {
        let began = Instant::now();
        let mut daemon = Daemon::start(
            &["run", "--config", &config, "-ip", "192.0.2.1", "memory://"],
            &[("DOCKER_HOST", &docker.host())],
        );
        daemon.wait_for_log("Listening for Docker events", SOON).await;
        let took = began.elapsed();
        println!(
            "{start}: {took:?}, resident {} KiB, of which its own {} KiB, peak {} KiB",
            daemon.memory_kib("VmRSS"),
            daemon.memory_kib("RssAnon"),
            daemon.memory_kib("VmHWM")
        );
        // Its own: how much of the program's file and of the code's files is resident is up to the
        // system, and the program under test is larger than the one that is shipped.
        assert!(daemon.memory_kib("RssAnon") < 24 * 1024, "{} KiB", daemon.memory_kib("RssAnon"));
        daemon.terminate().await;
    }
    let code = folder.path().join("code");
    assert_eq!(fs::read_dir(&code).expect("the folder").count(), 5);
    assert_eq!(fs::metadata(&code).expect("the folder").permissions().mode() & 0o7777, 0o700);

    // A folder that others can write is not used, which is said once.
    fs::set_permissions(&code, fs::Permissions::from_mode(0o777)).expect("chmod");
    let mut daemon = Daemon::start(
        &["run", "--config", &config, "-ip", "192.0.2.1", "memory://"],
        &[("DOCKER_HOST", &docker.host())],
    );
    daemon.wait_for_log("Listening for Docker events", SOON).await;
    let log = daemon.log();
    let said: Vec<_> = log.lines().filter(|line| line.contains("are not kept")).collect();
    assert!(said.len() == 1 && said[0].contains("has the mode 0777"), "{log}");
    daemon.terminate().await;
}

/// A small generator of numbers, the same ones for the same seed (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most.max(1) as u64).expect("it is small")
    }

    /// Random bytes, or a component with some bytes changed, cut out or put in.
    fn file(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        if self.below(10) == 0 {
            let head: &[u8] = if self.below(2) == 0 { b"\0asm\x0d\0\x01\0" } else { b"" };
            let count = self.below(2000);
            return head.iter().copied().chain((0..count).map(|_| self.next() as u8)).collect();
        }
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                break;
            }
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes[at] = self.next() as u8,
                1 => bytes[at] ^= 1 << self.below(8),
                2 => drop(bytes.drain(at..(at + self.below(64)).min(bytes.len()))),
                3 => {
                    let part = bytes[at..(at + self.below(64)).min(bytes.len())].to_vec();
                    let to = self.below(bytes.len());
                    drop(bytes.splice(to..to, part));
                }
                _ => bytes.truncate(at),
            }
        }
        bytes
    }
}

/// `WHARFINGER_FUZZ_SECONDS` and `WHARFINGER_FUZZ_SEED` make it longer and
/// different: `make fuzz`.
#[tokio::test(flavor = "multi_thread")]
async fn random_and_mutated_files_are_answered_with_an_error_or_a_stage() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = setting("WHARFINGER_FUZZ_SECONDS");
    let seed = setting("WHARFINGER_FUZZ_SEED").unwrap_or(20_260_701);
    println!("seed {seed}");
    let mut numbers = Numbers(seed.max(1));
    let small = crate::common::guest::VERSIONS.map(|version| {
        crate::common::guest::stage_of(version, "(table 2 funcref)", crate::common::guest::KEEP)
    });
    let minimal = fs::read(crate::common::plugin("minimal")).expect("a component");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fuzzed.wasm");
    // A mutated guest may well loop or recurse where it is called.
    let limits = wharfinger::stages::plugin::Limits { timeout: Duration::from_millis(50), ..AMPLE };
    let plugins = crate::common::stages::plugin_host();
    let (mut tried, mut kinds) = (0, std::collections::BTreeMap::<&str, u32>::new());
    let began = Instant::now();
    let more = |tried| match seconds {
        Some(seconds) => began.elapsed() < Duration::from_secs(seconds),
        None => tried < 10_000,
    };
    while more(tried) {
        // Most are small, since each that can be compiled is.
        let seeds = if tried % 100 == 0 { &minimal } else { &small[tried % 2] };
        let bytes = numbers.file(std::slice::from_ref(seeds));
        fs::write(&file, &bytes).expect("it is written");
        let loaded = plugins.load(spec(file.clone(), "{}", limits)).await;
        let kind = match &loaded {
            Ok(stage) => {
                // Whatever it answers, it is an answer.
                drop(process(stage, &[]).await);
                "loaded"
            }
            Err(LoadError::Invalid(..)) => "invalid",
            Err(LoadError::Compile { reason, .. }) => {
                assert!(!reason.contains("panic"), "file {tried} of seed {seed}: {reason}");
                "compile"
            }
            Err(LoadError::Link { .. }) => "link",
            Err(LoadError::Call { .. }) => "call",
            Err(LoadError::Parts { .. }) => "parts",
            Err(LoadError::Settings { .. }) => "settings",
            Err(error) => panic!("file {tried} of seed {seed}: {}", error_chain(error)),
        };
        *kinds.entry(kind).or_default() += 1;
        tried += 1;
    }
    println!("{tried} files in {:?}: {kinds:?}", began.elapsed());
    assert!(kinds.len() >= 4, "{kinds:?}");
}
