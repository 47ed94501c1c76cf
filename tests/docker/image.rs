//! The walkthrough that registrator's users know, with the image that the
//! Dockerfile builds.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use tokio::net::TcpStream;

use crate::common::{
    consul::{self, Consul},
    daemon,
    dockerd::Dockerd,
    looker::ask,
    plugin, ports, root,
    wait::until,
};

const SOON: Duration = Duration::from_secs(30);
pub(crate) const IMAGE: &str = "wharfinger:test";
const EXTERNAL: &str = "192.0.2.10";

fn command(command: &mut Command) {
    let output = command.output().expect("the command can be started");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {out}{err}");
}

/// Build the image. No image registry is reachable for a test, so that the
/// build stage's base is made from Debian's packages, and the binary is the one
/// under test.
pub(crate) fn build(docker: &Dockerd) {
    command(
        Command::new(root().join("tests/env/base-image.sh"))
            .arg("wharfinger-build-base")
            .env("DOCKER_HOST", docker.host()),
    );
    let context = tempfile::tempdir().expect("a folder");
    let put = |from: &Path, to: &str| {
        let to = context.path().join(to);
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder is made");
        fs::copy(from, to).expect("a file is copied");
    };
    put(&root().join("Dockerfile"), "Dockerfile");
    put(&root().join(".dockerignore"), ".dockerignore");
    put(daemon::Daemon::binary(), "dist/wharfinger");
    put(&plugin("require"), "dist/plugins/wharfinger_require.wasm");
    let build = docker
        .docker(&["build", "--build-arg", "BUILD_IMAGE=wharfinger-build-base", "-t", IMAGE])
        .arg(context.path())
        .env("DOCKER_BUILDKIT", "0")
        .output()
        .expect("docker can be started");
    assert!(
        build.status.success(),
        "{}{}",
        String::from_utf8_lossy(&build.stdout),
        String::from_utf8_lossy(&build.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_takes_the_place_of_registrators() {
    let docker = Dockerd::start().await;
    let bridge = docker.bridge_ip().to_string();
    let options = consul::Options { addresses: vec![bridge.clone()], ..consul::Options::default() };
    let consul = Consul::start(options).await;
    build(&docker);
    docker.import_busybox(
        "mycorp.com/myteam/myimage:0.5",
        &["CMD [\"httpd\",\"-f\",\"-p\",\"80\",\"-h\",\"/www\"]", "EXPOSE 80"],
    );
    let user = docker.run(&["image", "inspect", "-f", "{{.Config.User}}", IMAGE]);
    assert_eq!(user.trim(), "65532:65532");
    let size: u64 = docker
        .run(&["image", "inspect", "-f", "{{.Size}}", IMAGE])
        .trim()
        .parse()
        .expect("a number");
    assert!(size < 60 << 20, "{size}");
    eprintln!("the image has {size} bytes");

    let socket = format!("{}:/tmp/docker.sock", docker.socket().display());
    let uri = format!("consul://{bridge}:{}", consul.port());
    let id = docker.run(&[
        "run",
        "-d",
        "--name",
        "registrator",
        "-h",
        "box-reg",
        "-v",
        &socket,
        IMAGE,
        "-ip",
        EXTERNAL,
        "-resync",
        "60",
        &uri,
    ]);
    let logs = until(SOON, "the daemon looks at itself", async || {
        let output = docker.docker(&["logs", "registrator"]).output().map_err(|e| e.to_string())?;
        let logs = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        if logs.contains("no published ports") { Ok(logs) } else { Err(logs) }
    })
    .await;
    let lines = [
        format!("Starting wharfinger v{}", env!("CARGO_PKG_VERSION")),
        format!("Forcing host IP to {EXTERNAL}"),
        "consul: current leader".into(),
        format!("Using consul adapter: {uri}"),
        "Listening for Docker events".into(),
        // Docker lists a container some time after its program has begun.
        "Syncing services on ".into(),
        format!("ignored: {} no published ports", &id[..12]),
    ];
    let mut rest = logs.as_str();
    for line in &lines {
        let at =
            rest.find(line.as_str()).unwrap_or_else(|| panic!("{line:?} is not next in {logs}"));
        rest = &rest[at..];
    }

    let [port, other] = ports::free::<2>();
    let (publish, other) = (format!("{port}:80"), format!("{other}:80"));
    let image = "mycorp.com/myteam/myimage:0.5";
    docker.run(&["run", "-d", "--name", "srv", "-e", "SERVICE_NAME=files", "-p", &publish, image]);
    docker.run(&["run", "-d", "--name", "plain", "-p", &other, image]);
    let entry = async |name: &str| {
        until(SOON, format!("{name} in the catalog"), async || {
            consul.catalog_service(name).await.into_iter().next().ok_or("nothing".to_string())
        })
        .await
    };
    let files = entry("files").await;
    assert_eq!(files["ServiceAddress"], EXTERNAL);
    assert_eq!(files["ServicePort"], port);
    assert_eq!(files["ServiceID"], "box-reg:srv:80");
    assert_eq!(entry("myimage").await["ServiceID"], "box-reg:plain:80");
    docker.run(&["rm", "-f", "srv"]);
    until(SOON, "files leaves the catalog", async || {
        let left = consul.catalog_service("files").await;
        let logs = || docker.docker(&["logs", "registrator"]).output();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?} {:?}", logs())) }
    })
    .await;
    // SIGTERM ends it cleanly, and services stay registered.
    docker.run(&["stop", "registrator"]);
    let code = docker.run(&["inspect", "-f", "{{.State.ExitCode}}", "registrator"]);
    assert_eq!(code.trim(), "0");
    assert_eq!(entry("myimage").await["ServiceID"], "box-reg:plain:80");
    docker.run(&["rm", "-f", "plain"]);

    // With nothing that it could write to, no capability and the socket's group; and the image's
    // own policy in force.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wharfinger.toml");
    let policy = "[listen]\naddress = '0.0.0.0:8700'\nopen = true\nhosts = ['it']\n\
                  [[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n\
                  [[pipeline]]\nname = 'owner'\n\
                  file = '/usr/share/wharfinger/plugins/wharfinger_require.wasm'\n\
                  settings = { labels = { owner = {} } }\n";
    fs::write(&file, policy).expect("it is written");
    let readable = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    readable(folder.path(), 0o755);
    readable(&file, 0o644);
    let group = fs::metadata(docker.socket()).expect("a socket").gid().to_string();
    let configuration = format!("{}:/etc/wharfinger:ro", folder.path().display());
    docker.run(&["rm", "registrator"]);
    let arguments = [
        "run",
        "-d",
        "--name",
        "registrator",
        "-h",
        "box-reg",
        "--read-only",
        "--tmpfs",
        "/run/wharfinger:uid=65532,mode=0700",
        "-v",
        "cache:/.cache",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--group-add",
        &group,
        "-v",
        &socket,
        "-v",
        &configuration,
        IMAGE,
        "--config",
        "/etc/wharfinger/wharfinger.toml",
        "-ip",
        EXTERNAL,
        &uri,
    ];
    // Its policy is compiled at the first start alone, since the cache outlasts the container.
    for start in ["the first", "a later"] {
        let began = Instant::now();
        docker.run(&arguments);
        let up = began.elapsed();
        until(SOON, "its first line", async || {
            let logs = docker.docker(&["logs", "registrator"]).output();
            let logs = logs.map_err(|error| error.to_string())?;
            let said = [logs.stdout, logs.stderr].concat();
            if said.contains(&b'\n') { Ok(()) } else { Err(String::new()) }
        })
        .await;
        let spoke = began.elapsed();
        let place = "{{.NetworkSettings.IPAddress}}";
        let address = docker.run(&["inspect", "-f", place, "registrator"]);
        let at: SocketAddr = format!("{}:8700", address.trim()).parse().expect("an address");
        let ready = until(SOON, "it is ready", async || {
            TcpStream::connect(at).await.map_err(|error| error.to_string())?;
            let seen = ask(at, "GET /readyz HTTP/1.1\r\nHost: it\r\n\r\n").await;
            if seen.status == 200 { Ok(began.elapsed()) } else { Err(format!("{seen:?}")) }
        })
        .await;
        // For whoever wants to know.
        eprintln!("{start} start: docker run {up:?}, the first line {spoke:?}, ready {ready:?}");
        let compiled = docker.docker(&["logs", "registrator"]).output().expect("its log");
        let words = String::from_utf8_lossy(&compiled.stderr).into_owned();
        assert!(!words.contains("compiled plugins are not kept"), "{words}");
        if start == "the first" {
            docker.run(&["rm", "-f", "registrator"]);
        }
    }
    docker.run(&["run", "-d", "--name", "nobodys", "-p", &other, image]);
    docker.run(&["run", "-d", "--name", "anns", "-l", "owner=ann", "-p", &publish, image]);
    until(SOON, "only what has an owner", async || {
        let all = consul.catalog_service("myimage").await;
        let ids: Vec<_> = all.iter().map(|one| one["ServiceID"].clone()).collect();
        let logs = || docker.docker(&["logs", "registrator"]).output();
        if ids == ["box-reg:anns:80"] { Ok(()) } else { Err(format!("{ids:?} {:?}", logs())) }
    })
    .await;
    let health = ["exec", "registrator", "/bin/wharfinger", "health", "--live"];
    docker.run(&health);
}
