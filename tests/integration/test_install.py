# SPDX-License-Identifier: Apache-2.0
"""`make install`, and what is generated from the tables of options for it."""
import re
import subprocess

import pytest

from support.stratad import BUILD, ROOT, STRATA, STRATAD

FILES = {
    "bin/strata",
    "bin/stratad",
    "include/strata.h",
    "include/strata_tiers.h",
    "include/strata_transfer.h",
    "lib/libstrata.la",
    "lib/libstrata.so",
    "lib/libstrata.so.0",
    "lib/libstrata.so.0.0.0",
    "lib/pkgconfig/strata.pc",
    "lib/systemd/system/stratad.service",
    "lib/sysusers.d/strata.conf",
    "share/bash-completion/completions/strata",
    "share/bash-completion/completions/stratad",
    "share/doc/strata/strata.conf.example",
    "share/man/man1/strata.1",
    "share/man/man8/stratad.8",
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that /usr/local would be."""
    root = tmp_path_factory.mktemp("root")
    made = subprocess.run(["make", "-C", BUILD, "install", f"DESTDIR={root}"],
                          capture_output=True, text=True, timeout=300, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    return root / "usr/local"


def printed(program, table):
    return subprocess.run([program, f"--print-{table}"], capture_output=True, text=True,
                          check=True, timeout=30).stdout


def server_options():
    names = re.findall(r"^\| `([^`]+)`", printed(STRATAD, "options"), re.MULTILINE)
    assert len(names) > 20
    return ["--" + name.removeprefix("--").replace("_", "-") for name in names]


def commands():
    """Each command and its options, long and short."""
    table = {}
    for line in printed(STRATA, "reference").splitlines():
        if match := re.match(r"### strata ([a-z-]+(?: [a-z]+)?)", line):
            options = table.setdefault(match[1], set())
        elif line.startswith("### "):
            options = table.setdefault("", set())
        elif match := re.match(r"  (-.*?)(?:   *|$)", line):
            options |= set(re.findall(r"(?<!\S)--?[a-z-]+", match[1]))
    assert len(table) > 15 and "--idempotency-key" in table["publish"]
    return table


def complete(installed, program, *words):
    """What bash offers for the last word."""
    script = ('source "$1"; COMP_WORDS=("${@:2}"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n'
              f'_{program}; printf "%s\\n" "${{COMPREPLY[@]}}"')
    file = installed / "share/bash-completion/completions" / program
    done = subprocess.run(["bash", "-c", script, "bash", file, program, *words], text=True,
                          capture_output=True, timeout=30, check=True)
    return set(done.stdout.split())


def test_install_puts_every_file_in_its_place(installed):
    found = {str(path.relative_to(installed)) for path in installed.rglob("*")
             if not path.is_dir()}
    assert found == FILES


def test_unit_starts_what_was_installed(installed):
    unit = (installed / "lib/systemd/system/stratad.service").read_text()
    assert "ExecStart=/usr/local/bin/stratad --config /usr/local/etc/strata.conf" in unit
    assert not re.search(r"@[a-zA-Z]+@", unit)


def test_manual_names_every_option_of_stratad(installed):
    page = (installed / "share/man/man8/stratad.8").read_text().replace("\\-", "-")
    for option in server_options():
        assert f"\\fB{option}\\fR" in page, option
    assert not re.search(r"@[A-Za-z]+@", page)


def test_manual_names_every_command_and_option_of_strata(installed):
    page = (installed / "share/man/man1/strata.1").read_text().replace("\\-", "-")
    for command, options in commands().items():
        if command:
            assert f'.SS "strata {command}' in page, command
            part = page.split(f'.SS "strata {command}', 1)[1].split("\n.S", 1)[0]
        else:
            part = page.split(".SH OPTIONS OF EVERY COMMAND", 1)[1].split("\n.S", 1)[0]
        for option in options:
            assert re.search(rf"^\\fB.*(?<!\S){option}\b|^\\fB{option}\b", part,
                             re.MULTILINE), (command, option)
    assert ".TP\n8\n" in page.split(".SH EXIT STATUS", 1)[1]
    assert not re.search(r"@[A-Za-z]+@", page)


def test_completion_offers_every_option_of_stratad(installed):
    assert complete(installed, "stratad", "-") == set(server_options())
    assert complete(installed, "stratad", "--log-level", "w") == {"warn"}


def test_completion_offers_every_command_and_option_of_strata(installed):
    table = commands()
    words = {command.split()[0] for command in table if command}
    assert complete(installed, "strata", "") == words | {"help", "--help", "--version"}
    assert complete(installed, "strata", "tokens", "") == {"ls", "create", "revoke"}
    for command, options in table.items():
        if command:
            offered = complete(installed, "strata", *command.split(), "-")
            assert offered == options | table[""], command
    assert complete(installed, "strata", "publish", "--alias", "p") == set()


def test_example_configuration_is_taken(installed, tmp_path):
    """All lines count, but for `data`, which has no default."""
    text = (installed / "share/doc/strata/strata.conf.example").read_text()
    lines = re.sub(r"^;([a-z_]+ =)", r"\1", text, flags=re.MULTILINE)
    assert len(re.findall(r"^[a-z_]+ =", lines, re.MULTILINE)) > 15
    file = tmp_path / "strata.conf"
    for extra, status, said in (("", 1, "stratad cannot start"), ("nonsense = 1\n", 2, "")):
        # A data folder below a file cannot be made: it ends as soon as options are read.
        file.write_text(lines + extra)
        done = subprocess.run([STRATAD, "--config", file, "--data", ROOT / "LICENSE/x"],
                              capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == status and said in done.stderr, done.stderr
