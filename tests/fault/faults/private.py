# SPDX-License-Identifier: Apache-2.0
"""A stratad with its private PostgreSQL, and a look into that."""
import contextlib
import os
import pathlib
import signal
import urllib.parse

from support.postgres import Database
from support.private import PrivateStratad, lives
from support.stratad import wait_until


class PrivateDatabase(Database):
    def __init__(self, server):
        super().__init__(None, "strata")
        self.server = server

    @property
    def url(self):
        host = urllib.parse.quote(self.server.postmaster_file()[4], safe="")
        return f"postgresql://strata@/{self.name}?host={host}"


class Server(PrivateStratad):
    def __init__(self, folder, **options):
        super().__init__(folder, **options)
        self.look = PrivateDatabase(self)
        self.session = None

    @property
    def database(self):
        """What consistency checks ask; stratad's own command line has none."""
        return getattr(self, "look", None)

    @database.setter
    def database(self, _):
        pass

    def command(self):
        look, self.look = self.look, None
        try:
            return super().command()
        finally:
            self.look = look

    def stop(self, seconds=40):
        self.look.disconnect()
        super().stop(seconds)

    def kill(self):
        self.look.disconnect()
        super().kill()

    def start(self, seconds=60):
        super().start(seconds)
        self.session = self.postmaster()
        return self

    def kill_all(self):
        """stratad and every process of its PostgreSQL, at once; also where the disk
        does not tell any more who they are."""
        self.look.disconnect()
        pids = [self.process.pid, *self.session_pids()]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        wait_until(lambda: not any(map(lives, pids)), what="all are dead")
        # Those that were made meanwhile.
        assert not [pid for pid in self.session_pids() if lives(pid)]

    def session_pids(self):
        """PostgreSQL's processes: the postmaster leads a session of its own, initdb and
        what it runs work in a folder of the data folder."""
        found = []
        for folder in pathlib.Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    fields = (folder / "stat").read_text().rpartition(")")[2].split()
                    if int(fields[3]) == self.session or self.is_in_folder(folder):
                        found.append(int(folder.name))
        return found

    def is_in_folder(self, process):
        """Its arguments name the cluster, or it works there; not this test itself."""
        if int(process.name) == os.getpid():
            return False
        return (str(self.data) in (process / "cmdline").read_text(errors="replace")
                or str(self.data) in os.readlink(process / "cwd"))

    def close(self):
        self.look.disconnect()
        super().close()
