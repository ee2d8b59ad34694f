# SPDX-License-Identifier: Apache-2.0
"""A stratad with its private PostgreSQL, which a test may kill and must not leave."""
import contextlib
import os
import shutil
import signal
import tempfile
import pathlib

from .stratad import Stratad, wait_until


def lives(pid):
    """False for a zombie too: who inherits an orphan may be late to reap it."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


class PrivateStratad(Stratad):
    """`options` as in Stratad; fsync of the private PostgreSQL is off."""

    def __init__(self, folder, **options):
        super().__init__(folder, None, **{"database_fsync": "false", **options})
        self.cluster = self.data / "postgres"

    def postmaster_file(self):
        """The lines of postmaster.pid; an empty list when it is not there."""
        try:
            return (self.cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def postmaster(self):
        """The postmaster's process number; None when it does not run."""
        lines = self.postmaster_file()
        return int(lines[0]) if lines and lives(int(lines[0])) else None

    def kill_postmaster(self):
        pid = self.postmaster()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not lives(pid), what="the postmaster is dead")

    @contextlib.contextmanager
    def frozen(self):
        """PostgreSQL neither answers nor closes a connection: a hung disk."""
        pid = self.postmaster()
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        pids = [pid, *map(int, children)]
        try:
            for each in pids:
                os.kill(each, signal.SIGSTOP)
            yield
        finally:
            for each in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each, signal.SIGCONT)

    def close(self):
        try:
            super().close()
        finally:
            pid = self.postmaster()
            if pid is not None:
                os.kill(pid, signal.SIGQUIT)
                wait_until(lambda: not lives(pid), what="the postmaster has ended")


@contextlib.contextmanager
def private_servers():
    """Gives `make(deep=…, **options)`; ends all servers and removes their folders.

    PostgreSQL runs as another user when the tests run as root: its folder must be one
    that others may pass through.
    """
    base = pathlib.Path(tempfile.mkdtemp(prefix="strata-private-"))
    base.chmod(0o755)
    made = []

    def make(name="server", **options):
        folder = base / name
        folder.mkdir(parents=True, exist_ok=True)
        server = PrivateStratad(folder, **options)
        made.append(server)
        return server

    try:
        yield make
    finally:
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, base, ignore_errors=True)
            for server in made:
                stack.callback(server.close)
