//! What a recorded case says of each phase: what happened, and what registrator
//! wrote.

use std::collections::BTreeSet;

use serde_json::Value;

use super::corpus::Case;
use super::losses::Loss;
use super::recording_consul::Write;

/// A recorded phase.
pub struct Phase<'a> {
    pub recorded: &'a Value,
    /// The writes, with the milliseconds since the phase began and whether they
    /// were accepted.
    pub writes: Vec<(u64, Write, bool)>,
}

impl Phase<'_> {
    pub fn action(&self) -> &str {
        self.recorded["action"].as_str().unwrap_or_default()
    }

    pub fn events(&self) -> &[Value] {
        self.recorded["events"].as_array().map_or(&[], Vec::as_slice)
    }

    /// What `docker inspect` prints of a container at the end of the phase, if it
    /// changed: null if the container is gone.
    pub fn changed(&self, name: &str) -> Option<&Value> {
        self.recorded["docker_inspect_changed"].get(name)
    }

    /// How many writes were made before the time of an event, with some
    /// tolerance between the two clocks.
    pub fn writes_before(&self, event: &Value) -> usize {
        let until = event["t_ms"].as_u64().unwrap_or_default().saturating_sub(30);
        self.writes.iter().filter(|(at, ..)| *at < until).count()
    }
}

pub fn phases(case: &Case) -> Vec<Phase<'_>> {
    let phases = case.value["phases"].as_array().expect("a case has phases");
    let phase = |recorded| Phase { recorded, writes: calls(recorded).collect() };
    phases.iter().map(phase).collect()
}

fn calls(phase: &Value) -> impl Iterator<Item = (u64, Write, bool)> {
    phase["calls"].as_array().into_iter().flatten().filter_map(|call| {
        let (method, path) = (call["method"].as_str()?, call["path"].as_str()?);
        let write = Write::of(method, path, &call["body"])?;
        Some((call["t_ms"].as_u64()?, write, call["status"] == 200))
    })
}

/// The writes that Consul refused, with its words.
pub fn refusals(case: &Case) -> Vec<(Write, u16, String)> {
    let phases = case.value["phases"].as_array().into_iter().flatten();
    let calls = phases.flat_map(|phase| phase["calls"].as_array().into_iter().flatten());
    calls
        .filter_map(|call| {
            let status = call["status"].as_u64().filter(|status| *status != 200)?;
            let write = Write::of(call["method"].as_str()?, call["path"].as_str()?, &call["body"])?;
            let words = call["response"].as_str().unwrap_or_default().to_string();
            Some((write, u16::try_from(status).ok()?, words))
        })
        .collect()
}

/// What a phase must bring.
pub struct Expected {
    pub writes: Vec<Write>,
    /// With resyncs, how often a write is made depends on the time: each of
    /// `writes` at least once, and anything of these as often as it likes.
    pub also: Option<BTreeSet<Write>>,
}

impl Expected {
    /// How the writes that were made differ from these, if they do.
    pub fn fault(&self, made: &[Write]) -> Option<String> {
        let (mut wanted, mut made) = (self.writes.clone(), made.to_vec());
        wanted.sort();
        made.sort();
        let fits = match &self.also {
            None => wanted == made,
            Some(also) => {
                wanted.iter().all(|write| made.contains(write))
                    && made.iter().all(|write| wanted.contains(write) || also.contains(write))
            }
        };
        (!fits).then(|| format!("expected {wanted:?}, beside {:?}, made {made:?}", self.also))
    }

    /// Whether all that must come is there.
    pub fn is_there(&self, made: &[Write]) -> bool {
        match &self.also {
            None => made.len() >= self.writes.len(),
            Some(_) => self.writes.iter().all(|write| made.contains(write)),
        }
    }
}

/// The expectations of all phases, with what a loss changes about them.
pub fn expectations(case: &Case, phases: &[Phase], loss: Option<&Loss>) -> Vec<Expected> {
    let resync = case.flag("-resync").is_some();
    let recorded: Vec<_> = phases.iter().flat_map(|phase| &phase.writes).collect();
    let (mut before, mut accepted) = (BTreeSet::new(), BTreeSet::new());
    let mut all = Vec::new();
    for (index, phase) in phases.iter().enumerate() {
        let mut writes: Vec<_> = phase.writes.iter().map(|(_, write, _)| write.clone()).collect();
        for (_, difference) in loss.into_iter().flat_map(|l| l.differences).filter(|d| d.0 == index)
        {
            let (sign, text) = difference.split_at(1);
            let known = recorded.iter().map(|(_, write, _)| write);
            let write = known.into_iter().find(|write| write.to_string() == text).cloned();
            match sign {
                "-" => writes.retain(|write| write.to_string() != text),
                _ => writes.push(write.unwrap_or_else(|| deregistration(text))),
            }
        }
        before.extend(writes.iter().cloned());
        let also = resync.then(|| before.clone());
        if resync {
            // What Consul has already is not written again.
            writes.retain(|write| !accepted.contains(write));
            accepted.extend(phase.writes.iter().filter(|w| w.2).map(|(_, write, _)| write.clone()));
        }
        all.push(Expected { writes, also });
    }
    all
}

fn deregistration(text: &str) -> Write {
    let id =
        text.strip_prefix("deregister ").expect("a write that is recorded, or no registration");
    Write::Deregister(id.into())
}
