# SPDX-License-Identifier: Apache-2.0
"""./dev model in small: every answer to many clients is one that the reference model
allows, and so is the end state (tests/model/README.md)."""
import pathlib
import sys

import pytest

from support.postgres import Cluster
from support.stratad import Stratad

sys.path.append(str(pathlib.Path(__file__).parents[1] / "model"))
from checker.run import Run  # noqa: E402


@pytest.fixture
def cluster():
    """Its own, since it is restarted."""
    cluster = Cluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.mark.parametrize("faults", [False, True])
def test_every_answer_is_allowed(cluster, tmp_path, faults):
    server = Stratad(tmp_path / "server", cluster.create(), database_timeout="5s")
    server.folder.mkdir()
    run = Run(server, 1, operations=2000, clients=8, faults=faults, seconds=2)
    try:
        run.go()
    finally:
        print(run.summary())
        server.close()
    assert not run.wrong
    assert run.counts["operations"] >= 2000
    assert bool(run.struck) == faults
