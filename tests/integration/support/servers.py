# SPDX-License-Identifier: Apache-2.0
"""Fresh servers as copies of a template, ended and looked through together."""
import itertools
import shutil

from .consistency import problems
from .stratad import Stratad, copy_data


class Servers:
    """Makes servers and ends them all."""

    numbers = itertools.count(1)

    def __init__(self, postgres, work_folder, template):
        self.postgres = postgres
        self.work_folder = work_folder
        self.template = template
        self.made = []

    def make(self, fresh=False, start=True, **options):
        folder = self.work_folder / f"server-{next(self.numbers)}"
        database = self.postgres.create(None if fresh else self.template.database)
        folder.mkdir()
        if not fresh:
            copy_data(self.template.data, folder / "data")
        server = Stratad(folder, database, **options)
        self.made.append(server)
        return server.start() if start else server

    def check(self, server):
        """The invariants between tables and files, once the server is at rest."""
        if server.is_damaged or not server.database.counts().get("blobs"):
            return
        found = problems(server)
        assert not found, "\n".join(found)

    def close(self):
        errors = []
        for server in self.made:
            try:
                server.close()
                self.check(server)
            except Exception as error:  # every server is ended, then the first is raised
                errors.append(error)
            server.database.drop()
            shutil.rmtree(server.folder, ignore_errors=True)
        if errors:
            raise errors[0]
