# SPDX-License-Identifier: Apache-2.0
# Bash completion of stratad from `stratad --print-options`.
/^\| `/ {
    split($0, cells, / *\| */)
    gsub(/`/, "", cells[2])
    name = cells[2]
    if (name !~ /^--/) {
        gsub(/_/, "-", name)
        name = "--" name
    }
    names = names " " name
    if (cells[3] == "FILE")
        files = files "|" name
    else if (cells[3] == "DIR")
        folders = folders "|" name
    else if (cells[3] == "LEVEL")
        levels = levels "|" name
    else if (cells[3] != "")
        others = others "|" name
}
END {
    print "# bash completion for stratad, generated from its options"
    print "_stratad()\n{"
    print "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}"
    print "    COMPREPLY=()"
    print "    case $prev in"
    printf "    %s) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n", substr(files, 2)
    printf "    %s) mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ;;\n", substr(folders, 2)
    printf "    %s)\n        mapfile -t COMPREPLY < <(compgen -W 'debug info warn error' " \
        "-- \"$cur\")\n        ;;\n", substr(levels, 2)
    printf "    %s) ;;\n", substr(others, 2)
    printf "    *)\n        mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$cur\")\n        ;;\n",
        substr(names, 2)
    print "    esac\n}"
    print "complete -o filenames -F _stratad stratad"
}
