# SPDX-License-Identifier: Apache-2.0
# Text for troff. Used by manual-strata.awk and manual-stratad.awk.

# A line of text that troff shows as it is; `word` in bold.
function roff(text,    out, quoted) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    out = ""
    while (match(text, /`[^`]*`/)) {
        quoted = substr(text, RSTART + 1, RLENGTH - 2)
        out = out substr(text, 1, RSTART - 1) "\\fB" quoted "\\fR"
        text = substr(text, RSTART + RLENGTH)
    }
    out = out text
    if (out ~ /^[.']/)
        out = "\\&" out
    return out
}
