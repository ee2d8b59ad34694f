# SPDX-License-Identifier: Apache-2.0
"""HTTP over a bare socket, for requests that no client library would send."""
import json
import socket


class Answer:
    """A response: status, headers as (lower-case name, value) in order, body."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def header(self, name):
        values = [value for key, value in self.headers if key == name.lower()]
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)

    def slug(self):
        """The last part of a problem's type."""
        return self.json()["type"].rpartition(":")[2]

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


class Closed(Exception):
    """The server closed the connection before a whole response had come."""


class Connection:
    """A TCP connection to a server; `address` is (host, port). A `receive_buffer` holds
    little, so that the server notices what is not read."""

    def __init__(self, address, timeout=20, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def request(self, method, target, headers=(), body=b""):
        """Sends a request as given: nothing is added but Host. `headers` are lines."""
        lines = [f"{method} {target} HTTP/1.1", "Host: strata", *headers]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self.send(head + body)

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise Closed(f"closed after {self.pending[:200]!r}")
        self.pending += data

    def _take(self, size):
        while len(self.pending) < size:
            self._more()
        data, self.pending = self.pending[:size], self.pending[size:]
        return data

    def _line(self):
        while b"\r\n" not in self.pending:
            self._more()
        line, _, self.pending = self.pending.partition(b"\r\n")
        return line

    def _chunked(self):
        body = b""
        while size := int(self._line().partition(b";")[0], 16):
            body += self._take(size)
            assert self._take(2) == b"\r\n"
        while self._line():
            pass
        return body

    def answer(self, head=False):
        """Reads one response; `head` says that it is to a HEAD request."""
        version, status, *_ = self._line().split(b" ", 2)
        assert version in (b"HTTP/1.1", b"HTTP/1.0"), version
        headers = []
        while line := self._line():
            name, _, value = line.partition(b":")
            headers.append((name.decode().lower(), value.strip().decode("latin-1")))
        answer = Answer(int(status), headers, b"")
        if head or answer.status in (204, 304) or answer.status < 200:
            return answer
        if answer.header("transfer-encoding") == "chunked":
            answer.body = self._chunked()
        elif (length := answer.header("content-length")) is not None:
            answer.body = self._take(int(length))
        else:
            answer.body = self.rest()
        return answer

    def rest(self):
        """All that comes until the server closes."""
        try:
            while True:
                self._more()
        except Closed:
            data, self.pending = self.pending, b""
            return data

    def is_closed(self):
        """Waits until the server closes; False when it sends something instead."""
        return self.pending == b"" and self.socket.recv(1) == b""
