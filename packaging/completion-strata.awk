# SPDX-License-Identifier: Apache-2.0
# Bash completion of strata from `strata --print-reference`.

function remember(line,    words, count, i) {
    sub(/^ +/, "", line)
    sub(/   *.*/, "", line)
    count = split(line, words, /,? /)
    for (i = 1; i <= count; i++) {
        if (words[i] ~ /^-/)
            options[command] = options[command] " " words[i]
        else if (words[i] ~ /^(FILE|LIST)$/)
            files[command] = files[command] " " words[i - 1] (count > 2 ? " " words[1] : "")
        if (words[i] !~ /^-/ )
            valued[command] = valued[command] " " words[i - 1] \
                (count > 2 ? " " words[1] : "")
    }
}

function list(key) {
    return key in options ? substr(options[key], 2) : ""
}

/^### What every command takes/ { command = "every"; next }
/^### strata / {
    command = $3
    at = 4
    if ($4 ~ /^[a-z]/) {
        command = command " " $4
        at = 5
        if (!($3 in family) && !($3 in alone))
            first = first " " $3
        family[$3] = family[$3] " " $4
    } else {
        if (!($3 in family))
            first = first " " $3
        alone[$3] = 1
    }
    order[++commands] = command
    takes_files[command] = $at ~ /^(DIR|FILE)/ || $(at + 1) ~ /DIR/ || $0 ~ /\| DIR/
    next
}
/^  -/ { remember($0) }

END {
    print "# bash completion for strata, generated from its tables of commands"
    print "_strata()\n{"
    print "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}"
    print "    local command=${COMP_WORDS[1]} options= valued= files= argument="
    print "    COMPREPLY=()"
    print "    if ((COMP_CWORD == 1)); then"
    printf "        mapfile -t COMPREPLY < <(compgen -W '%s help --help --version' " \
        "-- \"$cur\")\n", substr(first, 2)
    print "        return\n    fi"
    print "    case $command in"
    for (name in family) {
        printf "    %s)\n        if ((COMP_CWORD == 2)) && [[ $cur != -* ]]; then\n", name
        printf "            mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$cur\")\n",
            substr(family[name], 2)
        print "            return\n        fi"
        printf "        [[ ' %s ' == *\" ${COMP_WORDS[2]} \"* ]] &&\n", substr(family[name], 2)
        print "            command=\"$command ${COMP_WORDS[2]}\"\n        ;;"
    }
    print "    esac"
    print "    case $command in"
    for (i = 1; i <= commands; i++) {
        name = order[i]
        printf "    '%s') options='%s' valued='%s' files='%s' argument=%s ;;\n", name,
            list(name), substr(valued[name], 2), substr(files[name], 2),
            takes_files[name] ? "file" : "none"
    }
    print "    esac"
    printf "    options=\"$options %s\" valued=\"$valued %s\"\n", list("every"),
        substr(valued["every"], 2)
    print "    if [[ \" $files \" == *\" $prev \"* ]]; then"
    print "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")"
    print "        compopt -o filenames 2>/dev/null"
    print "    elif [[ \" $valued \" == *\" $prev \"* ]]; then"
    print "        return"
    print "    elif [[ $cur == -* ]]; then"
    print "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\")"
    print "    elif [[ $argument == file ]]; then"
    print "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")"
    print "        compopt -o filenames 2>/dev/null"
    print "    fi\n}"
    print "complete -F _strata strata"
}
