//! A stage that misbehaves when a container's label `hostile` says so, and
//! keeps everything else as it is. It exists to test the host's limits.

use std::hint::black_box;

use wharfinger_plugin::{
    Container, Description, HostFacts, Outcome, Service, Stage, Verdict, logging,
};

/// The stage.
pub struct Hostile;

wharfinger_plugin::export!(Hostile);

impl Stage for Hostile {
    type Settings = serde_json::Value;

    fn describe() -> Description {
        Description::new("hostile", env!("CARGO_PKG_VERSION"), "Misbehaves when it is told to.")
    }

    fn process(
        _settings: &Self::Settings,
        container: &Container,
        _host: &HostFacts,
        services: Vec<Service>,
    ) -> Result<Outcome, String> {
        let count = services.len();
        match container.label("hostile").unwrap_or_default() {
            "loop" => endless_loop(),
            "trap" => panic!("a panic of the guest"),
            "recursion" => drop(black_box(endless_recursion(1))),
            "memory" => memory_bomb(),
            "log" => (0..1_000_000).for_each(|n| logging::info(format!("line {n}"))),
            "error" => return Err("this container is beyond me".into()),
            "count" => return Ok(Outcome::keep_all(count + 1)),
            "newline" => return Ok(renamed(services, "a\nb")),
            "empty" => return Ok(renamed(services, "")),
            "big" => return Ok(tagged(services, 100 << 20)),
            "output" => return Ok(tagged(services, 8 << 20)),
            "tags" => return Ok(many_tags(services, 1_000)),
            "services" => return Ok(added(services, |n| format!("added-{n}"), 1_001)),
            "duplicate" => return Ok(added(services, |_| "the-same".into(), 2)),
            "foreign" => return Ok(added(services, |_| "otherhost:app:80".into(), 1)),
            "long-log" => logging::info("x".repeat(8 << 20)),
            "log-100" => (0..100).for_each(|n| logging::info(format!("line {n}"))),
            "forge" => return Err(format!("no\n{}", "x".repeat(100_000))),
            "forge-veto" => return Ok(Outcome::each(services, |_| Verdict::veto("a\nb"))),
            "env" => {
                for entry in &container.env {
                    logging::info(format!("sees {}", entry.key));
                }
            }
            _ => {}
        }
        Ok(Outcome::keep_all(count))
    }
}

fn endless_loop() {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

#[expect(unconditional_recursion, reason = "this is what it is for")]
fn endless_recursion(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    black_box(endless_recursion(depth + 1)) + frame[0]
}

fn memory_bomb() {
    let mut blocks = Vec::new();
    loop {
        blocks.push(black_box(vec![1_u8; 1 << 20]));
    }
}

fn renamed(services: Vec<Service>, name: &str) -> Outcome {
    Outcome::each(services, |mut service| {
        service.name = name.into();
        Verdict::replace(service)
    })
}

fn tagged(services: Vec<Service>, bytes: usize) -> Outcome {
    Outcome::each(services, |mut service| {
        service.tags.push("x".repeat(bytes));
        Verdict::replace(service)
    })
}

fn many_tags(services: Vec<Service>, count: usize) -> Outcome {
    Outcome::each(services, |mut service| {
        service.tags = (0..count).map(|n| format!("tag-{n}")).collect();
        Verdict::replace(service)
    })
}

fn added(services: Vec<Service>, id: impl Fn(usize) -> String, count: usize) -> Outcome {
    let mut outcome = Outcome::keep_all(services.len());
    if let Some(first) = services.first() {
        outcome.added = (0..count).map(|n| Service { id: id(n), ..first.clone() }).collect();
    }
    outcome
}
