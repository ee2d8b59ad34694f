# SPDX-License-Identifier: Apache-2.0
"""Reads from the cold tier, through a link that is slow and far."""
import concurrent.futures
import hashlib
import http.client
import json
import os
import pathlib
import random
import socket
import statistics
import struct
import subprocess
import time

from .measure import Meter, sync_tree
from .rows import Bar, Row
from .servers import ROOT, Stratad, Weed

MIB = 1 << 20
CHUNK = 4 * MIB
LATENCY_MS = 15
RATE = 100_000_000  # bytes a second of each connection
BLOB = 1024 * MIB
HERD = 256 * MIB
READERS = 16
FIRSTS = 12  # first bytes in a turn
RANGE = 1 * MIB
# Exponents as trained weights have them: a few are frequent (the high byte of bfloat16).
EXPONENTS = bytes(b for b, n in ((0x3B, 26), (0x3C, 62), (0x3D, 40), (0xBB, 26),
                                 (0xBC, 62), (0xBD, 40)) for _ in range(n))


def make_weights(path, size):
    """A safetensors file of bfloat16, which the cold tier encodes."""
    elements = size // 2
    header = json.dumps({"t": {"dtype": "BF16", "shape": [elements],
                               "data_offsets": [0, 2 * elements]}}).encode()
    header += b" " * (-len(header) % 8)
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        def write(data):
            digest.update(data)
            file.write(data)
        write(struct.pack("<Q", len(header)) + header)
        for at in range(0, elements, 4 * MIB):
            count = min(4 * MIB, elements - at)
            data = bytearray(2 * count)
            data[0::2] = os.urandom(count)
            data[1::2] = os.urandom(count).translate(EXPONENTS)
            write(data)
    return digest.hexdigest()


def make_noise(path, size):
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for at in range(0, size, 4 * MIB):
            data = os.urandom(min(4 * MIB, size - at))
            digest.update(data)
            file.write(data)
    return digest.hexdigest()


class Link:
    """bench-link before a server."""

    def __init__(self, port):
        self.process = subprocess.Popen(
            [str(ROOT / "build/tests/bench/bench-link"), str(port), str(LATENCY_MS),
             str(RATE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)

    def counts(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


class Reader:
    """A keep-alive connection that gets ranges and throws the bytes away."""

    def __init__(self, port, path, headers):
        self.port = port
        self.path = path
        self.lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray(MIB)

    def get(self, first, size):
        """Seconds until the first byte of the body, and until the last."""
        began = time.monotonic()
        self.socket.sendall(
            f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{self.lines}"
            f"Range: bytes={first}-{first + size - 1}\r\n\r\n".encode())
        got = b""
        while True:
            got += self.socket.recv(65536)
            head, end, body = got.partition(b"\r\n\r\n")
            if end and body:
                break
        first_at = time.monotonic() - began
        assert b" 206 " in head.split(b"\r\n")[0], head
        left = size - len(body)
        while left > 0:
            n = self.socket.recv_into(self.buffer, min(left, len(self.buffer)))
            assert n > 0, "the connection was cut"
            left -= n
        return first_at, time.monotonic() - began

    def close(self):
        self.socket.close()


class ColdReads(Row):
    key = "cold-reads"
    title = "Cold range through a slow link"
    method = (
        f"stratad's cold tier is a bucket of SeaweedFS behind a link of {LATENCY_MS} ms and "
        f"{RATE // 10**6} MB/s for each connection (bench-link, a process of its own); "
        "direct is a plain GET of the same bytes, as an object of their own, through the "
        "same link. First byte: ranges of 1 MiB at random places that nobody has read, "
        "each asked for on both ways in turn over connections that are warm. One stream: "
        "a GET of 1 GiB. `weights` are bfloat16 and encoded, `noise` is stored raw. Herd: "
        f"{READERS} readers of one blob of 256 MiB at once, and what came over the link "
        "for them by what is stored.")
    columns = ("rate", "direct_ms", "first_ms", "beyond_ms", "fetched_ratio", "server_cpu_gb")
    bars = tuple(
        bar for kind in ("weights", "noise") for bar in (
            Bar(f"first byte after direct's, ms, {kind}", "beyond_ms",
                f"first byte, {kind}", (), LATENCY_MS, at_least=False),
            Bar(f"one stream of 1 GiB against direct, {kind}", "rate",
                f"one stream, {kind}", ("one stream, direct",), 3))) + (
        Bar(f"bytes fetched for {READERS} readers by bytes stored", "fetched_ratio",
            "herd", (), 1.0, at_least=False),)

    def begin(self):
        bench = self.bench
        self.weed = bench.enter(Weed(bench.folder / "weed"))
        self.link = bench.enter(Link(self.weed.port))
        credentials = bench.folder / "credentials"
        credentials.write_text("access_key = any\nsecret_key = any\n")
        credentials.chmod(0o600)
        self.stratad = bench.enter(Stratad(
            bench.folder / "stratad", bench.postgres, s3_bucket="bench", s3_prefix="cold/",
            s3_endpoint=f"http://127.0.0.1:{self.link.port}", s3_credentials=credentials))
        self.digests = {
            "weights": self.put(bench.folder / "weights", BLOB, make_weights),
            "noise": self.put(bench.folder / "noise", BLOB, make_noise),
            "herd": self.put(bench.folder / "herd", HERD, make_weights)}
        sync_tree(bench.folder)

    def put(self, path, size, make):
        """Into the cold tier, where it is pinned, and into the bucket as it is."""
        digest = make(path, size)
        connection = http.client.HTTPConnection("127.0.0.1", self.stratad.port)
        with open(path, "rb") as file:
            connection.request("PUT", f"/api/v1/blobs/{digest}", file, {
                **self.stratad.headers, "Content-Length": str(path.stat().st_size)})
        answer = connection.getresponse()
        assert answer.status == 201, answer.read()
        self.stratad.call("POST", "/api/v1/pins", {"sha256": digest, "tier": "cold"})
        move = self.stratad.call("POST", f"/api/v1/blobs/{digest}/move", {"tier": "cold"})
        while move["state"] != "done":
            assert move["state"] not in ("failed", "cancelled"), move
            time.sleep(0.2)
            move = self.stratad.call("GET", f"/api/v1/moves/{move['id']}")
        direct = http.client.HTTPConnection("127.0.0.1", self.weed.port)
        with open(path, "rb") as file:
            direct.request("PUT", f"/bench/direct/{digest}", file,
                           {"Content-Length": str(path.stat().st_size)})
        assert direct.getresponse().status == 200
        pathlib.Path(path).unlink()
        return digest

    def reader(self, digest, direct=False):
        if direct:
            return Reader(self.link.port, f"/bench/direct/{digest}", {})
        return Reader(self.stratad.port, f"/api/v1/blobs/{digest}", self.stratad.headers)

    def first_byte(self, kind):
        """Both in turn, each range once; the first pair warms the connections."""
        digest = self.digests[kind]
        chunks = random.sample(range(BLOB // CHUNK), FIRSTS + 1)
        times = {"direct": [], "strata": []}
        with Meter(self.stratad) as meter:
            readers = {"direct": self.reader(digest, True), "strata": self.reader(digest)}
            for chunk in chunks:
                for name, reader in readers.items():
                    times[name].append(reader.get(chunk * CHUNK + 100, RANGE)[0] * 1e3)
            for reader in readers.values():
                reader.close()
        direct, strata = (statistics.median(times[name][1:])
                          for name in ("direct", "strata"))
        meter.result.update(direct_ms=direct, first_ms=strata, beyond_ms=strata - direct)
        return meter.result

    def one_stream(self, kind, direct=False):
        reader = self.reader(self.digests[kind], direct)
        reader.get(100, 1000)  # the connection is warm
        with Meter(self.stratad) as meter:
            seconds = reader.get(0, BLOB)[1]
        reader.close()
        return self.rate(meter, BLOB, seconds)

    def herd(self):
        """After 1 GiB of something else, nothing of the blob is left in memory."""
        digest = self.digests["herd"]
        placements = self.stratad.call("GET", f"/api/v1/blobs/{digest}/placements")
        (stored,) = (p["stored_size"] for p in placements["placements"])
        self.one_stream("noise")
        before = self.link.counts()["down"]

        def read(_):
            reader = self.reader(digest)
            reader.get(0, HERD)
            reader.close()
        with Meter(self.stratad) as meter:
            began = time.monotonic()
            with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
                list(pool.map(read, range(READERS)))
            seconds = time.monotonic() - began
        # Heads of answers are on the link as well, less than a thousandth.
        fetched = self.link.counts()["down"] - before
        meter.result["fetched_ratio"] = round(fetched / stored, 2)
        return self.rate(meter, READERS * HERD, seconds)

    def lanes(self):
        return {
            "first byte, weights": lambda: self.first_byte("weights"),
            "first byte, noise": lambda: self.first_byte("noise"),
            "one stream, direct": lambda: self.one_stream("noise", direct=True),
            "one stream, weights": lambda: self.one_stream("weights"),
            "one stream, noise": lambda: self.one_stream("noise"),
            "herd": self.herd}


ROWS = (ColdReads,)
