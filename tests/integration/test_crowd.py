# SPDX-License-Identifier: Apache-2.0
"""Thousands of idle clients beside working ones, and too few descriptors for them."""
import re
import resource
import statistics
import time

import pytest

from support.chain import make_bytes, sha256
from support.rawhttp import Closed, Connection
from support.stratad import sanitized, wait_until

CROWD = 200 if sanitized() else 2000
KIB_EACH = 96  # connection_memory is 48; the rest is a thread's
KEPT = 24 << 20  # what the allocator may hold back when they are gone
ROUNDS = 300


@pytest.fixture
def descriptors():
    """Room for the test's own ends of the connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def open_idle(server, bearer, count):
    """Connections that have each had an answer and keep what they have."""
    idle = []
    for _ in range(count):
        connection = Connection(server.address)
        connection.request("GET", "/api/v1/whoami", [bearer])
        idle.append(connection)
        assert connection.answer().status == 200
    return idle


def latencies(server, bearer, digest):
    """Milliseconds of small reads on one connection, in order."""
    taken = []
    with Connection(server.address) as connection:
        for _ in range(ROUNDS):
            began = time.perf_counter()
            connection.request("GET", f"/api/v1/blobs/{digest}", [bearer])
            assert connection.answer().status == 200
            taken.append((time.perf_counter() - began) * 1000)
    return sorted(taken)


def test_thousands_of_idle_connections(make_server, descriptors):
    server = make_server(connections=2200)
    bearer = f"Authorization: Bearer {server.admin_token()}"
    digest = server.api().put_blob(make_bytes(1000, "crowd"))
    alone = latencies(server, bearer, digest)
    before = server.rss_anon()
    idle = open_idle(server, bearer, CROWD)
    try:
        each = (server.rss_anon() - before) / CROWD / 1024
        beside = latencies(server, bearer, digest)
        data = make_bytes(8 << 20, "beside")
        assert server.api().upload(data) == sha256(data)
        for connection in idle[::97]:  # they are alive, not just open
            connection.request("GET", "/healthz")
            assert connection.answer().status == 200
    finally:
        for connection in idle:
            connection.socket.close()
    # An own scheduler's hiccups are in both; what 2,000 threads may not do is to make
    # each request wait.
    assert statistics.median(beside) < 4 * statistics.median(alone) + 2, (
        f"median {statistics.median(beside):.2f} ms beside {CROWD}, "
        f"{statistics.median(alone):.2f} ms alone")
    wait_until(lambda: connections(server) < 20, what="they are gone")
    if not sanitized():
        assert each < KIB_EACH, f"{each:.1f} KiB each"
        wait_until(lambda: server.rss_anon() - before < KEPT,
                   what="their memory is given back")


def connections(server):
    text = server.api().get("//metrics").text
    return int(re.search(r"^strata_http_connections (\d+)", text, re.M)[1])


# ---- descriptors ----------------------------------------------------------------------

def with_limits(make_server, soft, hard, **options):
    """A server that is started under these limits of open files."""
    server = make_server(start=False, **options)
    command = server.command()
    server.command = lambda: [
        "sh", "-c", f'ulimit -Sn {soft} && ulimit -Hn {hard} && exec "$@"', "sh", *command]
    return server.start()


def open_files(server):
    with open(f"/proc/{server.process.pid}/limits") as limits:
        return re.search(r"Max open files\s+(\d+)\s+(\d+)", limits.read()).groups()


def test_soft_limit_is_raised(make_server):
    server = with_limits(make_server, 64, 8000)
    assert open_files(server) == ("8000", "8000")
    assert "limit of open files" not in server.log()


def test_hard_limit_that_is_too_low_is_told(make_server):
    """And those who find no descriptor wait until there is one."""
    server = with_limits(make_server, 100, 100, connections=400)
    line = next(line for line in server.log().splitlines() if "limit of open files" in line)
    assert "level=warn" in line and "limit=100" in line
    assert int(re.search(r"wanted=(\d+)", line)[1]) > 2 * 400
    crowd = [Connection(server.address, timeout=1) for _ in range(150)]
    answered = 0
    for connection in crowd:
        try:
            connection.request("GET", "/healthz")
            answered += connection.answer().status == 200
        except (TimeoutError, Closed, ConnectionError):
            break
    for connection in crowd:
        connection.socket.close()
    assert 20 < answered < 100
    wait_until(lambda: server.anonymous().get("//healthz").status_code == 200,
               what="it goes on")
    digest = server.api().put_blob(make_bytes(1000, "after"))
    server.api().get(f"/blobs/{digest}", expect=200)
