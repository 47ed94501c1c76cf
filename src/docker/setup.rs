//! The setup of a container, and the facts of an image, from an engine's answers.

use super::inspected::{ContainerConfig, HostConfig, Inspected, InspectedImage, MountPoint};
use crate::model::setup::{HealthCheck, ImageFacts, Mount, ResourceLimits, RestartPolicy, Setup};

/// The period of a quota of processors, where none is said, in microseconds.
const PERIOD: u64 = 100_000;

/// The setup of a container.
pub(super) fn of(response: &Inspected) -> Setup {
    let (none, nobody) = (HostConfig::default(), ContainerConfig::default());
    let host = response.host_config.as_ref().unwrap_or(&none);
    let config = response.config.as_ref().unwrap_or(&nobody);
    Setup {
        user: config.user.clone().unwrap_or_default(),
        privileged: host.privileged.unwrap_or(false),
        added_capabilities: capabilities(host.cap_add.as_deref()),
        dropped_capabilities: capabilities(host.cap_drop.as_deref()),
        read_only_root: host.readonly_rootfs.unwrap_or(false),
        mounts: mounts(response, host),
        restart_policy: restart_policy(host),
        limits: ResourceLimits {
            memory: positive(host.memory),
            processors: processors(host),
            processes: positive(host.pids_limit),
        },
        health_check: health_check(config),
    }
}

/// The facts of an image, from the answer about it.
pub(super) fn image(response: InspectedImage) -> ImageFacts {
    let mut digests = response.repo_digests.unwrap_or_default();
    // Of an image without a name that was loaded from a file.
    digests.retain(|digest| !digest.starts_with("<none>"));
    digests.sort();
    digests.dedup();
    let labels = response.config.and_then(|config| config.labels).unwrap_or_default();
    ImageFacts { digests, labels: labels.into_iter().collect() }
}

/// Engines say capabilities in either form, as they were given.
fn capabilities(said: Option<&[String]>) -> Vec<String> {
    let one = |name: &String| {
        let name = name.trim().to_ascii_uppercase();
        name.strip_prefix("CAP_").map(String::from).unwrap_or(name)
    };
    let mut all: Vec<_> = said.unwrap_or_default().iter().map(one).collect();
    all.sort();
    all.dedup();
    all
}

fn mounts(response: &Inspected, host: &HostConfig) -> Vec<Mount> {
    let mut all: Vec<_> = response.mounts.iter().flatten().map(mount).collect();
    // Those of `--tmpfs` are among the mounts of some engines only.
    for (target, options) in host.tmpfs.iter().flatten() {
        if !all.iter().any(|mount| mount.target == *target) {
            let writable = !options.split(',').any(|option| option == "ro");
            let (kind, source) = ("tmpfs".into(), String::new());
            all.push(Mount { kind, source, target: target.clone(), writable });
        }
    }
    all.sort_by(|a, b| (&a.target, &a.source).cmp(&(&b.target, &b.source)));
    all
}

fn mount(point: &MountPoint) -> Mount {
    let kind = point.kind.clone().unwrap_or_default();
    let name = point.name.clone().filter(|name| kind == "volume" && !name.is_empty());
    let source = match kind.as_str() {
        "tmpfs" => String::new(),
        _ => name.or_else(|| point.source.clone()).unwrap_or_default(),
    };
    Mount {
        kind,
        source,
        target: point.destination.clone().unwrap_or_default(),
        // Of one that does not say, the worse is assumed.
        writable: point.writable.unwrap_or(true),
    }
}

fn restart_policy(host: &HostConfig) -> RestartPolicy {
    let Some(policy) = &host.restart_policy else { return RestartPolicy::default() };
    let retries = positive(policy.maximum_retry_count).unwrap_or_default();
    RestartPolicy {
        name: policy.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| "no".into()),
        retries: u32::try_from(retries).unwrap_or(u32::MAX),
    }
}

/// In thousandths. An engine has either of two ways to say it.
fn processors(host: &HostConfig) -> Option<u64> {
    if let Some(nano) = positive(host.nano_cpus) {
        return Some((nano / 1_000_000).max(1));
    }
    let quota = positive(host.cpu_quota)?;
    let period = positive(host.cpu_period).unwrap_or(PERIOD);
    Some((quota.saturating_mul(1000) / period).max(1))
}

fn health_check(config: &ContainerConfig) -> Option<HealthCheck> {
    let check = config.healthcheck.as_ref()?;
    let test: Vec<_> = check.test.clone().unwrap_or_default();
    let none = test.iter().all(|word| word.trim().is_empty());
    if none || test.first().is_some_and(|kind| kind.eq_ignore_ascii_case("none")) {
        return None;
    }
    let retries = positive(check.retries);
    Some(HealthCheck {
        test,
        interval: positive(check.interval),
        timeout: positive(check.timeout),
        start_period: positive(check.start_period),
        retries: retries.map(|retries| u32::try_from(retries).unwrap_or(u32::MAX)),
    })
}

/// A number that says something: 0 and -1 are those of an engine for none.
fn positive(number: Option<i64>) -> Option<u64> {
    number.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Check what is read of a container of these parts beside its identity.
    fn check(inspected: Value, expected: Setup) {
        let response = serde_json::from_value(inspected.clone()).expect("as Docker prints it");
        assert_eq!(of(&response), expected, "{inspected}");
    }

    fn mount(kind: &str, source: &str, target: &str, writable: bool) -> Mount {
        Mount { kind: kind.into(), source: source.into(), target: target.into(), writable }
    }

    #[test]
    fn what_is_not_said_is_not_there() {
        check(json!({}), Setup::default());
        let zero = json!({ "Memory": 0, "NanoCpus": 0, "CpuQuota": 0, "PidsLimit": -1,
            "CapAdd": null, "Tmpfs": null, "RestartPolicy": { "Name": "", "MaximumRetryCount": 0 } });
        check(json!({ "Config": { "User": "" }, "HostConfig": zero }), Setup::default());
        check(json!({ "Config": { "Healthcheck": { "Test": ["NONE"] } } }), Setup::default());
        check(json!({ "Config": { "Healthcheck": { "Test": [""] } } }), Setup::default());
    }

    #[test]
    fn rights_and_limits_are_read_in_each_form() {
        let strings = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        check(
            json!({
                "Config": { "User": "1000:1000" },
                "HostConfig": { "Privileged": true, "ReadonlyRootfs": true,
                    "CapAdd": ["sys_admin", "CAP_NET_ADMIN", "NET_ADMIN"], "CapDrop": ["all"] },
            }),
            Setup {
                user: "1000:1000".into(),
                privileged: true,
                read_only_root: true,
                added_capabilities: strings(&["NET_ADMIN", "SYS_ADMIN"]),
                dropped_capabilities: strings(&["ALL"]),
                ..Setup::default()
            },
        );
        for (host, expected) in [
            (json!({ "NanoCpus": 1_500_000_000 }), Some(1500)),
            (json!({ "CpuQuota": 50_000 }), Some(500)),
            (json!({ "CpuQuota": 50_000, "CpuPeriod": 25_000 }), Some(2000)),
            (json!({ "CpuQuota": -1, "CpuPeriod": 25_000 }), None),
            (json!({ "NanoCpus": 1 }), Some(1)),
        ] {
            let limits = ResourceLimits { processors: expected, ..ResourceLimits::default() };
            check(json!({ "HostConfig": host }), Setup { limits, ..Setup::default() });
        }
        let limits = ResourceLimits {
            memory: Some(64 << 20),
            processes: Some(100),
            ..ResourceLimits::default()
        };
        let host = json!({ "Memory": 64 << 20, "PidsLimit": 100 });
        check(json!({ "HostConfig": host }), Setup { limits, ..Setup::default() });
        let restart_policy = RestartPolicy { name: "on-failure".into(), retries: 3 };
        let host = json!({ "RestartPolicy": { "Name": "on-failure", "MaximumRetryCount": 3 } });
        check(json!({ "HostConfig": host }), Setup { restart_policy, ..Setup::default() });
    }

    #[test]
    fn mounts_are_sorted_and_those_of_memory_are_among_them() {
        check(
            json!({
                "Mounts": [
                    { "Type": "volume", "Name": "data", "Source": "/var/lib/x", "Destination": "/v",
                      "RW": true },
                    { "Type": "bind", "Source": "/etc", "Destination": "/e", "RW": false },
                    { "Type": "tmpfs", "Source": "x", "Destination": "/t", "RW": true },
                    { "Type": "bind", "Source": "/odd", "Destination": "/z" },
                ],
                "HostConfig": { "Tmpfs": { "/run": "size=1m,ro", "/t": "", "/tmp": "" } },
            }),
            Setup {
                mounts: vec![
                    mount("bind", "/etc", "/e", false),
                    mount("tmpfs", "", "/run", false),
                    mount("tmpfs", "", "/t", true),
                    mount("tmpfs", "", "/tmp", true),
                    mount("volume", "data", "/v", true),
                    mount("bind", "/odd", "/z", true),
                ],
                ..Setup::default()
            },
        );
    }

    #[test]
    fn a_health_check_keeps_its_words_and_times() {
        let check_said = json!({ "Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000_i64,
            "Timeout": 0, "StartPeriod": 1_000_000_000, "Retries": 2 });
        let health_check = HealthCheck {
            test: vec!["CMD-SHELL".into(), "true".into()],
            interval: Some(5_000_000_000),
            timeout: None,
            start_period: Some(1_000_000_000),
            retries: Some(2),
        };
        let expected = Setup { health_check: Some(health_check), ..Setup::default() };
        check(json!({ "Config": { "Healthcheck": check_said } }), expected);
    }

    #[test]
    fn an_image_is_known_by_its_digests_and_labels() {
        let said = json!({
            "Id": "sha256:1",
            "RepoDigests": ["b@sha256:2", "a@sha256:2", "<none>@<none>", "a@sha256:2"],
            "Config": { "Labels": { "team": "shop" } },
        });
        let facts = image(serde_json::from_value(said).expect("as Docker prints it"));
        assert_eq!(facts.digests, ["a@sha256:2", "b@sha256:2"]);
        assert_eq!(facts.labels["team"], "shop");
        let empty = json!({ "Id": "sha256:1", "RepoDigests": null, "Config": null });
        let facts = image(serde_json::from_value(empty).expect("as Docker prints it"));
        assert_eq!(facts, ImageFacts::default());
    }
}
