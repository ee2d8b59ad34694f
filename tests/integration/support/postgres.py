# SPDX-License-Identifier: Apache-2.0
"""One throw-away PostgreSQL per test session, on a Unix socket only.

PostgreSQL refuses to run as root; then its programs run as the user `postgres`. fsync is
off: the tests kill stratad, never this cluster.
"""
import glob
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import urllib.parse

import psycopg

SUPERUSER = "strata_test"


def _binary(name):
    """The newest installed program of that name; Debian keeps them out of PATH."""
    found = sorted(
        glob.glob(f"/usr/lib/postgresql/*/bin/{name}"),
        key=lambda path: int(path.split("/")[4]),
    )
    path = found[-1] if found else shutil.which(name)
    assert path, f"PostgreSQL's {name} is not installed: run ./dev setup"
    return path


class Database:
    """One database of the cluster, with what a test needs to look into it."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name
        self._connection = None

    @property
    def url(self):
        host = urllib.parse.quote(self.cluster.folder, safe="")
        return f"postgresql://{SUPERUSER}@/{self.name}?host={host}"

    def rows(self, sql, *parameters):
        """All rows of a statement, in a transaction of its own. One thread at a time."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self.url, autocommit=True)
        cursor = self._connection.execute(sql, parameters or None)
        return cursor.fetchall() if cursor.description else []

    def disconnect(self):
        """Closes the test's own connection; the next statement opens another."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def value(self, sql, *parameters):
        """The single value of a statement's single row."""
        ((value,),) = self.rows(sql, *parameters)
        return value

    def counts(self):
        """{table: number of rows} of every table: what `changes nothing` is held to, but
        for what the policy notes in its own time."""
        tables = self.rows(
            "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename <> 'blob_policy' ORDER BY 1"
        )
        union = " UNION ALL ".join(
            f"SELECT '{table}', count(*) FROM {table}" for (table,) in tables
        )
        return dict(self.rows(union)) if tables else {}

    def allow_connections(self, allow):
        """`False` cuts every client off and refuses new ones: PostgreSQL is away."""
        self.disconnect()
        self.cluster.admin(
            f'ALTER DATABASE "{self.name}" WITH ALLOW_CONNECTIONS {str(allow).lower()}'
        )
        if not allow:
            self.cluster.admin(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = %s", self.name)

    def drop(self):
        self.disconnect()
        self.cluster.admin(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')


class Cluster:
    """The cluster; `create` makes a database, empty or as a copy of another."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="strata-pg-", dir="/tmp")
        self.data = os.path.join(self.folder, "data")
        self.log = os.path.join(self.folder, "log")
        self.numbers = itertools.count(1)
        self.user = None
        self.environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
        # A preloaded sanitizer runtime is stratad's business, not PostgreSQL's.
        self.environment.pop("LD_PRELOAD", None)
        if os.geteuid() == 0:
            self.user = "postgres"
            account = pwd.getpwnam(self.user)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        os.chmod(self.folder, 0o755)

    def _run(self, *command):
        subprocess.run(
            command, user=self.user, cwd=self.folder, env=self.environment, check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=120,
        )

    def start(self):
        self._run(_binary("initdb"), "-D", self.data, "-U", SUPERUSER, "-A", "trust",
                  "-E", "UTF8", "--no-sync", "--locale=C")
        self._control("start")

    def restart(self, mode):
        """`fast` or `immediate`: every session is cut; where there was no shutdown it
        recovers from its log."""
        self._control("restart", "-m", mode)

    def _control(self, *command):
        options = (
            f"-c listen_addresses= -c unix_socket_directories={self.folder}"
            " -c fsync=off -c full_page_writes=off -c max_connections=200"
            " -c shared_buffers=64MB -c max_wal_size=256MB -c timezone=UTC"
        )
        self._run(_binary("pg_ctl"), "-D", self.data, "-l", self.log, "-w", "-s",
                  "-o", options, *command)

    def stop(self):
        try:
            self._run(_binary("pg_ctl"), "-D", self.data, "-m", "immediate", "-w", "-s",
                      "stop")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def admin(self, sql, *parameters):
        with psycopg.connect(Database(self, "postgres").url, autocommit=True) as link:
            link.execute(sql, parameters or None)

    def create(self, template=None):
        name = f"strata_{next(self.numbers)}"
        if template:
            template.disconnect()  # a database that is copied must have no clients
        copy = f' TEMPLATE "{template.name}"' if template else ""
        self.admin(f'CREATE DATABASE "{name}"{copy}')
        return Database(self, name)
