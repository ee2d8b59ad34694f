# SPDX-License-Identifier: Apache-2.0
"""One kept-alive connection: as little Python per request as will do, since hundreds of
thousands are sent, and the power to cut it at a chosen moment."""
import socket


class NotSent(Exception):
    """No connection: the server has never heard of the request."""


class Lost(Exception):
    """The connection ended before the answer had come whole."""


class Answer:
    __slots__ = ("status", "headers", "content")

    def __init__(self, status, headers, content):
        self.status = status
        self.headers = headers
        self.content = content


class Wire:
    def __init__(self, address, timeout=40):
        self.address = address
        self.timeout = timeout
        self.socket = None
        self.epoch = None

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def ask(self, epoch, method, path, token, body=None, headers=(), cut=None):
        """`epoch`: changes when the server has ended; old connections are then of no
        use. `cut` ends the connection: "half" after half of the request, "deaf" after
        all of it. Raises NotSent or Lost."""
        if self.epoch != epoch:
            self.close()
            self.epoch = epoch
        if self.socket is None:
            try:
                self.socket = socket.create_connection(self.address, self.timeout)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                raise NotSent from error
        data = body if body is not None else b""
        lines = [f"{method} {path} HTTP/1.1", "Host: strata",
                 f"Authorization: Bearer {token}", *headers]
        if body is not None or method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(data)}")
        request = ("\r\n".join(lines) + "\r\n\r\n").encode() + data
        try:
            if cut is not None:
                self.socket.sendall(request[:len(request) // 2] if cut == "half"
                                    else request)
                raise OSError("cut")
            self.socket.sendall(request)
            return self._read()
        except (OSError, ValueError, IndexError) as error:
            self.close()
            raise Lost from error

    def _read(self):
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        first, *rest = data[:end].decode("latin-1").split("\r\n")
        headers = {}
        for line in rest:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        status = int(first.split(" ")[1])
        size = 0 if status in (204, 304) else int(headers["content-length"])
        pieces, have = [data[end + 4:]], len(data) - end - 4
        while have < size:
            pieces.append(self._more())
            have += len(pieces[-1])
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, headers, b"".join(pieces))

    def _more(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise OSError("closed")
        return data
