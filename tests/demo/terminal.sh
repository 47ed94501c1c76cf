# shellcheck shell=bash disable=SC2034,SC2154 # they share variables with demo.sh
# What the demo shows in the terminal: headings, the daemon's log lines and
# tables. Sourced by demo.sh.

bold='' dim='' red='' green='' yellow='' magenta='' cyan='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m'
    magenta=$'\e[35m' cyan=$'\e[36m' plain=$'\e[0m'
fi

steps=0
step() {
    steps=$((steps + 1))
    printf '\n%s%d. %s%s\n\n' "$bold" "$steps" "$*" "$plain"
}

# A sentence between the steps' results.
say() { printf '%s\n' "$*"; }

good() { printf '%sOK%s  %s\n' "$green" "$plain" "$*"; }

# A failure ends the demo; the cleaning up comes after it.
fail() {
    printf '%sFAILED%s  %s\n' "$red" "$plain" "$*" >&2
    exit 1
}

# Show a file, or the standard input.
quote() { sed "s/^/    $dim/; s/\$/$plain/" "$@"; }

# table COLUMN... <lines with tab-separated fields
table() {
    local header
    header=$(IFS=$'\t' && printf '%s' "$*")
    awk -F '\t' -v header="$header" -v bold="$bold" -v plain="$plain" '
        function keep(line,   fields, n, i) {
            n = split(line, fields, FS)
            if (n > columns) columns = n
            for (i = 1; i <= n; i++) {
                cell[rows, i] = fields[i]
                if (length(fields[i]) > width[i]) width[i] = length(fields[i])
            }
            rows++
        }
        BEGIN { rows = 0; keep(header) }
        { keep($0) }
        END {
            for (r = 0; r < rows; r++) {
                line = "    "
                for (i = 1; i < columns; i++) line = line sprintf("%-" width[i] "s  ", cell[r, i])
                line = line cell[r, columns]
                sub(/ +$/, "", line)
                print (r == 0 ? bold line plain : line)
            }
            if (rows == 1) print "    (nothing)"
        }'
}

# The containers that the demo has started: name by short id.
declare -A container_names=()

# Show one line of the daemon's log: its time, and its words in a colour. Lines
# about containers that are not the demo's are left out.
log_line() {
    local time level text verb id rest colour=$dim
    [[ $1 =~ ^[0-9-]+T([0-9:]{8})[^\ ]*\ +([A-Z]+)\ (.*)$ ]] || return 0
    time=${BASH_REMATCH[1]} level=${BASH_REMATCH[2]} text=${BASH_REMATCH[3]}
    if [[ $text =~ ^([a-z][^:]*):\ ([0-9a-f]{12})\ (.*)$ ]]; then
        verb=${BASH_REMATCH[1]} id=${BASH_REMATCH[2]} rest=${BASH_REMATCH[3]}
        [[ -n ${container_names[$id]:-} ]] || return 0
        case $verb in
        added) colour=$green ;;
        removed) colour=$red ;;
        vetoed) colour=$magenta ;;
        ignored) colour=$cyan ;;
        *) colour=$yellow ;;
        esac
        text="$colour$verb$plain: $dim$id$plain $rest"
        # Its line does not name the container.
        [[ $verb != ignored ]] || text+="  $dim(${container_names[$id]})$plain"
    else
        case $level in
        WARN) colour=$yellow ;;
        ERROR) colour=$red ;;
        esac
        text="$colour$text$plain"
    fi
    printf '    %s%s%s  %s\n' "$dim" "$time" "$plain" "$text"
}

# Show what was added to the daemon's log since the last call. A line that is
# not yet whole is left for the next one.
log_shown=0
show_log() {
    local line
    [[ -f $dir/daemon.log ]] || return 0
    while IFS= read -r line; do
        log_shown=$((log_shown + 1))
        log_line "$line"
    done < <(tail -n "+$((log_shown + 1))" "$dir/daemon.log")
}
