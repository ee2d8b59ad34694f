# SPDX-License-Identifier: Apache-2.0
"""Clients that go away, or stop moving, in each phase of a request: in its head, in its
body, before the answer, in the answer. The server gives their means back, nothing half
becomes visible, and the same request sent whole succeeds."""
import contextlib
import json
import os
import pathlib
import socket
import struct
import threading
import time

from support.chain import CHUNK, make_bytes, sha256
from support.consistency import problems
from support.rawhttp import Connection
from support.stratad import wait_until

BATCH = 60
IDLE_S = 1
PHASES = ("head", "body", "answer", "reading")
ENDS = ("close", "reset", "stall")


def run(run):
    left = run.only or run.pick(300, 12)
    batch = 0
    while left > 0 and not run.is_over():
        batch += 1
        count = min(left, BATCH)
        left -= count
        with run.servers() as servers:
            server = servers.make(idle_timeout=f"{IDLE_S}s", connections=64)
            with run.trial(f"batch {batch}", server):
                one_batch(run, server, f"{run.seed} {batch}", count)


class Request:
    """One request as bytes, what it asks, and how to see that it was done."""

    def __init__(self, server, method, path, body=b"", media=None):
        self.server = server
        head = [f"{method} /api/v1{path} HTTP/1.1", "Host: strata",
                f"Authorization: Bearer {server.admin_token()}"]
        if body or method in ("PUT", "POST"):
            head.append(f"Content-Length: {len(body)}")
        if media:
            head.append(f"Content-Type: {media}")
        self.head = ("\r\n".join(head) + "\r\n\r\n").encode()
        self.body = body


def put_blob(server, tag, size):
    data = make_bytes(size, tag)
    digest = sha256(data)

    def check(api, whole):
        status = api.head(f"/blobs/{digest}").status_code
        assert status == 404 or whole and status == 200, status
        api.put_blob(data)
        assert api.get(f"/blobs/{digest}", expect=200).content == data

    return Request(server, "PUT", f"/blobs/{digest}", data), check


def put_part(server, tag, size):
    data = make_bytes(size, tag)
    api = server.api()
    upload = api.begin_upload(data)

    def check(api, whole):
        shown = api.get(f"/uploads/{upload['id']}", expect=200).json()
        assert shown["received"] == [] or whole and shown["received"] == [0]
        api.put_part(upload, data, 0, expect=204)
        api.complete(upload, expect=201)
        assert api.get(f"/blobs/{sha256(data)}", expect=200).content == data

    return Request(server, "PUT", f"/uploads/{upload['id']}/parts/0", data), check


def complete(server, tag, size):
    data = make_bytes(size, tag)
    api = server.api()
    upload = api.begin_upload(data, sha256=False)
    api.put_part(upload, data, 0, expect=204)

    def check(api, whole):
        status = api.head(f"/blobs/{sha256(data)}").status_code
        assert status == 404 or whole and status == 200, status
        api.complete(upload, expect=201)
        assert api.get(f"/blobs/{sha256(data)}", expect=200).content == data

    return Request(server, "POST", f"/uploads/{upload['id']}/complete"), check


def publish(server, tag, size):
    name = "net/m-" + sha256(tag.encode())[:12]
    digest = server.api().put_blob(make_bytes(100, tag))
    body = {"files": [{"path": f"{'x' * 50}/{n}", "sha256": digest}
                      for n in range(1 + size % 200)],
            "aliases": ["prod"], "idempotency_key": tag}

    def check(api, whole):
        status = api.get(f"/models/{name}").status_code
        assert status == 404 or whole and status == 200, status
        api.post(f"/models/{name}/versions", body)
        assert api.get(f"/models/{name}/versions/@prod", expect=200).json()["version"] == 1
        assert len(api.get(f"/models/{name}/versions").json()["versions"]) == 1

    return Request(server, "POST", f"/models/{name}/versions",
                   json.dumps(body).encode(), "application/json"), check


def get_blob(server, tag, size):
    data = make_bytes(size, tag)
    digest = server.api().put_blob(data)

    def check(api, whole):
        assert api.get(f"/blobs/{digest}", expect=200).content == data

    return Request(server, "GET", f"/blobs/{digest}"), check


KINDS = (put_blob, put_part, complete, publish, get_blob)


def one_batch(run, server, tag, count):
    api = server.api()
    api.get("/whoami", expect=200)
    before = means(server)
    combinations = [(kind, phase, end) for kind in KINDS for phase in PHASES
                    for end in ENDS if (kind, phase) not in (
                        (complete, "body"), (get_blob, "body"))]
    run.random.shuffle(combinations)
    stalled = []
    for number in range(count):
        kind, phase, end = combinations[number % len(combinations)]
        size = run.random.choice((10, 70_000, 3 << 20, CHUNK + 3, 20 << 20))
        name = f"{kind.__name__} {end} in {phase}"
        request, check = kind(server, f"{tag} {number}", size)
        link = break_off(request, phase, end, run.random)
        if end == "stall":
            stalled.append((link, time.monotonic(), check, name))
        else:
            settle(server, check, phase in ("answer", "reading"), name)
        run.hit(name)
    for link, since, check, name in stalled:
        wait_for_close(link, since, name)
        settle(server, check, True, name)
    wait_until(lambda: all(now <= then + 8 for now, then in
                           zip(means(server), before)), 20,
               f"descriptors and threads are given back: {means(server)}, {before}")
    assert problems(server) == []


def settle(server, check, whole, name):
    """What still runs of the request ends first: its connection's thread is gone."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return check(server.api(), whole)
        except AssertionError as error:
            # It may be at work: it has the last word once it is done.
            if not whole or time.monotonic() > deadline:
                raise AssertionError(f"{name}: {error}") from error
            threading.Event().wait(0.05)


def break_off(request, phase, end, random_):
    link = Connection(request.server.address)
    whole = request.head + request.body
    if phase == "head":
        sent = random_.randrange(1, len(request.head))
    elif phase == "body":
        sent = len(request.head) + random_.randrange(len(request.body))
    else:
        sent = len(whole)
    link.send(whole[:sent])
    if phase == "reading":
        link.socket.recv(random_.choice((1, 100, 10_000)))
    if end == "stall":
        return link
    if end == "reset":
        link.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               struct.pack("ii", 1, 0))
    link.socket.close()
    return None


def wait_for_close(link, since, name):
    """A connection on which nothing moves is closed by the server in the end."""
    link.socket.settimeout(20)
    with contextlib.suppress(ConnectionResetError):
        while link.socket.recv(1 << 20):
            pass
    link.socket.close()
    assert time.monotonic() - since < 60, name


def means(server):
    """Sockets and threads of stratad; open files are a cache's."""
    process = pathlib.Path("/proc", str(server.process.pid))
    sockets = 0
    for link in (process / "fd").iterdir():
        with contextlib.suppress(OSError):
            sockets += os.readlink(link).startswith("socket:")
    return sockets, len(list((process / "task").iterdir()))
