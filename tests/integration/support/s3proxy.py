# SPDX-License-Identifier: Apache-2.0
"""A proxy before an S3 server that is slow, ill or a liar, on demand.

Requests are passed on byte for byte as far as the signature goes: method, path, query
and all headers, Host included. `with S3Proxy(server) as proxy:`, then

    proxy.fault("status", count=2, status=503, code="SlowDown", method="GET", match="sha256/")

strikes the next two requests that fit; `count=None` strikes until `proxy.heal()`, and
`every=7` only each seventh. `method` and `match` (a part of the path with its query)
narrow it. Kinds:

    status      answers `status` with the S3 error `code`, passes nothing on
    archived    answers 403 InvalidObjectState
    hang        never answers, passes nothing on
    reset       resets the connection, passes nothing on
    lose_answer passes it on, then resets the connection
    late        resets the connection, and passes it on `delay` seconds later
    lose_object answers 200 with an ETag, passes nothing on
    cut         passes it on, ends the connection after `after` bytes of the body
    flip        passes it on, and turns over one bit of the answer's body
    flip_request turns over one bit of the request's body and passes it on

`latency` (seconds before each answer) and `rate` (bytes per second and connection, each
way) make a link of it, as 0.015 and 100e6. `proxy.requests` holds (method, path);
`proxy.sent` and `proxy.received` count the bytes of bodies per path without query: what
the client got, and what it gave.
"""
import collections
import contextlib
import http.client
import socket
import struct
import threading
import time
import urllib.parse

PIECE = 1 << 18
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close is a reset


class Fault:
    def __init__(self, kind, count, every, method, match, more):
        self.kind = kind
        self.count = count
        self.every = every
        self.seen = 0
        self.method = method
        self.match = match
        self.more = more
        self.struck = 0

    def strikes(self, method, path):
        if self.method not in (None, method) or self.match not in path or self.count == 0:
            return False
        self.seen += 1
        if self.seen % self.every != 0:
            return False
        self.struck += 1
        if self.count is not None:
            self.count -= 1
        return True


class End(Exception):
    """This connection is done for."""


class Request:
    def __init__(self, method, path, headers, body):
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body

    @property
    def object(self):
        return urllib.parse.unquote(self.path.partition("?")[0])


class Pace:
    """Holds what goes one way through one connection to a rate."""

    def __init__(self, rate):
        self.rate = rate
        self.free_at = 0.0

    def wait(self, size):
        if self.rate:
            now = time.monotonic()
            self.free_at = max(now, self.free_at) + size / self.rate
            time.sleep(self.free_at - now)


class S3Proxy:
    def __init__(self, server, latency=0.0, rate=None):
        self.target = ("127.0.0.1", server.port)
        self.latency = latency
        self.rate = rate
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.faults = []
        self.links = set()
        self.requests = []
        self.sent = collections.Counter()
        self.received = collections.Counter()
        self.closing = threading.Event()
        self.late = []  # threads that still pass something on

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.go_away()

    def go_away(self):
        """Nobody is let in any more, and all connections end."""
        self.closing.set()
        with contextlib.suppress(OSError):  # wakes whoever accepts
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            links = list(self.links)
        for link in links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def fault(self, kind, count=1, every=1, method=None, match="", **more):
        fault = Fault(kind, count, every, method, match, more)
        assert hasattr(self, f"_do_{kind}"), kind
        with self.lock:
            self.faults.append(fault)
        return fault

    def heal(self):
        with self.lock:
            self.faults.clear()

    def finish_late(self):
        """Until all that `late` withheld has been passed on."""
        for thread in self.late:
            thread.join()

    def count(self, method=None, match=""):
        """How many requests came that fit."""
        with self.lock:
            return sum(method in (None, m) and match in p for m, p in self.requests)

    # ---- connections ------------------------------------------------------------------

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                link, _ = self.listener.accept()
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self.lock:
                    self.links.add(link)
                threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link):
        upstream = http.client.HTTPConnection(*self.target, timeout=120)
        paces = Pace(self.rate), Pace(self.rate)
        try:
            with link.makefile("rb") as stream:
                while (request := self._read(link, stream, paces[0])) is not None:
                    self._answer(link, upstream, request, paces[1])
        except (OSError, End, http.client.HTTPException):
            pass
        finally:
            upstream.close()
            with self.lock:
                self.links.discard(link)
            link.close()

    def _read(self, link, stream, pace):
        line = stream.readline()
        if not line:
            return None
        method, path, _ = line.decode("latin-1").split(" ", 2)
        headers = []
        while (line := stream.readline().rstrip(b"\r\n")):
            name, _, value = line.decode("latin-1").partition(":")
            headers.append((name, value.strip()))
        found = {name.lower(): value for name, value in headers}
        if found.get("expect", "").lower() == "100-continue":
            link.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        size = int(found.get("content-length", 0))
        body = bytearray()
        while len(body) < size:
            data = stream.read(min(PIECE, size - len(body)))
            if not data:
                raise End
            pace.wait(len(data))
            body += data
        request = Request(method, path, headers, bytes(body))
        with self.lock:
            self.requests.append((method, path))
            self.received[request.object] += size
        return request

    def _answer(self, link, upstream, request, pace):
        fault = self._strike(request)
        time.sleep(self.latency)
        if fault is None:
            self._forward(link, upstream, request, pace)
        else:
            getattr(self, f"_do_{fault.kind}")(link, upstream, request, pace, **fault.more)

    def _strike(self, request):
        with self.lock:
            for fault in self.faults:
                if fault.strikes(request.method, request.path):
                    return fault
        return None

    # ---- passing on -------------------------------------------------------------------

    def _send(self, upstream, request):
        upstream.putrequest(request.method, request.path, skip_host=True,
                            skip_accept_encoding=True)
        for name, value in request.headers:
            if name.lower() not in ("expect", "connection"):
                upstream.putheader(name, value)
        upstream.endheaders(request.body)
        return upstream.getresponse()

    def _head(self, link, answer):
        lines = [f"HTTP/1.1 {answer.status} {answer.reason}"]
        has_length = answer.getheader("content-length") is not None
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection"):
                lines.append(f"{name}: {value}")
        body = None
        if not has_length and answer.status not in (204, 304):
            body = answer.read()
            lines.append(f"Content-Length: {len(body)}")
        link.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        return body

    def _pieces(self, answer, body):
        if body is not None:
            yield body
            return
        while data := answer.read(PIECE):
            yield data

    def _forward(self, link, upstream, request, pace, change=lambda data, at: data):
        answer = self._send(upstream, request)
        body = self._head(link, answer)
        at = 0
        for data in self._pieces(answer, body):
            pace.wait(len(data))
            data = change(data, at)
            link.sendall(data)
            with self.lock:
                self.sent[request.object] += len(data)
            at += len(data)

    @staticmethod
    def _reset(link):
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        raise End  # closed by _serve, once its stream is

    # ---- faults -----------------------------------------------------------------------

    def _do_status(self, link, upstream, request, pace, status=500, code="InternalError"):
        body = (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
                f"<Message>by the proxy</Message></Error>").encode()
        head = (f"HTTP/1.1 {status} Fault\r\nContent-Type: application/xml\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        link.sendall(head + (b"" if request.method == "HEAD" else body))

    def _do_archived(self, link, upstream, request, pace):
        self._do_status(link, upstream, request, pace, 403, "InvalidObjectState")

    def _do_hold(self, link, upstream, request, pace, reached=None, until=None):
        """Passes it on once `until` is set; `reached` says that it came."""
        reached.set()
        until.wait(60)
        self._forward(link, upstream, request, pace)

    def _do_hang(self, link, upstream, request, pace):
        self.closing.wait()
        raise End

    def _do_reset(self, link, upstream, request, pace):
        self._reset(link)

    def _do_lose_answer(self, link, upstream, request, pace):
        self._send(upstream, request).read()
        self._reset(link)

    def _do_late(self, link, upstream, request, pace, delay=1.0):
        def send():
            time.sleep(delay)
            connection = http.client.HTTPConnection(*self.target, timeout=120)
            with contextlib.closing(connection):
                self._send(connection, request).read()

        thread = threading.Thread(target=send, daemon=True)
        self.late.append(thread)
        thread.start()
        self._reset(link)

    def _do_lose_object(self, link, upstream, request, pace):
        link.sendall(b'HTTP/1.1 200 OK\r\nETag: "d41d8cd98f00b204e9800998ecf8427e"\r\n'
                     b"Content-Length: 0\r\n\r\n")

    def _do_cut(self, link, upstream, request, pace, after=1000):
        def change(data, at):
            if at + len(data) <= after:
                return data
            link.sendall(data[:after - at])
            raise End

        self._forward(link, upstream, request, pace, change)

    def _do_flip(self, link, upstream, request, pace, at=0):
        self._forward(link, upstream, request, pace,
                      lambda data, start: self._flip(data, at - start))

    def _do_flip_request(self, link, upstream, request, pace, at=0):
        request.body = self._flip(request.body, at)
        self._forward(link, upstream, request, pace)

    @staticmethod
    def _flip(data, at):
        if not 0 <= at < len(data):
            return data
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


class KillingS3Proxy(S3Proxy):
    """Kills stratad before or after the Nth request that it sends to the bucket.

    `arm(when, number, kill)`: requests are counted from there on; at the Nth `kill()` is
    called before the bucket gets it, or once it has answered it, the answer kept back.
    `struck` is then its method and path.
    """

    def __init__(self, server, **options):
        super().__init__(server, **options)
        self.armed = None
        self.struck = None

    def arm(self, when, number, kill):
        with self.lock:
            self.struck = None
            self.armed = [when, number, kill]

    def disarm(self):
        with self.lock:
            self.armed = None

    def _answer(self, link, upstream, request, pace):
        with self.lock:
            armed = self.armed
            if armed is not None:
                armed[1] -= 1
            if armed is None or armed[1] != 0:
                armed = None
            else:
                self.armed = None
                self.struck = f"{request.method} {request.path}"
        if armed is None:
            super()._answer(link, upstream, request, pace)
            return
        when, _, kill = armed
        if when == "after":
            self._send(upstream, request).read()
        kill()
        raise End
