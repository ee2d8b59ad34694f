# SPDX-License-Identifier: Apache-2.0
"""SIGTERM: nobody is let in any more, what runs ends whole, and then the process ends."""
import signal
import socket
import time

import pytest

from support.chain import make_bytes
from support.rawhttp import Connection
from support.stratad import wait_until

BIG = make_bytes(64 << 20, "drain")
SMALL = BIG[:1 << 20]  # the kernel takes it whole from the server


def begin_download(server, digest, *headers):
    """A download of which the head has come and the rest is not read yet."""
    connection = Connection(server.address, receive_buffer=32768)
    connection.request("GET", f"/api/v1/blobs/{digest}",
                       [f"Authorization: Bearer {server.admin_token()}", *headers])
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.socket.recv(4096)
    assert head.startswith(b"HTTP/1.1 200")
    return connection, head.partition(b"\r\n\r\n")[2]


def refuses_connections(server):
    """A client that comes while the listener closes is reset instead of refused."""
    try:
        socket.create_connection(server.address, timeout=1).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


def rest_of(connection, body):
    """`body` and all that comes after it."""
    pieces = [body]
    while piece := connection.socket.recv(1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


def test_running_download_ends_whole(server):
    digest = server.api("admin").put_blob(BIG)
    connection, body = begin_download(server, digest)
    with connection:
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses_connections(server), what="it stops accepting")
        assert server.process.poll() is None
        assert rest_of(connection, body) == BIG
    assert server.wait() == 0
    assert "requests are cut" not in server.log()


@pytest.mark.parametrize("headers", [[], ["Connection: close"]],
                         ids=["keep-alive", "close"])
def test_what_the_kernel_still_holds_is_waited_for(server, headers):
    """The request has ended long ago, but its client has not taken the answer: with the
    process its network may go, as that of a container does."""
    digest = server.api("admin").put_blob(SMALL)
    connection, body = begin_download(server, digest, "X-Request-Id: held", *headers)
    with connection:
        wait_until(lambda: "request=held" in server.log(), what="the request has ended")
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses_connections(server), what="it stops accepting")
        time.sleep(0.3)
        assert server.process.poll() is None
        assert rest_of(connection, body) == SMALL
    assert server.wait(5) == 0
    assert "requests are cut" not in server.log()


def test_clients_that_the_kernel_has_let_in_are_answered(server):
    """They have a connection and have sent their request when the listener closes."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        crowd = [Connection(server.address) for _ in range(60)]
        for connection in crowd:
            connection.request("GET", "/healthz")
        server.process.send_signal(signal.SIGTERM)
    finally:
        server.process.send_signal(signal.SIGCONT)
    for connection in crowd:
        with connection:
            assert connection.answer().status == 200
            assert connection.is_closed()
    assert server.wait() == 0


def test_a_client_that_takes_nothing_does_not_hold_up_the_end(make_server):
    server = make_server(drain_timeout="300ms")
    digest = server.api("admin").put_blob(SMALL)
    connection, _ = begin_download(server, digest, "X-Request-Id: held")
    with connection:
        wait_until(lambda: "request=held" in server.log(), what="the request has ended")
        server.stop(seconds=10)
    assert "requests are cut" in server.log()


def test_download_is_cut_after_the_drain_timeout(make_server):
    server = make_server(drain_timeout="300ms")
    digest = server.api("admin").put_blob(BIG)
    connection, body = begin_download(server, digest)
    with connection:
        server.stop(seconds=10)
        assert "requests are cut" in server.log()
        size = len(body)
        try:
            while piece := connection.socket.recv(1 << 20):
                size += len(piece)
        except ConnectionResetError:
            pass
    assert size < len(BIG)


def test_second_signal_cuts_at_once(make_server):
    server = make_server(drain_timeout="60s")
    digest = server.api("admin").put_blob(BIG)
    connection, _ = begin_download(server, digest)
    with connection:
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "msg=stopping" in server.log(), what="it drains")
        server.process.send_signal(signal.SIGINT)
        assert server.wait(10) == 0
