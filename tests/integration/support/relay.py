# SPDX-License-Identifier: Apache-2.0
"""A TCP relay between a client and stratad that loses, cuts or damages what it carries."""
import socket
import threading

PIECE = 65536


class Relay:
    """Listens on an ephemeral port of 127.0.0.1. Faults are set as attributes:

    drop_answer_to   bytes of a request whose answer the client shall not get: its
                     connection is closed when the answer comes; once
    away             nobody is let in; set by the drop, or by the last cut, when
                     `away_after` is
    cuts             how many connections are closed after `cut_after` bytes of answers
    flips            how many connections get one bit flipped at byte `flip_at` of answers
    """

    def __init__(self, address):
        self.address = address
        self.drop_answer_to = None
        self.away, self.away_after = False, False
        self.cuts, self.cut_after = 0, 0
        self.flips, self.flip_at = 0, 0
        self.lock = threading.Lock()
        self.sockets = set()
        self.threads = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self._spawn(self._accept)

    def _spawn(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        thread.start()
        self.threads.append(thread)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.away:
                client.close()
                continue
            server = socket.create_connection(self.address)
            with self.lock:
                self.sockets |= {client, server}
            link = {"drop": False}
            self._spawn(self._requests, client, server, link)
            self._spawn(self._answers, client, server, link)

    def _requests(self, client, server, link):
        try:
            while data := client.recv(PIECE):
                with self.lock:
                    if self.drop_answer_to and self.drop_answer_to in data:
                        self.drop_answer_to = None
                        self.away = self.away_after
                        link["drop"] = True
                server.sendall(data)
        except OSError:
            pass
        self._end(server)

    def _answers(self, client, server, link):
        carried, cut, flip = 0, False, False
        try:
            while data := server.recv(PIECE):
                if link["drop"]:
                    break
                before, carried = carried, carried + len(data)
                with self.lock:
                    if self.cuts > 0 and before <= self.cut_after < carried:
                        self.cuts -= 1
                        self.away = self.away_after and self.cuts == 0
                        cut = True
                    if self.flips > 0 and before <= self.flip_at < carried:
                        self.flips -= 1
                        flip = True
                if flip:
                    data = bytearray(data)
                    data[self.flip_at - before] ^= 1
                    flip = False
                if cut:
                    client.sendall(data[:self.cut_after - before])
                    break
                client.sendall(data)
        except OSError:
            pass
        self._end(client)
        self._end(server)

    @staticmethod
    def _end(end):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self):
        # A thread that waits in accept() wakes up by the shutdown, not by the close.
        self._end(self.listener)
        self.listener.close()
        with self.lock:
            for end in self.sockets:
                self._end(end)
        for thread in self.threads:
            thread.join(10)
        for end in self.sockets:
            end.close()
