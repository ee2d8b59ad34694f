# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the integration tests.

A test asks for `server` (a fresh stratad of its own, about 0.3 s) or for a caller:
`api` (administrator), `reader`, `publisher`, `maintainer`, `admin`, `anonymous`. A module
whose tests do not get into each other's way shares one server between them by

    @pytest.fixture
    def server(shared_server):
        return shared_server

`make_server(**options)` gives further servers, with other options, or with `fresh=True`
on an empty database and no data folder at all (the very first start). Every server is
stopped when the test ends, its log looked through and its tables held against its files
(support/consistency.py); logs of failed tests are shown.
"""
import itertools
import os
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from support import api as api_module  # noqa: E402
from support import stratad as stratad_module  # noqa: E402
from support.chain import CHUNK, make_bytes  # noqa: E402
from support.cli import Cli, write  # noqa: E402
from support.contract import contract as load_contract  # noqa: E402
from support.postgres import Cluster  # noqa: E402
from support.rawhttp import Connection  # noqa: E402
from support.relay import Relay  # noqa: E402
from support.s3 import S3Server  # noqa: E402
from support.s3proxy import S3Proxy  # noqa: E402
from support.servers import Servers  # noqa: E402
from support.stratad import Stratad  # noqa: E402

LOG_TAIL = 20000


@pytest.fixture(scope="session")
def contract():
    return load_contract()


@pytest.fixture(scope="session")
def postgres():
    cluster = Cluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def work_folder():
    """Where data folders lie; on STRATA_TEST_DIR when the temporary folder is small."""
    folder = tempfile.mkdtemp(prefix="strata-it-", dir=os.environ.get("STRATA_TEST_DIR"))
    yield pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(postgres, work_folder):
    """A database and a data folder after a first start: what a `server` is a copy of."""
    database = postgres.create()
    server = Stratad(work_folder / "template", database)
    try:
        server.start()
    finally:
        server.close()
    return server


@pytest.fixture(scope="session")
def s3_server():
    """A real S3 server, started when the first test asks for it."""
    server = S3Server()
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def bucket(s3_server):
    """A fresh bucket of its own."""
    return s3_server.bucket()


@pytest.fixture
def s3_proxy(s3_server):
    """A proxy before the S3 server; without faults until it is given some."""
    with S3Proxy(s3_server) as proxy:
        yield proxy


def _servers(request):
    servers = Servers(
        request.getfixturevalue("postgres"), request.getfixturevalue("work_folder"),
        request.getfixturevalue("template"))
    request.node.stash.setdefault(SERVERS, []).append(servers)
    return servers


SERVERS = pytest.StashKey()


@pytest.fixture
def make_server(request):
    servers = _servers(request)
    yield servers.make
    servers.close()


@pytest.fixture(scope="module")
def shared_server(request):
    servers = _servers(request)
    yield servers.make()
    servers.close()


@pytest.fixture
def server(make_server):
    return make_server()


@pytest.fixture
def database(server):
    return server.database


@pytest.fixture
def api(server):
    return server.api("admin")


@pytest.fixture
def admin(server):
    return server.api("admin")


@pytest.fixture
def maintainer(server):
    return server.api("maintainer")


@pytest.fixture
def publisher(server):
    return server.api("publisher")


@pytest.fixture
def reader(server):
    return server.api("reader")


@pytest.fixture
def anonymous(server):
    return server.anonymous()


@pytest.fixture
def raw(server):
    """A bare connection, for requests that no client would send."""
    with Connection(server.address) as connection:
        yield connection


@pytest.fixture
def bearer(server):
    return f"Authorization: Bearer {server.admin_token()}"


@pytest.fixture(scope="session")
def problem():
    return api_module.problem


@pytest.fixture(scope="session")
def strata_binary():
    return stratad_module.STRATA


# ---- the command line ---------------------------------------------------------------

@pytest.fixture
def cli(server, tmp_path):
    return Cli(tmp_path, server.base, server.admin_token())


@pytest.fixture
def relay(server):
    relay = Relay(server.address)
    yield relay
    relay.close()


@pytest.fixture
def model(numbers=itertools.count(1)):
    """A model's name that no other test has."""
    return f"cli/m{next(numbers)}"


@pytest.fixture
def files(model):
    """More than one chunk, one byte, nothing, the same twice, a name in UTF-8."""
    big = make_bytes(3 * CHUNK + 17, model)
    return {"weights.bin": big, "config.json": b'{"a":1}', "empty": b"", "sub/one": b"1",
            "sub/again.bin": big, "sub/Größe.txt": b"g" * 70000}


@pytest.fixture
def folder(tmp_path, files):
    return write(tmp_path / "model", files)


@pytest.fixture
def published(cli, model, folder):
    return cli.json("publish", folder, model)


# ---- logs ------------------------------------------------------------------------------

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the logs of the servers that a failed test used to its report."""
    report = yield
    if report.failed:
        for node in (item, item.getparent(pytest.Module)):
            for servers in node.stash.get(SERVERS, []):
                for server in servers.made:
                    report.sections.append(
                        (f"log of {server.folder.name}", server.log()[-LOG_TAIL:]))
    return report
