# The watcher of guard.rs; run by `sh -c` with the folder as its argument.
set -u
dir=$1
PATH=$PATH:/usr/sbin:/sbin

# Signals from the terminal are for the test; this has work to do after it.
trap '' HUP INT TERM
cat >/dev/null

cd /

# The processes started in the name of this folder, and what they started. The
# containers themselves have an environment of their own.
marked() {
    grep -lzxF "TEST_GUARD_DIR=$dir" /proc/[0-9]*/environ 2>/dev/null | cut -d / -f 3
}

name_of() {
    cat "/proc/$1/comm" 2>/dev/null
}

# Marked processes but those that dockerd ends itself or leaves to live.
servers() {
    for pid in $(marked); do
        case $(name_of "$pid") in
        containerd* | docker-proxy) ;;
        *) echo "$pid" ;;
        esac
    done
}

# A container may ignore SIGTERM, and dockerd would wait ten seconds for it.
socket=$dir/docker.sock
if [ -S "$socket" ] && [ -n "$(servers)" ]; then
    running=$(timeout 10 docker -H "unix://$socket" ps -q 2>/dev/null)
    # shellcheck disable=SC2086 # a list of container ids
    [ -z "$running" ] || timeout 20 docker -H "unix://$socket" kill $running >/dev/null 2>&1
fi

for pid in $(servers); do
    kill -s TERM "$pid" 2>/dev/null
done
left=200
while [ "$left" -gt 0 ] && [ -n "$(servers)" ]; do
    left=$((left - 1))
    sleep 0.05
done

# What is left: containers that outlive their dockerd, or one that hangs.
for pid in $(marked); do
    case $(name_of "$pid") in
    containerd-shim*)
        for status in $(grep -l "^PPid:[[:space:]]*$pid\$" /proc/[0-9]*/status 2>/dev/null); do
            child=${status#/proc/}
            kill -s KILL "${child%/status}" 2>/dev/null
        done
        ;;
    esac
    kill -s KILL "$pid" 2>/dev/null
done
left=100
while [ "$left" -gt 0 ] && [ -n "$(marked)" ]; do
    left=$((left - 1))
    sleep 0.05
done

# Deepest first.
awk -v dir="$dir/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r |
    while read -r mount; do
        umount -l "$mount"
    done

# What a killed shim has not removed: its socket and its control groups.
for address in "$dir"/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/*/address; do
    [ -f "$address" ] || continue
    socket=$(cat "$address")
    rm -f "${socket#unix://}"
done
for container in "$dir"/data/containers/*; do
    [ -d "$container" ] || continue
    find /sys/fs/cgroup -depth -type d -path "*${container##*/}*" -exec rmdir {} \; 2>/dev/null
done

# Podman's containers are in a control group of the folder's name.
find /sys/fs/cgroup -depth -type d -path "*/${dir##*/}*" -exec rmdir {} \; 2>/dev/null

# Docker's networks have their bridges in the subnet of this folder alone.
if [ -f "$dir/subnet" ]; then
    ip -o -4 addr show to "$(cat "$dir/subnet")" | awk '{ print $2 }' |
        while read -r bridge; do
            ip link delete "$bridge"
        done
fi

rm -rf "$dir"
[ ! -e "$dir" ]
