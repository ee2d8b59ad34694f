#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Says how many branches of a parser its inputs reach.

usage: coverage.py TARGET PROGRAM INPUT...
       coverage.py --pick TARGET PROGRAM CORPUS CANDIDATES

PROGRAM replays the inputs and was built for llvm-cov. What belongs to the parser stands
in the target's source: `// Parser: FILE` or `// Parser: FILE: FUNCTION...`. Each
condition has two branches. Those of an assert are left out, since it fails for no input.
Prints what is not reached, and fails below 90 %. With --pick, copies into the folder
CORPUS those files of the folder CANDIDATES that reach more.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

LEAST = 90
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def parsers(target):
    """The files, each with the functions that count: None = all."""
    found = {}
    with open(f"{ROOT}/tests/fuzz/fuzz_{target}.c", encoding="utf-8") as f:
        for line in f:
            match = re.match(r"// Parser: ([^:\s]+)(?:: (.*))?", line)
            if match and match.group(2):
                found.setdefault(match.group(1), set()).update(match.group(2).split())
            elif match:
                found[match.group(1)] = None
    return found


def run(program, inputs):
    """What llvm-cov knows after a replay of the inputs."""
    with tempfile.TemporaryDirectory() as folder:
        raw, profile = f"{folder}/raw", f"{folder}/profile"
        subprocess.run([program, *inputs], check=True, stdout=subprocess.DEVNULL,
                       env=dict(os.environ, LLVM_PROFILE_FILE=raw))
        subprocess.run(["llvm-profdata-14", "merge", "-sparse", raw, "-o", profile],
                       check=True)
        export = subprocess.run(
            ["llvm-cov-14", "export", program, f"-instr-profile={profile}"],
            check=True, stdout=subprocess.PIPE)
    return json.loads(export.stdout)["data"][0]


def branches(export, wanted):
    """(file, line, column, side) of each branch -> whether it was taken."""
    taken, seen = {}, {path: set() for path in wanted}
    for function in export["functions"]:
        path = os.path.relpath(os.path.realpath(function["filenames"][0]), ROOT)
        name = function["name"].split(":")[-1]
        names = wanted.get(path, ())
        if names is not None and name not in names:
            continue
        seen[path].add(name)
        for line, column, _, _, true, false, file_id, *_ in function["branches"]:
            if file_id != 0:  # within a macro's expansion
                continue
            for side, times in (("true", true), ("false", false)):
                key = (path, line, column, side)
                taken[key] = taken.get(key, False) or times > 0
    for path, names in wanted.items():
        missing = " ".join(sorted((names or set()) - seen[path]))
        if missing or not seen[path]:
            sys.exit(f"{path}: not in the program: {missing or 'all of it'}")
    return {key: hit for key, hit in taken.items() if "assert(" not in source_line(key)}


def source_line(key):
    with open(f"{ROOT}/{key[0]}", encoding="utf-8") as f:
        return f.read().split("\n")[key[1] - 1].strip()


def report(target, taken):
    missed = sorted(key for key, hit in taken.items() if not hit)
    reached = len(taken) - len(missed)
    share = 100 * reached / len(taken)
    print(f"{target}: {reached} of {len(taken)} branches, {share:.1f} %")
    for key in missed:
        path, line, column, side = key
        print(f"    {path}:{line}:{column} never {side}: {source_line(key)}")
    return 0 if share >= LEAST else 1


def pick(program, wanted, corpus, candidates):
    have = branches(run(program, [corpus]), wanted)
    paths = [f"{candidates}/{name}" for name in os.listdir(candidates)]
    for path in sorted(paths, key=os.path.getsize):
        new = branches(run(program, [path]), wanted)
        if any(hit and not have[key] for key, hit in new.items()):
            shutil.copy(path, corpus)
            have = {key: hit or new[key] for key, hit in have.items()}


def main():
    arguments = sys.argv[1:]
    if arguments[0] == "--pick":
        pick(arguments[2], parsers(arguments[1]), *arguments[3:])
        return 0
    target, program, *inputs = arguments
    return report(target, branches(run(program, inputs), parsers(target)))


sys.exit(main())
