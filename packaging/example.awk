# SPDX-License-Identifier: Apache-2.0
# An example configuration from `stratad --print-options`: all options, commented out.
BEGIN {
    print "; Configuration of stratad; see stratad(8)."
}
/^\| `[a-z]/ {
    split($0, cells, / *\| */)
    gsub(/`/, "", cells[2])
    gsub(/`/, "", cells[4])
    printf "\n; %s\n;%s =%s\n", cells[6], cells[2], cells[4] != "" ? " " cells[4] : ""
}
