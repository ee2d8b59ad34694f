# SPDX-License-Identifier: Apache-2.0
"""Runs the command `strata` as a user of its own would."""
import json
import os
import subprocess

from .chain import sha256
from .stratad import STRATA

USAGE, NOT_FOUND, DENIED, CONFLICT, CORRUPT, AWAY, LOCAL = 2, 3, 4, 5, 6, 7, 8
CI = ("GITHUB_", "GITLAB_", "CI_", "BUILDKITE", "JENKINS", "BUILD_", "GIT_")
SECONDS = 120


class Cli:
    """Runs `strata` with a home of its own. Keyword arguments are environment."""

    def __init__(self, home, url=None, token=None):
        self.home = home
        self.environment = {
            key: value for key, value in os.environ.items()
            if not key.startswith(("STRATA_", "XDG_", *CI)) and key != "CI"}
        self.environment["HOME"] = str(home)
        if url is not None:
            self.environment.update(STRATA_URL=url, STRATA_TOKEN=token)

    def spawn(self, *arguments, **options):
        return subprocess.Popen(
            [str(STRATA), *map(str, arguments)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment, **options)

    def run(self, *arguments, status=0, stdin=b"", environment=None, **options):
        result = subprocess.run(
            [str(STRATA), *map(str, arguments)], input=stdin, capture_output=True,
            timeout=SECONDS, env={**self.environment, **(environment or {})}, **options)
        assert result.returncode == status, (
            f"strata {arguments} ended with {result.returncode}\n"
            f"{result.stdout[-2000:]!r}\n{result.stderr.decode()[-2000:]}")
        return result

    def text(self, *arguments, **options):
        return self.run(*arguments, **options).stdout.decode()

    def error(self, *arguments, status, **options):
        result = self.run(*arguments, status=status, **options)
        assert b"strata: " in result.stderr
        return result.stderr.decode()

    def json(self, *arguments, **options):
        """The one document on standard output."""
        return json.loads(self.run(*arguments, "--json", **options).stdout)


def write(folder, files):
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder


def read(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


def partial(target, data):
    """Where a pull into `target` keeps what it has of these bytes."""
    return target / ".strata-partial" / sha256(data)
