#!/usr/bin/env bash
# Shows Wharfinger at work: containers start and stop, and Consul's catalog
# follows. `make demo` builds what this needs and runs it.
#
# It starts a Docker daemon and a Consul agent of its own in a temporary folder,
# installs them if they are missing (tests/env/install.sh), and removes everything
# that it made. The exit code is 0 only if the catalog was what the story says.
#
#   WHARFINGER_DEMO_DOCKER_HOST=unix:///var/run/docker.sock
#                                 use this Docker daemon
#   CONSUL_HTTP_ADDR=HOST:PORT    use this Consul agent (plain HTTP, no token);
#                                 the demo's services are taken out again
#   WHARFINGER_DEMO_NO_DOCKER=1   use neither, but recorded containers; this is
#                                 what happens, too, where no Docker can run
#   WHARFINGER_BIN=FILE           the binary; dist/wharfinger if not given
#   NO_COLOR=1                    no colours
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
binary=${WHARFINGER_BIN:-$root/dist/wharfinger}
# What the demo's service IDs begin with.
demo_host=demo
# Daemons live in sbin, which is not on everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin

# shellcheck source=tests/demo/terminal.sh
. "$root/tests/demo/terminal.sh"
# shellcheck source=tests/demo/daemons.sh
. "$root/tests/demo/daemons.sh"

# What the story says of the catalog: name, ID and tags. The arguments are the
# convention's tag and the containers that run, in the order of their names.
expected() {
    local tag=$1 name
    shift
    for name in "$@"; do
        case $name in
        api)
            printf '%s\t%s\t%s\n' shop-api "$demo_host:demo-api:9000" "$tag"
            printf '%s\t%s\t%s\n' shop-api-metrics "$demo_host:demo-api:9001" "$tag"
            ;;
        cache) printf '%s\t%s\t%s\n' cache "$demo_host:demo-cache:6379" "$tag" ;;
        web) printf '%s\t%s\t%s\n' shop-web "$demo_host:demo-web:8080" "http,$tag" ;;
        esac
    done
}

catalog_is() { [[ $(catalog | cut -f 1,3,4) == "$1" ]]; }

# logged COUNT PATTERN: the daemon's log has so many lines of this kind, and no
# more.
logged() { (($(grep -cE "$2" "$dir/daemon.log") == $1)); }

# Wait until the catalog is as expected, and show it.
expect_catalog() {
    local wanted
    wanted=$(expected "$@")
    if ! until_true "The catalog's change" catalog_is "$wanted"; then
        say "It should be:"
        table NAME ID TAGS <<<"$wanted"
        say "It is:"
        catalog | table NAME ADDRESS ID TAGS
        fail "Consul's catalog is not what it should be"
    fi
    say
    say "Consul's catalog:"
    catalog | table NAME ADDRESS ID TAGS
    say
}

# Wait until the daemon has said something COUNT times.
expect_log() {
    if ! until_true "The daemon's line '$2'" logged_or_ended "$@" || ! logged "$@"; then
        runs "$daemon_pid" || fail "the daemon has ended"
        fail "the daemon did not say: $2"
    fi
}

logged_or_ended() { logged "$@" || ! runs "$daemon_pid"; }

# The story with a Docker daemon and a Consul agent.
live() {
    local owner=com.example.owner team=com.example.team address

    step "Containers start"
    make_images web api jobs proxy cache
    container web -p 127.0.0.1::8080 -l $owner=alice -l $team=shop -e SERVICE_TAGS=http
    container api -p 127.0.0.1::9000 -p 127.0.0.1::9001 -l $owner=alice -l $team=shop \
        -e SERVICE_9000_NAME=api -e SERVICE_9001_NAME=api-metrics
    container jobs -p 127.0.0.1::8080 -l $team=shop
    container proxy -p 127.0.0.1::8080 -l $owner=alice -e SERVICE_IGNORE=true
    container cache -p 127.0.0.1::6379 -l $owner=bob
    introduce

    step "The pipeline: registrator's rules, and a convention of the organisation"
    write_config managed
    quote "$dir/wharfinger.toml"

    step "The daemon starts"
    start_daemon
    expect_log 4 'INFO added: .* demo:demo-'
    expect_log 1 'INFO vetoed: .* demo:demo-jobs:8080 by convention: '
    expect_log 1 "INFO ignored: ${containers[3]:0:12} "
    expect_catalog managed api cache web
    good "names are <team>-<app>; demo-jobs, which nobody owns, is not there; nor is demo-proxy"
    if [[ $DOCKER_HOST == unix://* ]]; then
        address=$(catalog | sed -n 's/^shop-web\t\([^\t]*\).*/\1/p')
        address=$(http_get "$address" /) ||
            fail "shop-web does not answer at its address"
        good "shop-web answers at its address: $address"
    fi

    step "A container stops: docker stop demo-cache"
    docker stop "${containers[4]}" >/dev/null
    expect_log 1 'INFO removed: .* demo:demo-cache:'
    expect_catalog managed api web
    good "its service is gone, the others stay"

    step "The convention changes: the tag is 'audited' from now on; the daemon restarts"
    stop_daemon
    expect_catalog managed api web
    good "a daemon that stops leaves the services of running containers where they are"
    say
    write_config audited
    start_daemon
    expect_log 3 'INFO changed .* demo:demo-'
    expect_catalog audited api web
    logged 4 'INFO added: .* demo:demo-' || fail "the new daemon did not know its services again"
    good "the new daemon knew its services again, and changed them where they are"

    step "All containers are removed"
    docker rm -f "${containers[@]}" >/dev/null
    containers=()
    expect_log 4 'INFO removed: .* demo:demo-'
    expect_catalog audited
    good "nothing is left behind"
}

introduce() {
    table CONTAINER "WHAT IS SPECIAL" <<END
demo-web	owner alice, team shop, SERVICE_TAGS=http
demo-api	owner alice, team shop, two ports with names of their own
demo-jobs	team shop, but no owner
demo-proxy	owner alice, SERVICE_IGNORE=true
demo-cache	owner bob, no team
END
}

# The story with recorded containers: the same pipeline, and what would be sent
# to Consul.
recorded() {
    local recording=$root/tests/demo/containers.json

    step "Recorded containers: tests/demo/containers.json, from docker inspect"
    introduce

    step "The pipeline: registrator's rules, and a convention of the organisation"
    write_config managed
    quote "$dir/wharfinger.toml"

    step "What would be registered: wharfinger plan --containers tests/demo/containers.json ..."
    expect_plan "$recording" managed api cache web
    good "names are <team>-<app>; demo-jobs, which nobody owns, is not there; nor is demo-proxy"

    step "The same after demo-cache has stopped"
    sed '/"Name": "\/demo-cache"/,/"Running"/ {
        s/"Status": "running"/"Status": "exited"/
        s/"Running": true/"Running": false/
    }' "$recording" >"$dir/stopped.json"
    expect_plan "$dir/stopped.json" managed api web
    good "its service is gone"

    step "The same after the convention has changed: the tag is 'audited' from now on"
    write_config audited
    expect_plan "$dir/stopped.json" audited api web
    good "the services have the new tag"

    step "The daemon itself on the recorded containers, with a registry in its own memory"
    write_config managed
    quote <<<"wharfinger run --containers tests/demo/containers.json --config wharfinger.toml memory://"
    local id name
    while IFS=$'\t' read -r id name; do
        container_names[${id:0:12}]=$name
    done < <(sed -n 's/^ *"Id": "\(.*\)",*$/\1/p' "$recording" | paste - \
        <(sed -n 's/^ *"Name": "\/\(.*\)",*$/\1/p' "$recording"))
    : >"$dir/daemon.log"
    start "$dir/daemon.log" env -u WHARFINGER_LOG -u WHARFINGER_LOG_FORMAT \
        "$binary" run --containers "$recording" --config "$dir/wharfinger.toml" \
        -ip 127.0.0.1 --hostname "$demo_host" memory://
    daemon_pid=$started
    until_true "The services of three containers" logged 'memory: .* is shop-web at ' 'added: .*demo-api:' \
        'added: .*demo-cache:' 'vetoed: .*demo-jobs:' 'ignored: .*SERVICE_IGNORE'
    stop_daemon
    good "what the plan said is what the daemon does"
}

# logged PATTERN...: whether the daemon has written a line for each pattern.
logged() {
    local pattern
    for pattern; do
        grep -q "$pattern" "$dir/daemon.log" || return 1
    done
}

# expect_plan RECORDING and the arguments of expected
expect_plan() {
    local recording=$1 plan
    shift
    env -u WHARFINGER_LOG -u WHARFINGER_LOG_FORMAT \
        "$binary" plan --output consul-json --containers "$recording" --config "$dir/wharfinger.toml" \
        -ip 127.0.0.1 --hostname "$demo_host" >"$dir/plan.json" 2>"$dir/daemon.log" ||
        fail "wharfinger plan: $(cat "$dir/daemon.log")"
    plan=$(services 2 <"$dir/plan.json")
    table NAME ADDRESS ID TAGS <<<"$plan"
    say
    [[ $(cut -f 1,3,4 <<<"$plan") == "$(expected "$@")" ]] || {
        say "It should be:"
        expected "$@" | table NAME ID TAGS
        fail "the plan is not what it should be"
    }
}

# Everything that the demo has started, in whatever state it was left. What runs
# in the folder is the guard's business; what the user named has to be left as it
# was.
clean_up() {
    local status=$?
    trap - EXIT
    trap '' INT TERM
    set +e
    if [[ -n ${DOCKER_HOST:-} && -n $named_docker$named_consul && ${#containers[@]} -gt 0 ]]; then
        docker rm -f "${containers[@]}" >/dev/null
    fi
    if [[ -n $named_consul && -n $consul_node && -f $dir/wharfinger.toml ]]; then
        # The daemon itself takes out what belongs to no container.
        [[ -n $daemon_pid ]] || start_daemon
        until_true "The catalog's cleaning" catalog_is ""
    fi
    stop_daemon
    if [[ -n $named_docker && ${#images[@]} -gt 0 ]]; then
        docker rmi "${images[@]}" >/dev/null
    fi
    remove_folder
    exit "$status"
}

# Sets up Docker and Consul. Fails, with $why_not, where they cannot run.
set_up() {
    if [[ -n ${WHARFINGER_DEMO_NO_DOCKER:-} ]]; then
        why_not="WHARFINGER_DEMO_NO_DOCKER is set"
        return 1
    fi
    if [[ -n $named_docker ]]; then
        use_docker "$named_docker"
    else
        start_dockerd || return 1
    fi
    if [[ -n $named_consul ]]; then
        use_consul "$named_consul"
    else
        start_consul || return 1
    fi
}

for file in "$binary" "$root/plugins/dist/wharfinger_convention.wasm"; do
    [[ -f $file ]] || fail "$file is missing: run make demo"
done

named_docker=${WHARFINGER_DEMO_DOCKER_HOST:-} named_consul=${CONSUL_HTTP_ADDR:-}
containers=() images=()
dir='' guard_pid='' daemon_pid='' consul_node='' why_not=''
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
make_folder

step "A Docker daemon and a Consul agent"
if set_up; then
    say "Docker $(docker version --format '{{.Server.Version}}') at $DOCKER_HOST"
    say "Consul $(consul_get /v1/agent/self | sed -n 's/^ *"Version": "\(.*\)",*$/\1/p' | head -n 1) at $consul_addr"
    live
else
    say "They are not used: $why_not."
    say "The demo goes on with recorded containers and without Consul."
    recorded
fi

printf '\n%sAll was as the story says.%s\n' "$bold" "$plain"
