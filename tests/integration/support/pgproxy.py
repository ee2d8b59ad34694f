# SPDX-License-Identifier: Apache-2.0
"""A proxy between stratad and PostgreSQL that loses or withholds answers on demand.

It speaks just enough of PostgreSQL's protocol (version 3) to see where the messages of
the client begin: a type byte and a length after the first, untyped, message.
"""
import contextlib
import socket
import struct
import threading
import urllib.parse

from .postgres import SUPERUSER


class PgProxy:
    """Forwards 127.0.0.1:port to the cluster's Unix socket. `with PgProxy(database) as p`;
    `p.url` is what stratad connects to."""

    def __init__(self, database):
        self.database = database
        self.target = f"{database.cluster.folder}/.s.PGSQL.5432"
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.lose_commits = 0
        self.lost = 0
        self.commit_reaches_server = True
        self.hold_commit = False
        self.held = threading.Event()
        self.released = threading.Event()
        self.flowing = threading.Event()
        self.flowing.set()
        self.sockets = []

    @property
    def url(self):
        name = urllib.parse.quote(self.database.name)
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{name}?sslmode=disable"

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.flowing.set()
        self.released.set()
        self.listener.close()
        for link in self.sockets:
            with contextlib.suppress(OSError):
                link.close()

    def lose_next_commit(self, *, reaches_server, count=1):
        """The answers of the next COMMITs are lost with their connections."""
        with self.lock:
            self.commit_reaches_server = reaches_server
            self.lose_commits = count

    def hold_next_commit(self):
        """The next COMMIT waits for `released`, whatever becomes of its client; `held` is
        set when it is here."""
        self.hold_commit = True

    def hang(self):
        """Nothing is forwarded until `flow()`."""
        self.flowing.clear()

    def flow(self):
        self.flowing.set()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(self.target)
                except OSError:  # PostgreSQL is being started again
                    self._close(client, server)
                    continue
                self.sockets += [client, server]
                mute = threading.Event()
                for run in (self._from_client, self._from_server):
                    threading.Thread(
                        target=run, args=(client, server, mute), daemon=True).start()

    def _takes_commit(self, kind, body):
        if kind != b"Q" or body.rstrip(b"\0").strip().upper() != b"COMMIT":
            return False
        if self.hold_commit:
            self.hold_commit = False
            self.held.set()
            self.released.wait()
        with self.lock:
            if self.lose_commits == 0:
                return False
            self.lose_commits -= 1
            self.lost += 1
            return True

    def _from_client(self, client, server, mute):
        with contextlib.suppress(OSError), client.makefile("rb") as stream:
            kind = b""  # the first message has no type
            while len(head := stream.read(4)) == 4:
                body = stream.read(struct.unpack("!I", head)[0] - 4)
                self.flowing.wait()
                if self._takes_commit(kind, body):
                    mute.set()
                    if self.commit_reaches_server:
                        # The commit happens; its answer is read here and dropped.
                        server.sendall(kind + head + body)
                        continue
                    break
                server.sendall(kind + head + body)
                kind = stream.read(1)
        self._cut(client, server)

    def _from_server(self, client, server, mute):
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                if mute.is_set():
                    break
                self.flowing.wait()
                client.sendall(data)
        self._cut(client, server)

    @staticmethod
    def _close(*links):
        for link in links:
            link.close()

    @staticmethod
    def _cut(*links):
        for link in links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)


class KillingProxy(PgProxy):
    """Kills stratad before or after the Nth statement that it sends to PostgreSQL.

    `arm(when, number, kill)`: statements are counted from there on, over all
    connections; at the Nth, `kill()` is called before PostgreSQL gets it, or once it has
    answered it, the answer kept back. `struck` is then its text. With `within`, only
    statements that contain it are counted.
    """

    def __init__(self, database):
        super().__init__(database)
        self.armed = None
        self.struck = None
        self.within = ""

    def arm(self, when, number, kill, within=""):
        with self.lock:
            self.struck = None
            self.within = within
            self.armed = [when, number, kill]

    def lose_answer(self, number, within=""):
        """The same for a server that lives on: the connection is cut when PostgreSQL
        has answered the Nth statement."""
        self.arm("after", number, lambda: None, within)

    def disarm(self):
        with self.lock:
            self.armed = None

    def _strike(self, text):
        """What to do with this statement: None, "before" or "after"."""
        with self.lock:
            if self.armed is None or self.within not in text:
                return None
            self.armed[1] -= 1
            if self.armed[1] != 0:
                return None
            when, _, kill = self.armed
            self.armed = None
            self.struck = text
        if when == "before":
            kill()
        return when, kill

    def _from_client(self, client, server, mute):
        texts, bound = {}, ""
        with contextlib.suppress(OSError), client.makefile("rb") as stream:
            kind, strike = b"", None
            while len(head := stream.read(4)) == 4:
                body = stream.read(struct.unpack("!I", head)[0] - 4)
                if kind == b"P":
                    name, text, *_ = body.split(b"\0")
                    texts[name] = text.decode()
                elif kind == b"B":
                    bound = texts.get(body.split(b"\0")[1], "")
                elif kind in (b"E", b"Q") and strike is None:
                    text = bound if kind == b"E" else body.rstrip(b"\0").decode()
                    strike = self._strike(text)
                    if strike is not None and strike[0] == "before":
                        break
                    if strike is not None:
                        mute.strike = strike[1]
                server.sendall(kind + head + body)
                kind = stream.read(1)
        self._cut(client, server)

    def _from_server(self, client, server, mute):
        tail = b""
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                kill = getattr(mute, "strike", None)
                if kill is None:
                    client.sendall(data)
                    continue
                tail = (tail + data)[-6:]
                if tail[:5] == b"Z\0\0\0\5":  # it waits for the next statement
                    kill()
                    break
        self._cut(client, server)
