# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow on purpose lose their connections; those that are merely slow
keep them. libmicrohttpd's own limit is on the time between two bytes."""
import concurrent.futures
import hashlib
import re
import socket
import time

import pytest

from support.chain import make_bytes, sha256
from support.rawhttp import Connection
from support.stratad import wait_until

API = "/api/v1"
LIMITS = {"idle_timeout": "2s", "head_timeout": "1s", "minimum_rate": "4K"}
DEADLINE = 12  # seconds; a trickle would go on for much longer
DATA = make_bytes(200_000, "slow")
BIG = make_bytes(48 << 20, "slow reader")


@pytest.fixture
def server(make_server):
    return make_server(**LIMITS)


def counted(server, name):
    text = server.api().get("//metrics").text
    return int(re.search(rf"^{name} (\d+)", text, re.M)[1])


def cuts(server):
    return counted(server, "strata_http_connections_cut_total")


def trickle(connection, text, pause):
    """Sends byte by byte, `text` again and again; how long the server let it."""
    began = time.monotonic()
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.socket.settimeout(pause)
    sent = 0
    while time.monotonic() - began < DEADLINE + 8:
        try:
            connection.send(text[sent % len(text):][:1])
            sent += 1
            if connection.socket.recv(1000) == b"":
                break
        except TimeoutError:
            continue
        except (BrokenPipeError, ConnectionResetError):
            break
    return time.monotonic() - began


def together(*calls):
    """Runs all at once; their results."""
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def test_heads_byte_by_byte_are_cut(server, bearer):
    """A byte each 0.2 s is never idle for 2 s, and its head would never end."""
    starts = [
        b"",  # the request line itself trickles
        f"GET {API}/whoami HTTP/1.1\r\nHost: x\r\n{bearer}\r\nX-Slow: ".encode(),
        f"GET {API}/whoami HTTP/1.1\r\nHost: x\r\n{bearer}\r\n\r\n".encode(),  # the second
    ]
    connections = [Connection(server.address) for _ in range(len(starts) + 1)]
    calls = []
    for connection, start in zip(connections, starts):
        connection.send(start)
        calls.append(lambda c=connection: trickle(c, b"x", 0.2))
    calls.append(lambda: trickle(connections[-1], b"\r\n", 0.2))  # empty lines
    lives = together(*calls)
    for connection in connections:
        connection.socket.close()
    assert max(lives) < DEADLINE, lives
    assert min(lives) > 0.9, lives
    assert cuts(server) == len(lives)
    assert "heads=" in server.log()


def test_head_in_a_few_pieces_is_served(server, bearer):
    with Connection(server.address) as connection:
        for _ in range(3):
            request = f"GET {API}/whoami HTTP/1.1\r\nHost: x\r\n{bearer}\r\n\r\n"
            for start in range(0, len(request), 60):
                connection.send(request[start:start + 60])
                time.sleep(0.1)
            assert connection.answer().status == 200
            time.sleep(0.5)
    assert cuts(server) == 0


def test_bodies_byte_by_byte_are_cut(server, bearer):
    before = server.state()
    stream, wrong, chunked = (Connection(server.address) for _ in range(3))
    stream.request("PUT", f"{API}/blobs/{sha256(DATA)}",
                   [bearer, f"Content-Length: {len(DATA)}"])
    wrong.request("PUT", f"{API}/blobs/{sha256(DATA)}",  # 401, and the body is dropped
                  [f"Content-Length: {len(DATA)}"])
    chunked.request("POST", API + "/models", [
        bearer, "Content-Type: application/json", "Transfer-Encoding: chunked"],
        b"10000\r\n")
    lives = together(*(lambda c=c: trickle(c, DATA, 0.2) for c in (stream, wrong, chunked)))
    for connection in (stream, wrong, chunked):
        connection.socket.close()
    assert max(lives) < DEADLINE, lives
    assert cuts(server) == 3
    wait_until(lambda: server.state() == before, what="nothing is left of them")


def test_a_merely_slow_body_is_taken(server, bearer):
    """40 KB/s, for longer than the limits."""
    with Connection(server.address) as connection:
        connection.request("PUT", f"{API}/blobs/{sha256(DATA)}",
                           [bearer, f"Content-Length: {len(DATA)}"])
        for start in range(0, len(DATA), 10_000):
            connection.send(DATA[start:start + 10_000])
            time.sleep(0.25)
        assert connection.answer().status == 201
    assert cuts(server) == 0


def begin(server, digest, headers):
    connection = Connection(server.address, receive_buffer=32768)
    connection.request("GET", f"{API}/blobs/{digest}", headers)
    return connection


def read_slowly(connection, size, pause, seconds):
    """Reads `size` bytes each `pause`, then the rest at once; what came, without the
    head, and whether it was reset."""
    received = bytearray()
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            received += connection.socket.recv(size)
            time.sleep(pause)
        while piece := connection.socket.recv(1 << 20):
            received += piece
    except ConnectionResetError:
        return bytes(received).partition(b"\r\n\r\n")[2], True
    return bytes(received).partition(b"\r\n\r\n")[2], False


def test_slow_readers(server, bearer):
    """One reads nothing, one a byte now and then, one 100 KB/s: for three times the idle
    timeout only the last one is a reader."""
    digest = server.api().put_blob(BIG)
    nothing, bytewise, slow = (
        begin(server, digest, [bearer, "Connection: close"]) for _ in range(3))
    began = time.monotonic()

    def wait_for_cuts():
        wait_until(lambda: cuts(server) == 2, DEADLINE + 8, "both are cut")
        return time.monotonic() - began

    cut_after, (few, was_reset), (whole, slow_was_reset) = together(
        wait_for_cuts,
        lambda: read_slowly(bytewise, 1, 0.2, 7),
        lambda: read_slowly(slow, 10_000, 0.1, 7))
    with nothing, bytewise, slow:
        assert cut_after < DEADLINE
        assert was_reset and len(few) < len(BIG) // 2
        _, was_reset = read_slowly(nothing, 1 << 20, 0, 0)
        assert was_reset
    assert not slow_was_reset
    assert hashlib.sha256(whole).hexdigest() == digest
    assert "answers=" in server.log()
    wait_until(lambda: counted(server, "strata_http_requests_active") == 1,
               what="their requests have ended")
