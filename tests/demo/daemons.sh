# shellcheck shell=bash disable=SC2034,SC2154 # they share variables with demo.sh
# The servers of the demo: a private Docker daemon and a private Consul agent, or
# those that the user names, and the daemon that is shown. Sourced by demo.sh.
#
# All of them live in $dir, and tests/common/guard.sh ends and removes what is
# in it even if the demo is killed: it knows its processes by a variable in
# their environment.

# The longest that anything may take, in seconds.
patience=60

# until_true WHAT COMMAND...: run the command until it succeeds, and show the
# daemon's log meanwhile. Fails when it takes too long.
until_true() {
    local what=$1 end=$((SECONDS + patience))
    shift
    until "$@"; do
        show_log
        if ((SECONDS >= end)); then
            printf '%s: not within %d seconds\n' "$what" "$patience" >&2
            return 1
        fi
        sleep 0.1
    done
    show_log
}

# Make the folder and start its guard, which waits for the end of the pipe that
# only this process holds open.
make_folder() {
    # The name is short: paths of Unix sockets end at 107 bytes.
    dir=$(mktemp -d "${TMPDIR:-/tmp}/wf-demo-XXXXXX")
    mkfifo "$dir/guard"
    set -m
    sh "$root/tests/common/guard.sh" "$dir" <"$dir/guard" >/dev/null 2>&1 &
    guard_pid=$!
    set +m
    exec 9>"$dir/guard"
}

remove_folder() {
    [[ -n ${guard_pid:-} ]] || return 0
    exec 9>&-
    wait "$guard_pid" || printf 'could not remove all of %s\n' "$dir" >&2
}

# start LOG COMMAND...: start a server, whose process is then $started. It has a
# process group of its own, so that Ctrl-C is the demo's alone.
start() {
    local log=$1
    shift
    set -m
    TEST_GUARD_DIR=$dir "$@" </dev/null >>"$log" 2>&1 9>&- &
    started=$!
    set +m
}

# http_get HOST:PORT PATH: print the body of the answer if it is 200. Bash does it
# alone: not every machine has curl, and with version 1.0 of the protocol the body
# comes in one piece.
http_get() {
    # shellcheck disable=SC2016 # for the inner shell
    timeout 10 bash -c '
        exec 3<>"/dev/tcp/${1%:*}/${1##*:}"
        printf "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" "$2" "$1" >&3
        read -r _ status _ <&3
        tr -d "\r" <&3 | sed "1,/^\$/d"
        [[ $status == 200 ]]
    ' http_get "$1" "$2" 2>/dev/null
}

runs() { kill -0 "$1" 2>/dev/null; }

# Docker ---------------------------------------------------------------------

# Take a network that is not in use, 10.x.y.0/24, by making its bridge: the
# kernel has no two bridges of one name, and the name tells the network. The
# tests take theirs in the same way.
claim_subnet() {
    local n=$((RANDOM % 4096)) attempt network gateway
    for attempt in {1..32}; do
        n=$(((n + attempt) % 4096))
        subnet=10.$((200 + n / 256)).$((n % 256))
        network=$subnet.0/24
        bridge=wf10-$((200 + n / 256))-$((n % 256))
        if {
            ip -4 route show match "$network"
            ip -4 route show root "$network"
        } | grep -qv '^default'; then
            continue
        fi
        # With an address of its own: else it takes that of one of its ports, and
        # when that goes, containers send to nowhere for half a minute.
        ip link add "$bridge" address 02:42:0a:00:00:01 type bridge 2>"$dir/ip.log" || continue
        # For the guard; only now that the bridge is the demo's own.
        printf '%s\n' "$network" >"$dir/subnet"
        gateway=$subnet.1/25
        ip address add "$gateway" dev "$bridge" && ip link set "$bridge" up
        return
    done
    return 1
}

docker_is_there() {
    runs "$dockerd_pid" || return 0
    docker version >/dev/null 2>&1
}

# Start a Docker daemon of the demo's own. Fails, with $why_not, where that is
# not possible.
start_dockerd() {
    if [[ $(id -u) != 0 ]]; then
        why_not="only root can start a private Docker daemon (WHARFINGER_DEMO_DOCKER_HOST names one that runs)"
        return 1
    fi
    if ! "$root/tests/env/install.sh" docker; then
        why_not="Docker is not installed"
        return 1
    fi
    if ! claim_subnet; then
        why_not="no network can be made for Docker's bridge: $(cat "$dir/ip.log" 2>/dev/null)"
        return 1
    fi
    # Neither the machine's settings nor the user's are to count.
    printf '{}\n' >"$dir/daemon.json"
    unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_API_VERSION
    export DOCKER_HOST=unix://$dir/docker.sock DOCKER_CONFIG=$dir/client
    local options=(
        --config-file "$dir/daemon.json"
        # Everything it writes is in the folder.
        --data-root "$dir/data"
        --exec-root "$dir/exec"
        --pidfile "$dir/dockerd.pid"
        --host "$DOCKER_HOST"
        # It has a network of its own and leaves the machine's packet filter and
        # forwarding alone; a proxy serves the published ports.
        --bridge "$bridge"
        --default-address-pool "base=$subnet.128/25,size=28"
        --iptables=false
        --ip-forward=false
        --ip-masq=false
        --userland-proxy=true
    )
    start "$dir/dockerd.log" dockerd "${options[@]}"
    dockerd_pid=$started
    if ! until_true "Docker's start" docker_is_there || ! runs "$dockerd_pid"; then
        why_not="the Docker daemon did not start: $(tail -n 1 "$dir/dockerd.log")"
        return 1
    fi
}

# Use the Docker daemon that the user names.
use_docker() {
    export DOCKER_HOST=$1
    docker version >/dev/null || fail "the Docker daemon at $DOCKER_HOST does not answer"
    command -v busybox >/dev/null || fail "busybox is missing, of which the containers are made"
}

# One image of busybox alone, under the names of the containers that are to run.
make_images() {
    local name
    mkdir -p "$dir/rootfs/bin" "$dir/rootfs/www"
    cp "$(command -v busybox)" "$dir/rootfs/bin/busybox"
    printf 'hello from a container\n' >"$dir/rootfs/www/index.html"
    tar -c --owner=0 --group=0 -C "$dir/rootfs" . |
        docker import --change 'CMD ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]' \
            - "wharfinger-demo/$1:1" >/dev/null
    images+=("wharfinger-demo/$1:1")
    for name in "${@:2}"; do
        docker tag "wharfinger-demo/$1:1" "wharfinger-demo/$name:1"
        images+=("wharfinger-demo/$name:1")
    done
}

# container NAME OPTION...: start demo-NAME from the image of that name.
container() {
    local name=$1 id
    shift
    # Its main process does not mind SIGTERM.
    id=$(docker run -d --stop-signal KILL --name "demo-$name" "$@" "wharfinger-demo/$name:1" \
        2>"$dir/docker.log") || fail "docker run: $(cat "$dir/docker.log")"
    containers+=("$id")
    container_names[${id:0:12}]=demo-$name
}

# Consul ---------------------------------------------------------------------

# A GET of Consul's HTTP API, one line for each field.
consul_get() { http_get "$consul_addr" "$1?pretty"; }

consul_has_leader() { [[ $(consul_get /v1/status/leader) == '"'?*'"'* ]]; }

consul_is_there() {
    runs "$consul_pid" || return 0
    consul_has_leader
}

start_consul() {
    local attempt port
    PATH=$PATH:${WHARFINGER_CACHE:-$root/target/test-env}/bin
    if ! "$root/tests/env/install.sh" consul; then
        why_not="Consul is not installed"
        return 1
    fi
    # The user's address, token and so on are not to count.
    unset "${!CONSUL_@}"
    for attempt in 1 2 3 4 5; do
        # Below the ports that the kernel gives to outgoing connections.
        port=$((20000 + RANDOM % 12000))
        consul_addr=127.0.0.1:$port
        : >"$dir/consul.log"
        start "$dir/consul.log" consul agent -dev -node=demo -bind=127.0.0.1 -client=127.0.0.1 \
            -http-port="$port" -server-port=$((port + 1)) -serf-lan-port=$((port + 2)) \
            -serf-wan-port=-1 -dns-port=-1 -grpc-port=-1 -hcl='disable_update_check = true'
        consul_pid=$started
        until_true "Consul's start" consul_is_there || break
        if runs "$consul_pid"; then
            consul_node=demo
            return 0
        fi
        grep -q 'address already in use' "$dir/consul.log" || break
    done
    why_not="Consul did not start: $(tail -n 1 "$dir/consul.log")"
    return 1
}

# Use the Consul agent that the user names.
use_consul() {
    case $1 in
    https://* | unix://*) fail "CONSUL_HTTP_ADDR=$1: the demo only speaks plain HTTP over TCP" ;;
    esac
    consul_addr=${1#http://}
    consul_has_leader || fail "the Consul agent at $consul_addr does not answer, or has no leader"
    consul_node=$(consul_get /v1/agent/self | sed -n 's/^ *"NodeName": "\(.*\)",*$/\1/p' | head -n 1)
    [[ -n $consul_node ]] || fail "the Consul agent at $consul_addr does not say its node's name"
}

# Read services from indented JSON, in which they are objects at this depth:
#
#   services DEPTH  ->  name, address:port, ID and tags, separated by tabs
services() {
    awk -v depth="$1" -v host="$demo_host:" '
        function text(line) {
            sub(/^ *("[A-Za-z]*": )?/, "", line)
            sub(/,$/, "", line)
            gsub(/^"|"$/, "", line)
            return line
        }
        # Of the list that begins at an outer line, the items are its lines.
        /^ *[]}]/ { level-- }
        /^ *}/ && level == depth - 1 && id != "" {
            if (index(id, host) == 1) print name "\t" address ":" port "\t" id "\t" tags
            id = ""
        }
        level == depth && /^ *"ID": / { id = text($0); tags = "" }
        level == depth && /^ *"(Name|Service)": / { name = text($0) }
        level == depth && /^ *"Address": / { address = text($0) }
        level == depth && /^ *"Port": / { port = text($0) }
        level == depth + 1 && in_tags { tags = tags (tags == "" ? "" : ",") text($0) }
        /[[{]$/ { in_tags = (level == depth && /^ *"Tags": \[$/); level++ }
    ' | LC_ALL=C sort -t $'\t' -k 3
}

# What Consul's catalog has of the demo.
catalog() { consul_get "/v1/catalog/node/$consul_node" | services 3; }

# Wharfinger -----------------------------------------------------------------

# The configuration, with the tag that the convention gives to every service.
write_config() {
    cat >"$dir/wharfinger.toml" <<END
# What registrator does ...
[[pipeline]]
name = "registrator"
builtin = "registrator"

# ... and after it a plugin, with settings of its own.
[[pipeline]]
name = "convention"
file = "$root/plugins/dist/wharfinger_convention.wasm"

[pipeline.settings]
owner-label = "com.example.owner"
team-label = "com.example.team"
tag = "$1"
END
}

start_daemon() {
    # A proxy has no business between the daemon and an agent on this machine.
    start "$dir/daemon.log" env -u WHARFINGER_LOG -u WHARFINGER_LOG_FORMAT NO_PROXY='*' no_proxy='*' \
        "$binary" run --config "$dir/wharfinger.toml" -ip 127.0.0.1 --hostname "$demo_host" \
        "consul://$consul_addr"
    daemon_pid=$started
}

stop_daemon() {
    [[ -n ${daemon_pid:-} ]] || return 0
    kill -s TERM "$daemon_pid" 2>/dev/null || true
    wait "$daemon_pid" || true
    daemon_pid=
}
