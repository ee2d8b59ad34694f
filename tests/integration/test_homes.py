# SPDX-License-Identifier: Apache-2.0
"""The thread of a connection that sends files stays on one processor."""
import os
import pathlib

import pytest

from support.chain import make_bytes

MIB = 1 << 20


@pytest.fixture
def server(shared_server):
    return shared_server


def processors(server):
    """How many each connection's thread may run on."""
    counts = []
    for task in pathlib.Path(f"/proc/{server.process.pid}/task").iterdir():
        if (task / "comm").read_text().startswith("MHD-conn"):
            counts.append(len(os.sched_getaffinity(int(task.name))))
    return counts


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor alone")
def test_a_download_stays_and_an_upload_roams(server, api):
    every = len(os.sched_getaffinity(0))
    data = make_bytes(2 * MIB, "homes")
    digest = api.put_blob(data)
    assert set(processors(server)) == {every}
    assert api.get(f"/blobs/{digest}").content == data  # on the same connection
    assert processors(server).count(1) == 1
    assert api.get("/whoami", expect=200) and processors(server).count(1) == 1
    api.put_blob(make_bytes(MIB, "homes again"))
    assert set(processors(server)) == {every}
