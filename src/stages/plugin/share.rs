//! The memory that the process that compiles may have: a share of that of the machine
//! or of the control group that the daemon is in, whichever is less.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bytesize::ByteSize;

/// The part of all memory, as a divisor.
const PART: u64 = 4;
/// The memory that a small component takes to compile; with less there would be no compiler.
const LEAST: u64 = 512 << 20;
/// Twice the memory that the largest known interpreter takes to compile.
const MOST: u64 = 4 << 30;

/// The memory that compiling may take on this machine.
pub(super) fn of_machine() -> ByteSize {
    share(available(Path::new("/")))
}

fn share(available: Option<u64>) -> ByteSize {
    ByteSize(available.map_or(MOST, |all| (all / PART).clamp(LEAST, MOST)))
}

/// All the memory that processes of this group may have, as files below `root` tell.
fn available(root: &Path) -> Option<u64> {
    let groups = text(&root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(|line| limits(root, line));
    limits.chain(machine(root)).min()
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// The memory of the machine.
fn machine(root: &Path) -> Option<u64> {
    let info = text(&root.join("proc/meminfo"))?;
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = total.split_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The limits of a line of `/proc/self/cgroup`, its group's and those of all groups
/// around it. In a container the path may be the host's, and the group's own files
/// stand at the top.
fn limits(root: &Path, line: &str) -> Vec<u64> {
    let mut parts = line.splitn(3, ':');
    let (Some(number), Some(kinds), Some(group)) = (parts.next(), parts.next(), parts.next())
    else {
        return Vec::new();
    };
    let (folder, file) = match (number, kinds) {
        ("0", "") => ("sys/fs/cgroup", "memory.max"),
        _ if kinds.split(',').any(|kind| kind == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let top = root.join(folder);
    // It begins with a slash, and never leads out.
    let inner: PathBuf = Path::new(group)
        .components()
        .filter(|part| matches!(part, std::path::Component::Normal(_)))
        .collect();
    let group = top.join(inner);
    let around = group.ancestors().take_while(|folder| folder.starts_with(&top));
    // Without a limit it is `max`, or a number larger than any memory.
    around.filter_map(|folder| text(&folder.join(file))?.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn check(files: &[(&str, &str)], expected: Option<u64>) {
        let root = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
            fs::write(path, text).expect("it is written");
        }
        assert_eq!(available(root.path()), expected, "{files:?}");
    }

    #[test]
    fn the_least_of_machine_and_groups_counts() {
        let machine = ("proc/meminfo", "MemTotal:        2048 kB\nMemFree: 1 kB\n");
        let v2 = ("proc/self/cgroup", "0::/system.slice/w.service\n");
        check(&[], None);
        check(&[machine], Some(2 * MIB));
        check(
            &[machine, v2, ("sys/fs/cgroup/system.slice/w.service/memory.max", "max\n")],
            Some(2 * MIB),
        );
        check(
            &[machine, v2, ("sys/fs/cgroup/system.slice/w.service/memory.max", "1000\n")],
            Some(1000),
        );
        check(&[machine, v2, ("sys/fs/cgroup/system.slice/memory.max", "1001\n")], Some(1001));
        // In a container.
        check(&[v2, ("sys/fs/cgroup/memory.max", "1002\n")], Some(1002));
        let v1 = ("proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/docker/x\n0::/a\n");
        let file = "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes";
        check(&[machine, v1, (file, "1003\n")], Some(1003));
        check(&[machine, v1, (file, "9223372036854771712\n")], Some(2 * MIB));
        check(&[v1, ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1004\n")], Some(1004));
        check(
            &[("proc/self/cgroup", "0::/../../x\n"), ("sys/fs/cgroup/x/memory.max", "1005")],
            Some(1005),
        );
    }

    #[test]
    fn the_share_is_a_quarter_within_bounds() {
        for (all, expected) in [
            (Some(0), 512 * MIB),
            (Some(1024 * MIB), 512 * MIB),
            (Some(4096 * MIB), 1024 * MIB),
            (Some(1 << 40), 4096 * MIB),
            (None, 4096 * MIB),
        ] {
            assert_eq!(share(all), ByteSize(expected), "{all:?}");
        }
        let own = of_machine();
        assert!((ByteSize(LEAST)..=ByteSize(MOST)).contains(&own), "{own}");
    }
}
