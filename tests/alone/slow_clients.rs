//! Guarantee: whoever looks on as slowly as can be keeps no container waiting. Containers start one after the
//! other while 50 clients scrape, stream and read the page a few bytes at a time: each is committed, none is
//! lost, and the daemon ends as ever.
//!
//! Times and memory, without the clients and with them, are printed: `SLOW_CLIENTS=1000` is the large measure,
//! with so many containers, on what is shipped if WHARFINGER_BIN names it.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    task::JoinSet,
};

use crate::common::{
    daemon::Daemon,
    fake_docker::FakeDocker,
    http::Activity,
    looker::{address, get, start},
    plugin,
    recording_consul::{RecordingConsul, Write},
    wait::until,
};

/// For all of it, on a busy machine.
const SOON: Duration = Duration::from_secs(180);
/// What clients ask for, ten each.
const PATHS: [&str; 5] =
    ["/metrics", "/api/v1/events", "/", "/api/v1/containers", "/api/v1/status"];
const EACH: usize = 10;
/// The time between two starts.
const PACE: Duration = Duration::from_millis(10);
const LABELS: [(&str, &str); 2] = [("owner", "ann"), ("team", "shop")];

/// A client that takes a few bytes now and then, and comes again when it is sent away.
async fn look(at: SocketAddr, path: &'static str, taken: Arc<AtomicUsize>) {
    loop {
        let socket = TcpSocket::new_v4().expect("a socket");
        // So that what it does not take stays with the daemon.
        socket.set_recv_buffer_size(2048).expect("a small buffer");
        if let Ok(mut stream) = socket.connect(at).await {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n");
            let mut bytes = [0; 16];
            let mut goes_on = stream.write_all(request.as_bytes()).await.is_ok();
            while goes_on {
                let count = stream.read(&mut bytes).await.unwrap_or_default();
                taken.fetch_add(count, Ordering::Relaxed);
                goes_on = count > 0;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What was measured of one story.
struct Story {
    /// From the event to the commit, sorted.
    times: Vec<Duration>,
    /// At most, in KiB.
    memory: u64,
}

impl Story {
    fn time(&self, percent: usize) -> Duration {
        self.times[(self.times.len() - 1) * percent / 100]
    }
}

/// So many containers start on a host of its own, looked at by clients or not.
async fn story(count: usize, looked_at: bool) -> Story {
    let folder = tempfile::tempdir().expect("a folder");
    let activity = Activity::default();
    let docker = FakeDocker::start(activity.clone());
    let consul = RecordingConsul::start(activity, Vec::new()).await;
    let file = folder.path().join("wharfinger.toml");
    let text = format!(
        "[listen]\naddress = '127.0.0.1:0'\n\
         [[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n\
         [[pipeline]]\nname = 'convention'\nfile = {:?}\n\
         settings = {{ owner-label = 'owner', team-label = 'team' }}\n",
        plugin("convention")
    );
    fs::write(&file, text).expect("it is written");
    let file = file.display().to_string();
    let uri = consul.uri();
    let args = ["run", "--config", &file, "-ip", "192.0.2.10", "--hostname", "h", &uri];
    let mut daemon = Daemon::start(&args, &[("DOCKER_HOST", &docker.host())]);
    let at = address(&daemon).await;
    until(SOON, "it is ready", async || {
        let seen = get(at, "/readyz").await;
        if seen.status == 200 { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;

    let mut clients = JoinSet::new();
    let taken = PATHS.map(|_| Arc::new(AtomicUsize::new(0)));
    if looked_at {
        for (path, taken) in PATHS.iter().zip(&taken) {
            (0..EACH).for_each(|_| drop(clients.spawn(look(at, path, taken.clone()))));
        }
        until(SOON, "all kinds are answered", async || {
            let none = taken.iter().position(|taken| taken.load(Ordering::Relaxed) < 64);
            none.map_or(Ok(()), |kind| Err(PATHS[kind].to_string()))
        })
        .await;
    }

    let mut started = vec![None; count];
    let mut times = Vec::new();
    let (mut next, mut known, began) = (0, 0, Instant::now());
    while times.len() < count {
        assert!(began.elapsed() < SOON, "{} of {count} are committed", times.len());
        while next < count && began.elapsed() >= PACE * next as u32 {
            started[next] = Some(Instant::now());
            start(&docker, &format!("c{next}"), next + 1, &LABELS);
            next += 1;
        }
        let writes = consul.writes(known);
        known += writes.len();
        for write in writes {
            let Write::Register(id, _) = write else { panic!("{write} was not asked for") };
            let number = id.strip_prefix("h:c").and_then(|rest| rest.split(':').next());
            let number: usize = number.and_then(|number| number.parse().ok()).expect("a number");
            let at = started[number].take().expect("each is written once, after its start");
            times.push(at.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(consul.count(), count, "and stays");
    if looked_at {
        let before = taken.each_ref().map(|taken| taken.load(Ordering::Relaxed));
        until(SOON, "they look on", async || {
            let now = taken.each_ref().map(|taken| taken.load(Ordering::Relaxed));
            if now.iter().zip(&before).any(|(now, before)| now > before) {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            }
        })
        .await;
    }
    let memory = daemon.memory_kib("VmHWM");
    assert!(daemon.terminate().await.success(), "{}", daemon.log());
    assert_eq!(consul.count(), count, "services stay when it ends");
    times.sort();
    Story { times, memory }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_slow_clients_keep_no_container_waiting() {
    let asked = std::env::var("SLOW_CLIENTS").ok();
    let count = asked.map_or(150, |count| count.parse().expect("a number of containers"));
    let alone = story(count, false).await;
    let looked_at = story(count, true).await;
    for (what, story) in [("nobody looks", &alone), ("50 clients look", &looked_at)] {
        println!(
            "{count} containers, {what}: from event to commit {:.1?} (median), {:.1?} (99 %), {:.1?} (most); \
             memory {} KiB at most",
            story.time(50),
            story.time(99),
            story.time(100),
            story.memory
        );
    }
    let most = looked_at.time(100);
    assert!(most < Duration::from_secs(60), "a container waited {most:?}");
}
