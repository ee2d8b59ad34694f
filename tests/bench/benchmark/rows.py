# SPDX-License-Identifier: Apache-2.0
"""The rows: what is set up, the lanes that take turns, and the bars."""
import dataclasses
import re
import shutil

from .measure import Meter, sync_tree, warm
from .servers import CACHE, ROOT, DockerRegistry, Mlflow, Nginx, Stratad, Weed

MIB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Bar:
    """ours / theirs of a metric, held against `value`; the worst of several peers is
    the one with the smallest metric. Without `theirs` the metric itself is held."""

    text: str
    metric: str
    ours: str
    theirs: tuple
    value: float
    at_least: bool = True


class Row:
    """A row sets up in `begin`, and gives its lanes: {name: function of a Meter class}.
    A lane returns the Meter that it was measured with."""

    key = ""
    title = ""
    method = ""
    bounds = ""  # what keeps a bar from being passed, where one is not
    columns = ()
    bars = ()
    needs_servers = True  # the random file and PostgreSQL

    def __init__(self, bench):
        self.bench = bench

    def begin(self):
        pass

    def lanes(self):
        raise NotImplementedError

    def rate(self, meter, size, seconds=None):
        """Adds what follows from the bytes moved."""
        result = meter.result
        result["rate"] = size / (seconds or result["seconds"]) / 1e9
        result["client_cpu_gb"] = result["client_cpu"] / (size / 1e9)
        if "server_cpu" in result:
            result["server_cpu_gb"] = result["server_cpu"] / (size / 1e9)
            result["both_cpu_gb"] = result["server_cpu_gb"] + result["client_cpu_gb"]
        return result


class Download(Row):
    key = "download"
    title = "Ranged download, hot"
    method = (
        "Keep-alive GETs of 8 MiB ranges that walk through the file, which lies in the "
        "page cache; nginx serves the very file that stratad keeps. The client is one "
        "epoll thread that lets the kernel throw the bodies away (MSG_TRUNC), so it "
        "costs the servers little of the machine. On loopback the kernel charges the "
        "receiving of a piece now to the one that sends it, now to the client, so the "
        "CPU of both is shown too. nginx runs a worker per core with "
        "sendfile, tcp_nopush and its open file cache on, and its access log off.")
    bounds = (
        "What bounds it: a thread for each connection is woken for each request and for "
        "each 2 MiB that libmicrohttpd gives to one sendfile, where an event loop goes on "
        "without. Tried: batch scheduling and time slices from 0.1 to 20 ms (nothing), "
        "socket buffers of 1 and 4 MiB (nothing), one or two senders at a time behind a "
        "gate (at 8 streams with one, server CPU 1.14 and throughput 0.62 of nginx's), two sender threads behind epoll for all connections (server "
        "CPU 1.14 and 1.26, throughput 0.85 and 0.70 at 8 and 64 streams), and binding "
        "each thread to one processor, which is what stratad does now.")
    columns = ("rate", "server_cpu_gb", "client_cpu_gb", "both_cpu_gb", "rss_anon")
    streams = (1, 8, 64)

    def __init__(self, bench):
        super().__init__(bench)
        self.bars = [bar for n in self.streams for bar in (
            Bar(f"throughput, streams: {n}", "rate", f"stratad, streams: {n}",
                (f"nginx, streams: {n}",), 1.0),
            Bar(f"server CPU per GB, streams: {n}", "server_cpu_gb",
                f"stratad, streams: {n}", (f"nginx, streams: {n}",), 1.05, False),
            Bar(f"CPU of both sides per GB, streams: {n}", "both_cpu_gb",
                f"stratad, streams: {n}", (f"nginx, streams: {n}",), 1.05, False))]
        self.bars.append(Bar("memory of stratad, streams: 64, MiB", "rss_anon",
                             "stratad, streams: 64", (), 200 * MIB, False))

    def begin(self):
        bench = self.bench
        self.stratad = bench.enter(Stratad(bench.folder / "stratad", bench.postgres))
        self.stratad.upload(bench, Meter())
        self.nginx = bench.enter(
            Nginx(bench.folder / "nginx", self.stratad.blob_file(bench.sha256)))
        for server, path in self.paths():
            self.get(server, path, 8, 0.5)

    def paths(self):
        return ((self.stratad, f"/api/v1/blobs/{self.bench.sha256}"),
                (self.nginx, "/file"))

    def get(self, server, path, streams, seconds):
        bench = self.bench
        headers = [word for line in server.header_lines() for word in ("--header", line)]
        warm(self.stratad.blob_file(bench.sha256))
        with Meter(server) as meter:
            loaded = meter.load(
                bench.load, "get", server.address, path, "--streams", streams,
                "--seconds", seconds, "--file-size", bench.size // (8 * MIB) * (8 * MIB),
                "--range-size", 8 * MIB, *headers)
        result = self.rate(meter, loaded["bytes"])
        result["rate"] = loaded["bytes_in_time"] / loaded["seconds"] / 1e9
        return result

    def lanes(self):
        return {
            f"{type(server).__name__.lower()}, streams: {n}":
                lambda server=server, path=path, n=n:
                    self.get(server, path, n, self.bench.seconds)
            for n in self.streams for server, path in self.paths()}


class Upload(Row):
    key = "upload"
    title = "Durable upload"
    method = (
        "Each server begins with an empty folder each time. Strata: `strata upload` (the "
        "client hashes as well), and the parts of an upload sent over 4 connections by "
        "the load client, with the chain that it knows beforehand or without it; the "
        "server verifies or hashes what comes. SeaweedFS: an S3 multipart upload, "
        "16 MiB parts over 4 connections, by the same load client. docker-registry: "
        "POST, one PATCH, PUT with the digest, by the same load client. Then, for the "
        "peers, fsync of every file and folder that they keep, within the measured "
        "time. Copy: `dd bs=8M conv=fsync`. Before each turn the file is brought into the "
        "page cache, and the disk is given time to finish (sync).")
    bounds = (
        "What bounds it: `strata upload` hashes on the client what the server hashes "
        "again, and both share two cores: 2.1 CPU seconds for each GB, of which SHA-256 "
        "takes about 1.2. Tried: sending while hashing (0.48 GB/s before, on a busier "
        "machine), O_DIRECT, and larger "
        "connection memory (256 KiB and 1 MiB: nothing). Whoever knows the chain "
        "beforehand, as the client of docker-registry here knows the digest, is bound by "
        "the disk.")
    columns = ("rate", "seconds", "server_cpu_gb", "client_cpu_gb", "rss_anon")
    bars = (
        Bar("strata upload against docker-registry", "rate", "strata upload",
            ("docker-registry",), 4.0),
        Bar("parts against docker-registry", "rate", "strata, parts",
            ("docker-registry",), 4.0),
        Bar("strata upload against the slower of copy and hashing", "rate",
            "strata upload", ("copy+fsync", "openssl dgst -sha256"), 0.7),
        Bar("parts against the slower of copy and hashing", "rate", "strata, parts",
            ("copy+fsync", "openssl dgst -sha256"), 0.7),
        Bar("strata upload against SeaweedFS", "rate", "strata upload",
            ("SeaweedFS",), 1.0),
        Bar("memory of stratad, MiB", "rss_anon", "strata, parts", (), 200 * MIB, False),
    )

    def served(self, server, upload, synced=True):
        """One upload into a new server."""
        with server, Meter(server) as meter:
            upload(server, meter)
            if not synced:
                sync_tree(server.folder)
        return self.rate(meter, self.bench.size)

    def alone(self, *command):
        warm(self.bench.file)
        with Meter() as meter:
            meter.run(*command)
        return self.rate(meter, self.bench.size)

    def strata(self, upload):
        warm(self.bench.file)
        return self.served(
            Stratad(self.bench.folder / "up", self.bench.postgres), upload)

    def peer(self, kind):
        warm(self.bench.file)
        return self.served(kind(self.bench.folder / "up"),
                           lambda server, meter: server.upload(self.bench, meter), False)

    def copy(self):
        target = self.bench.folder / "copy"
        try:
            return self.alone("dd", f"if={self.bench.file}", f"of={target}", "bs=8M",
                              "conv=fsync")
        finally:
            target.unlink(missing_ok=True)

    def lanes(self):
        bench = self.bench
        return {
            "strata upload": lambda: self.strata(
                lambda server, meter: meter.run(
                    bench.cli, "upload", bench.file, env=server.client_environment())),
            "docker-registry": lambda: self.peer(DockerRegistry),
            "strata, parts": lambda: self.strata(
                lambda server, meter: server.upload(bench, meter)),
            "strata, parts without a chain": lambda: self.strata(
                lambda server, meter: server.upload(bench, meter, chained=False)),
            "SeaweedFS": lambda: self.peer(Weed),
            "copy+fsync": self.copy,
            "openssl dgst -sha256": lambda: self.alone(
                "openssl", "dgst", "-sha256", bench.file),
        }


class Pull(Row):
    key = "pull"
    title = "Pull to disk, synced"
    method = (
        "The file is in the server's page cache, the target folder is new each time. "
        "`strata pull` verifies every chunk and syncs; curl and aria2 (8 connections) "
        "fetch the same URL from stratad, verify nothing, and what they wrote is synced "
        "within the measured time. docker-registry: the blob through curl to the file "
        "and `openssl dgst -sha256` at once, as a client that pulls does, then synced. "
        "Copy: `dd bs=8M conv=fsync`. Disk alone: as many zeros written past the page "
        "cache and synced (`dd oflag=direct`), with no network and no hash: what no pull "
        "can pass.")
    bounds = (
        "What bounds it: the disk. With a file of 2 GiB, which fits in the page cache "
        "unwritten, curl and fsync reach 0.86 GB/s and `strata pull` 1.68 times that, "
        "0.98 of the disk alone. From 4 GiB on curl waits for the page cache.")
    columns = ("rate", "seconds", "server_cpu_gb", "client_cpu_gb")
    bars = (
        Bar("strata pull against curl", "rate", "strata pull", ("curl",), 2.0),
        Bar("strata pull against aria2", "rate", "strata pull", ("aria2",), 1.0),
        Bar("strata pull against docker-registry's client", "rate", "strata pull",
            ("docker-registry",), 2.0),
        Bar("strata pull against the copy", "rate", "strata pull", ("copy+fsync",), 1.0),
        Bar("strata pull against the disk alone", "rate", "strata pull",
            ("disk alone",), 0.9),
    )

    def begin(self):
        bench = self.bench
        self.stratad = bench.enter(Stratad(bench.folder / "stratad", bench.postgres))
        self.stratad.publish("bench/model", self.stratad.upload(bench, Meter()))
        self.registry = bench.enter(DockerRegistry(bench.folder / "registry"))
        self.registry.upload(bench, Meter())
        self.target = bench.folder / "target"
        self.url = (f"{self.stratad.base}/api/v1/models/bench/model/versions/1/files/"
                    "model.bin")

    def into(self, server, *command, sync=True, env=None):
        self.target.mkdir()
        warm(server.blob_file(self.bench.sha256) if server else self.bench.file)
        try:
            with Meter(*([server] if server else [])) as meter:
                meter.run(*command, env=env)
                if sync:
                    sync_tree(self.target)
            (path,) = self.target.glob("model.bin")
            assert path.stat().st_size == self.bench.size, f"{command[0]}: another size"
        finally:
            shutil.rmtree(self.target)
        return self.rate(meter, self.bench.size)

    def pull_registry(self):
        url = f"{self.registry.base}/v2/bench/model/blobs/sha256:{self.bench.sha256}"
        script = 'curl -sSf "$1" | tee "$2" | openssl dgst -sha256 | grep -q "$3"'
        return self.into(self.registry, "bash", "-o", "pipefail", "-c", script, "pull",
                         url, self.target / "model.bin", self.bench.sha256)

    def lanes(self):
        bench, file = self.bench, self.target / "model.bin"
        (header,) = self.stratad.header_lines()
        return {
            "strata pull": lambda: self.into(
                self.stratad, bench.cli, "pull", "bench/model@1", self.target,
                sync=False, env=self.stratad.client_environment()),
            "curl": lambda: self.into(
                self.stratad, "curl", "-sSf", "-H", header, "-o", file, self.url),
            "aria2": lambda: self.into(
                self.stratad, "aria2c", "-q", "--no-conf", "-x8", "-s8", "-k4M",
                "--file-allocation=none", f"--header={header}", "-d", self.target,
                "-o", "model.bin", self.url),
            "docker-registry": self.pull_registry,
            "copy+fsync": lambda: self.into(
                None, "dd", f"if={bench.file}", f"of={file}", "bs=8M", "conv=fsync"),
            "disk alone": lambda: self.into(
                None, "dd", "if=/dev/zero", f"of={file}", "bs=8M", "oflag=direct",
                "iflag=fullblock,count_bytes", f"count={bench.size}", "conv=fsync"),
        }


class Alias(Row):
    key = "alias"
    title = "Version by alias"
    method = (
        "64 keep-alive connections of the load client. Closed loop: each asks again when "
        "it has its answer. Open loop: 5,000 arrivals a second with exponential gaps, "
        "latency counted from the arrival. Models take turns. Uncached: a second stratad "
        "with `version_cache = 0`; its cache of tokens stays on. MLflow: `mlflow server` "
        "as it starts by itself (4 workers), GET registered-models/alias on the same "
        "PostgreSQL cluster.")
    columns = ("per_second", "p50_ms", "p99_ms", "server_cpu_request_us", "rss_anon")
    bars = (
        Bar("cached, requests per second", "per_second", "cached", (), 15000),
        Bar("uncached, requests per second", "per_second", "uncached", (), 3000),
        Bar("p99 at 5,000/s, ms", "p99_ms", "cached, open loop", (), 5, False),
        Bar("cached against MLflow", "per_second", "cached", ("MLflow",), 50),
        Bar("uncached against MLflow", "per_second", "uncached", ("MLflow",), 50),
    )
    strata_path = "/api/v1/models/bench/m{}/versions/@prod"
    mlflow_path = "/api/2.0/mlflow/registered-models/alias?name=m{}&alias=prod"

    def begin(self):
        bench = self.bench
        self.cached = self.seeded("cached")
        self.uncached = self.seeded("uncached", version_cache=0)
        self.mlflow = bench.enter(Mlflow(bench.folder / "mlflow", bench.postgres))
        self.mlflow.seed(bench.models)
        for lane in self.lanes(1).values():
            lane()

    def seeded(self, name, **options):
        bench = self.bench
        server = bench.enter(Stratad(bench.folder / name, bench.postgres, **options))
        small = server.call("PUT", f"/api/v1/blobs/{bench.small_sha256}", bench.small)
        for number in range(bench.models):
            server.publish(f"bench/m{number}", small["sha256"], aliases=["prod"],
                           metrics={"accuracy": 0.5}, tags={"team": "bench"})
        return server

    def ask(self, server, path, seconds, rate=0):
        bench = self.bench
        headers = [word for line in server.header_lines() for word in ("--header", line)]
        with Meter(server, bench.postgres) as meter:
            loaded = meter.load(
                bench.load, "get", server.address, path, "--streams", 64,
                "--seconds", seconds, "--count", bench.models, "--rate", rate, *headers)
        result = meter.result
        result |= {name: loaded[name] for name in ("p50_ms", "p99_ms", "max_ms", "cut")}
        # What is under way at the end counts for half of a slow server's answers.
        result["per_second"] = max(loaded["requests_in_time"] / loaded["seconds"],
                                   loaded["requests"] / loaded["elapsed"])
        result["server_cpu_request_us"] = result["server_cpu"] / loaded["requests"] * 1e6
        return result

    def lanes(self, seconds=None):
        seconds = seconds or self.bench.seconds
        return {
            "cached": lambda: self.ask(self.cached, self.strata_path, seconds),
            "cached, open loop": lambda: self.ask(
                self.cached, self.strata_path, seconds, 5000),
            "uncached": lambda: self.ask(self.uncached, self.strata_path, seconds),
            "MLflow": lambda: self.ask(self.mlflow, self.mlflow_path, seconds),
        }


class ColdFormat(Row):
    key = "cold-format"
    title = "Cold encoding"
    needs_servers = False
    files = {"real bf16": "real-bf16", "real fp32": "real-fp32",
             "generated bf16": "generated-bf16", "generated fp32": "generated-fp32"}
    method = (
        "Real: the float32 weights of MiniLM, and the same rounded to bfloat16. Generated: "
        "24 Mi normal numbers, each row of 4,096 with a scale of its own. Strata encodes "
        "and decodes the file in memory on one core, chunk by chunk with the checksum of "
        "each frame and without the digest; rates are of the blob's bytes by the thread's CPU "
        "time. zstd: `zstd -b1` on the same bytes, and on the exponents alone, the plane "
        "that Strata codes.")
    columns = ("saved", "encode_rate", "decode_rate")
    bars = tuple(
        bar for name in files for bar in (
            Bar(f"saved, {name}", "saved", f"strata, {name}", (),
                0.32 if "bf16" in name else 0.14),
            Bar(f"encode, {name}, GB/s", "encode_rate", f"strata, {name}", (), 0.5),
            Bar(f"decode, {name}, GB/s", "decode_rate", f"strata, {name}", (), 1.3)))

    def begin(self):
        (wheel,) = (CACHE / "bench-wheel").glob("*.whl")
        Meter().run(CACHE / "bench-weights/bin/python", ROOT / "tests/bench/weights.py",
                    self.bench.folder, wheel)

    def strata(self, file):
        return Meter().load(ROOT / "build/tests/bench/bench-cold", self.bench.folder / file)

    def zstd(self, file):
        path = self.bench.folder / file
        text = Meter().run("zstd", "-b1", "-i1", path)
        found = re.findall(
            r"(\d+) \(x[\d.]+\), *([\d.]+) MB/s, *([\d.]+) MB/s", text)[-1]
        return {"saved": 1 - int(found[0]) / path.stat().st_size,
                "encode_rate": float(found[1]) / 1000,
                "decode_rate": float(found[2]) / 1000}

    def lanes(self):
        lanes = {}
        for name, file in self.files.items():
            lanes[f"strata, {name}"] = lambda file=file: self.strata(file)
            lanes[f"zstd -1, {name}"] = lambda file=file: self.zstd(file)
            lanes[f"zstd -1, exponents of {name}"] = (
                lambda file=file: self.zstd(f"{file}.exponents"))
        return lanes


ROWS = (Download, Upload, Pull, Alias, ColdFormat)
