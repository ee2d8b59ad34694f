# SPDX-License-Identifier: Apache-2.0
# stratad(8): the table of `stratad --print-options` goes where the template says
# @OPTIONS@. usage: awk -f roff.awk -f manual-stratad.awk TABLE TEMPLATE

function flag(name) {
    if (name ~ /^--/)
        return name
    gsub(/_/, "-", name)
    return "--" name
}

function entry(line,    cells, tag) {
    split(line, cells, / *\| */)
    gsub(/`/, "", cells[2])
    tag = "\\fB" roff(flag(cells[2])) "\\fR"
    if (cells[3] != "")
        tag = tag " \\fI" roff(cells[3]) "\\fR"
    table = table ".TP\n" tag "\n" roff(cells[6]) "\n"
    if (cells[4] != "")
        table = table "The default is " roff(cells[4]) ".\n"
    if (cells[5] == "yes")
        table = table "Taken over at SIGHUP.\n"
}

NR == FNR {
    if (/^\| `/)
        entry($0)
    next
}
$0 == "@OPTIONS@" {
    printf "%s", table
    next
}
{ print }
