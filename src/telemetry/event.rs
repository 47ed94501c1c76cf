//! The kinds of events in the log: a short name for each, which stays, so that programs find it;
//! the fields that it may have beside `timestamp`, `level`, `event` and `message`; and which
//! warnings last, so that they are told once and then counted.
//!
//! It is all that the log says at the levels from INFO on, and docs/log.md is this list for
//! readers.

/// A kind of event.
#[derive(Debug)]
pub struct Kind {
    /// Its name in the field `event`.
    pub name: &'static str,
    /// Its name in this program's source.
    pub constant: &'static str,
    /// The fields that it may have of its own.
    pub fields: &'static [&'static str],
    /// Its meaning, for people.
    pub meaning: &'static str,
    /// The lasting warnings about the same subject that are over once this is told.
    pub ends: &'static [&'static str],
}

/// The fields of an event's subject: the container's full identifier and its name, the name and
/// the ID of a service, the stage, the file.
pub const SUBJECT: [&str; 6] = ["container.id", "container.name", "service", "id", "stage", "file"];

macro_rules! kinds {
    ($($constant:ident $name:literal [$($field:literal)*] $([ends $($ended:ident)*])? $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $constant: &str = $name;)*

        /// All kinds, in the order of the list.
        pub const ALL: &[Kind] = &[$(Kind {
            name: $constant,
            constant: stringify!($constant),
            fields: &[$($field),*],
            meaning: $meaning,
            ends: &[$($($ended),*)?],
        }),*];
    };
}

kinds! {
    // The daemon.
    STARTING "starting" ["version"] "The daemon begins.";
    STOPPED "stopped" ["reason"] "It has ended as it was told to; `reason` says what became of the services.";
    ABANDONED "abandoned" ["container.id" "container.name" "reason"] "Work that had not ended in time; the next start makes up for it.";
    ENDED_BADLY "ended-badly" ["reason"] "A part of the daemon has ended that should not have.";
    FAILED "failed" ["reason"] "The daemon cannot begin, or not go on; it ends.";
    PANIC "panic" ["place" "reason"] "A fault of this program.";
    LIBRARY "library" ["library"] "What a library says; its fields are its own.";
    HOST_ADDRESS "host-address" ["host" "address" "reason"] "The address of this host, by `-ip`, or what speaks against the one that its name leads to.";
    REGISTRY "registry" ["adapter" "uri"] "The registry that is used.";
    REGISTRY_REACHED "registry-reached" ["reason"] [ends REGISTRY_AWAITED] "The registry has answered for the first time.";
    REGISTRY_AWAITED "registry-awaited" ["reason" "attempt"] "The registry does not answer yet, and is asked again.";
    WITHOUT_EFFECT "without-effect" ["reason"] "A flag, key or variable that does nothing here.";
    CAPABILITY_MISSING "capability-missing" ["reason"] "The capability that opens Docker's socket cannot be used.";
    CONTROL_LISTENING "control-listening" ["address"] "Commands reach the daemon there.";
    CONTROL_MISSING "control-missing" ["reason"] "No command reaches the daemon.";
    CONTROL_REFUSED "control-refused" [] "Somebody asked on the control socket who may not.";
    CONTROL_FAILED "control-failed" ["reason"] "The control socket takes no connection for a second.";
    HTTP_LISTENING "http-listening" ["address"] [ends HTTP_MISSING] "The daemon is looked at over HTTP there.";
    HTTP_MISSING "http-missing" ["address" "reason"] "Nothing is answered over HTTP; where the address cannot be had, it is tried again.";
    DECISIONS_WRITTEN "decisions-written" ["place"] [ends DECISIONS_UNWRITTEN] "Decisions are written there, for the first time or again.";
    DECISIONS_UNWRITTEN "decisions-unwritten" ["place" "reason"] "Decisions cannot be written there; all else goes on.";
    DECISIONS_DROPPED "decisions-dropped" ["count"] "So many decisions are missing in the decision log.";
    TRACES_SENT "traces-sent" ["place"] [ends TRACES_FAILING] "Traces are sent there, for the first time or again.";
    TRACES_FAILING "traces-failing" ["place" "reason"] "Traces cannot be sent there; all else goes on.";
    TRACES_DROPPED "traces-dropped" ["count"] "So many spans of traces were not sent.";
    MEMBER "member" ["service" "id"] [ends MEMBER_FAILING] "The daemon itself is registered, for the first time or again.";
    MEMBER_FAILING "member-failing" ["service" "id" "reason"] "The daemon itself cannot be registered, or not be told of; all else goes on.";
    MEMBER_MOVED "member-moved" ["service" "id" "old"] "The daemon registers itself under another ID: somebody else has the one that it had.";
    MEMBER_LEFT "member-left" ["service" "id"] "The daemon has deregistered itself at its end.";

    // What it is made of.
    RELOADED "reloaded" ["file"] "A changed pipeline is in force.";
    NOT_RELOADED "not-reloaded" ["file" "reason"] "A changed configuration is refused; what was in force stays so.";
    NOT_TRIED_OUT "not-tried-out" ["reason"] "It could not be foretold what a changed pipeline does.";
    CONFIG_WHOLE "config-whole" ["file"] "What was refused before is right again, and in force.";
    CONFIG_UNCHANGED "config-unchanged" ["file"] "It was to be read again, and there is nothing new.";
    RESTART_NEEDED "restart-needed" ["file" "keys"] "Keys have changed that count from the next start on.";
    POLICY_IN_FORCE "policy-in-force" ["policy" "sequence" "digest" "key"] "A policy is in force: taken over, or that of the last time at a start.";
    POLICY_REFUSED "policy-refused" ["digest" "reason"] "A policy is refused; what was in force stays so.";
    POLICY_LOST "policy-lost" ["file" "reason"] "The policy that was in force last cannot be used at this start.";
    POLICY_AWAITED "policy-awaited" ["reason"] "There is no policy yet; until one is, containers keep what they have.";
    POLICY_WAITS "policy-waits" ["digest" "reason"] "It is not this host's turn to take a policy.";
    POLICY_OVERRULES "policy-overrules" ["file" "reason"] "The policy stands above a part of the host's file, which does not count.";
    POLICY_SOURCE_FAILING "policy-source-failing" ["place" "reason"] "The source of the policy cannot be read; what is in force stays so.";
    POLICY_SOURCE_READ "policy-source-read" ["place"] [ends POLICY_SOURCE_FAILING] "It answers again.";
    POLICY_MOVED "policy-moved" ["place"] "A changed file says how the policy is come by: it is taken from there from now on.";
    POLICY_ASKED "policy-asked" ["place"] "SIGHUP came: the source of the policy is looked at now.";
    STAGE_LOADED "stage-loaded" ["stage" "mode" "plugin" "version" "digest"] "A stage of the pipeline.";
    STAGE_BROKEN "stage-broken" ["stage" "file" "mode" "on_error" "reason"] "A stage cannot be loaded.";
    STAGE_WHOLE "stage-whole" ["stage" "mode" "new"] [ends STAGE_BROKEN] "It can be loaded again.";
    STAGE_NEW "stage-new" ["stage" "mode" "new"] "A reload has brought a stage.";
    STAGE_CHANGED "stage-changed" ["stage" "mode" "old" "new"] "A reload has changed a stage: another plugin, other settings or rules.";
    STAGE_MODE "stage-mode" ["stage" "old" "new"] "A reload has changed whether a stage is enforced or monitored.";
    STAGE_GONE "stage-gone" ["stage" "old"] "A reload has taken a stage out.";
    STAGE_UNHEALTHY "stage-unhealthy" ["stage" "failing" "containers" "reason"] "A stage fails on most containers.";
    STAGE_HEALTHY "stage-healthy" ["stage" "failing" "containers"] "It does not any more.";
    CODE_NOT_KEPT "code-not-kept" ["file" "reason"] "Compiled code is not kept: the next start compiles again.";
    CODE_REJECTED "code-rejected" ["file" "reason"] "Compiled code that was kept is not used, and made again.";
    COMPILER_FAILED "compiler-failed" ["file" "reason"] "No process for compiling could be started; the daemon does it itself.";
    TEMPLATE_FAILED "template-failed" ["reason"] "A request of the template of `-tags` has failed.";

    // A container.
    IGNORED "ignored" ["container.id" "container.name" "stage" "service" "id" "reason"] "A container, or a port of it, is not offered.";
    VETOED "vetoed" ["container.id" "container.name" "service" "id" "stage" "reason"] "A stage keeps a service out.";
    GATED "not-registered" ["container.id" "container.name" "reason"] "Its health keeps a container out.";
    LABEL "label" ["container.id" "container.name" "reason"] "What a container says of itself cannot be used.";
    MESSAGE "stage-message" ["container.id" "container.name" "stage" "reason"] "What a stage has to say of a container.";
    MONITORED "monitored" ["container.id" "container.name" "stage" "service" "id" "reason"] "What a monitored stage would do.";
    STAGE_FAILED "stage-failed" ["container.id" "container.name" "stage" "reason"] "A stage has failed on a container.";

    // Its services.
    REGISTERED "registered" ["container.id" "container.name" "service" "id" "reason" "old" "new"] [ends ID_TAKEN] "A service was written: `reason` is `added`, `adopted`, `changed (…)` with what was and what is, `registered again` or `kept for a while`.";
    DEREGISTERED "deregistered" ["container.id" "container.name" "service" "id" "reason"] [ends ID_TAKEN] "A service was taken out.";
    DANGLING "dangling" ["id"] "A service was left behind by a container that is gone, and is to go.";
    ID_TAKEN "id-taken" ["container.id" "container.name" "id" "reason"] "A service is not registered: its ID is somebody else's.";
    TWIN_NOT_WRITTEN "twin-not-written" ["service" "id" "reason"] "One of several services with one ID could not be written.";
    REDUCED "reduced" ["service" "id" "dropped" "reason" "agent"] "A service was registered without what the agent does not take.";
    MAINTENANCE "maintenance" ["container.id" "container.name" "id" "new"] "A service is in maintenance (`new` is `on`) or out of it (`off`).";
    LEFT "left" ["count" "reason"] "What became of the services at the daemon's end, as `lifecycle.on-exit` says.";
    NOT_LEFT "not-left" ["id" "reason"] "A service could not be treated as `lifecycle.on-exit` says.";
    STORED "stored" ["service" "id" "address" "port" "tags"] "What the registry `memory://` has.";
    DROPPED "dropped" ["id"] "What it has no more.";

    // The whole.
    LISTENING "listening" [] "The daemon begins to hear Docker's events.";
    SYNCING "syncing" ["count"] "All containers are looked at.";
    CONFIRMED "confirmed" ["reason"] "Somebody confirms what was held.";
    HELD "held" ["count" "ids" "reason"] "What a change would take out is not taken out.";
    OTHER_ENGINE "other-engine" ["host" "engine"] "This is another container engine than before, or services are another one's.";
    OTHER_DAEMON "other-daemon" ["host" "other"] "Another daemon registers the same containers.";
    OTHER_NAME "other-name" ["old" "new"] "This host had another name.";
    UNADDRESSABLE "unaddressable" ["id" "reason"] "A service stays as it is, since the registry cannot be asked for it.";
    UNREADABLE "unreadable" ["count" "names"] "The token may not read what was registered.";
    NOT_LOOKED_UP "not-looked-up" ["count" "ids" "id" "reason"] "Services cannot be looked up, and stay as they are.";
    STAYS_IN_MAINTENANCE "stays-in-maintenance" ["reason"] "It is not known what a former daemon left in maintenance.";
    LOST_ALL "lost-all" ["count"] "The registry has lost all services, and they are registered again.";
    LOST "lost" ["container.id" "container.name" "id"] "Somebody else has deregistered a service, or Consul has.";
    LOST_CHECKS "lost-checks" ["container.id" "container.name" "service" "id"] "Somebody else has taken out a service's checks.";
    MEDDLED "meddled" ["container.id" "container.name" "id" "fields"] "Somebody else has changed a service.";
    UNHEARD "unheard" ["count"] "Containers have changed without an event, and are looked at.";

    // What fails, and is tried again.
    CONTAINER_FAILING "container-failing" ["container.id" "container.name" "reason" "count"] "A container cannot be brought up to date; it keeps what it has.";
    CONTAINER_RECOVERED "container-recovered" ["container.id" "container.name" "count"] [ends CONTAINER_FAILING] "It could, after so many attempts.";
    SYNC_FAILING "sync-failing" ["reason" "count"] "Docker or the registry cannot be read.";
    SYNC_RECOVERED "sync-recovered" ["count"] [ends SYNC_FAILING] "They could.";
    REGISTRY_FAILING "registry-failing" ["reason" "count"] "The registry does not answer.";
    REGISTRY_RECOVERED "registry-recovered" ["count"] [ends REGISTRY_FAILING] "It does again.";
    HEARTBEAT_FAILING "heartbeat-failing" ["container.id" "container.name" "reason" "count"] "A TTL check cannot be reported to.";
    HEARTBEAT_RECOVERED "heartbeat-recovered" ["container.id" "container.name" "count"] [ends HEARTBEAT_FAILING] "It can again.";
    EVENTS_FAILING "events-failing" ["reason" "count"] "Docker's events cannot be heard, or not be understood.";
    EVENTS_RECOVERED "events-recovered" ["count"] [ends EVENTS_FAILING] "They are heard again.";
}

/// A kind by its name.
pub(super) fn find(name: &str) -> Option<&'static Kind> {
    ALL.iter().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

    use super::*;

    fn source(folder: &Path) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for entry in fs::read_dir(folder).expect("a folder of the repository") {
            let path = entry.expect("an entry").path();
            let name = path.display().to_string();
            if path.is_dir() {
                all.extend(source(&path));
            } else if !name.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).expect("a source");
                let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                all.push((name, text.to_string()));
            }
        }
        all
    }

    fn src() -> Vec<(String, String)> {
        source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
    }

    #[test]
    fn names_are_short_and_each_is_there_once() {
        let names: BTreeSet<_> = ALL.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), ALL.len());
        for kind in ALL {
            let plain = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(kind.name.len() <= 24 && kind.name.chars().all(plain), "{}", kind.name);
            assert!(kind.meaning.ends_with('.'), "{}", kind.name);
            assert!(kind.ends.iter().all(|ended| names.contains(ended)), "{}", kind.name);
        }
    }

    #[test]
    fn every_kind_is_told_of_and_every_line_has_one() {
        let src = src();
        for kind in ALL {
            let named = format!("event::{}", kind.constant);
            let is_named = |text: &str| {
                text.match_indices(&named).any(|(at, _)| {
                    let next = text[at + named.len()..].chars().next();
                    !next.is_some_and(|c| c == '_' || c.is_ascii_alphanumeric())
                })
            };
            assert!(src.iter().any(|(_, text)| is_named(text)), "nobody tells of {named}");
        }
        let mut lines = 0;
        for (name, text) in &src {
            for call in ["info!(", "warn!(", "error!("] {
                for (at, _) in text.match_indices(call) {
                    let before = text[..at].chars().next_back();
                    if before.is_some_and(|c| c == '_' || c.is_ascii_alphanumeric()) {
                        continue;
                    }
                    // What commands say to people is no log.
                    if name.contains("/cli/") || name.ends_with("control/places.rs") {
                        continue;
                    }
                    lines += 1;
                    let rest = text[at + call.len()..].trim_start();
                    assert!(rest.starts_with("event"), "{name}: {call}{rest:.60}");
                }
            }
        }
        assert!(lines > 60, "{lines}");
    }

    /// Readers find this list there; to write it anew, put what this prints into the file.
    #[test]
    fn the_documentation_is_this_list() {
        let mut table = String::from("| event | fields | meaning |\n|---|---|---|\n");
        for kind in ALL {
            let fields: Vec<_> = kind.fields.iter().map(|field| format!("`{field}`")).collect();
            let _ =
                writeln!(table, "| `{}` | {} | {} |", kind.name, fields.join(", "), kind.meaning);
        }
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/log.md");
        let docs = fs::read_to_string(file).expect("docs/log.md");
        assert!(docs.contains(&table), "docs/log.md differs from:\n{table}");
    }
}
