# SPDX-License-Identifier: Apache-2.0
# strata(1): what `strata --print-reference` says goes where the template says
# @COMMANDS@, @OPTIONS@ and @STATUS@.
# usage: awk -f roff.awk -f manual-strata.awk REFERENCE TEMPLATE

function add(text) {
    parts[part] = parts[part] text "\n"
}

# "  -j, --jobs N            connections at once": help begins in column 27, or is on
# the next lines.
function option(line,    name, help) {
    name = substr(line, 3)
    help = ""
    if (match(name, /   *[^ ]/)) {
        help = substr(name, RSTART + RLENGTH - 1)
        name = substr(name, 1, RSTART - 1)
    }
    add(".TP\n\\fB" roff(name) "\\fR")
    if (help != "")
        add(roff(help))
}

function text(line) {
    if (line == "") {
        if (part == "COMMANDS" && !fenced)
            return
        add(".PP")
    } else if (line ~ /^  -/) {
        option(line)
    } else if (line ~ /^  [0-9]  /) {
        add(".TP\n" substr(line, 3, 1) "\n" roff(substr(line, 6)))
    } else {
        sub(/^ +/, "", line)
        add(roff(line))
    }
}

BEGIN { part = "COMMANDS" }
FNR != NR {
    name = substr($0, 2, length($0) - 2)
    if (/^@[A-Z]+@$/ && name in parts)
        printf "%s", parts[name]
    else
        print
    next
}
/^### What every command takes/ { part = "OPTIONS"; next }
/^### / { add(".SS \"" roff(substr($0, 5)) "\""); next }
/^```/ {
    fenced = /text/
    if (fenced && part == "COMMANDS")
        add(".PP")
    next
}
/^Exit status:/ { part = "STATUS"; next }
part != "COMMANDS" && /^$/ { next }
{ text($0) }
