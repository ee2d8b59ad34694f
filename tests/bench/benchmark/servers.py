# SPDX-License-Identifier: Apache-2.0
"""The servers of the benchmarks, each a child process on 127.0.0.1, in a folder of its
own below the run's folder, that ends with the run."""
import http.client
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[3]
CACHE = ROOT / ".cache"
CONGESTION = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control")
START_SECONDS = 90


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A child process; `watch_memory` says whether its memory belongs in the table."""

    watch_memory = True
    ready_path = "/"
    ready_statuses = range(200, 500)

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.process = None
        self.port = None
        self.headers = {}

    # ---- life ---------------------------------------------------------------

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.prepare()
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in self.command()], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, cwd=self.folder, env=self.environment(),
                start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                log = (self.folder / "log").read_text(errors="replace")
                raise RuntimeError(f"{type(self).__name__} does not start: {log[-3000:]}")
            time.sleep(0.02)
        return self

    def stop(self, remove=True):
        """Ends the process with its children, and removes its folder."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            # Its group is its own session's: workers that outlive it end here.
            with_suppressed_kill(self.process.pid)
        if remove:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        return self.process.pid

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def base(self):
        return f"http://{self.address}"

    def header_lines(self):
        return [f"{name}: {value}" for name, value in self.headers.items()]

    # ---- what a kind of server says -----------------------------------------

    def prepare(self):
        self.port = free_port()

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {**os.environ, "HOME": str(self.folder)}

    def is_ready(self):
        try:
            return self.request("GET", self.ready_path)[0] in self.ready_statuses
        except (OSError, http.client.HTTPException):
            return False

    # ---- plain requests -----------------------------------------------------

    def request(self, method, path, body=None, headers=()):
        """(status, headers, body)."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        try:
            if isinstance(body, dict):
                body = json.dumps(body).encode()
                headers = {"Content-Type": "application/json", **dict(headers)}
            link.request(method, path, body, {**self.headers, **dict(headers)})
            answer = link.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            link.close()

    def call(self, method, path, body=None, headers=()):
        """The JSON of a successful answer, or its text."""
        status, _, text = self.request(method, path, body, headers)
        if not 200 <= status < 300:
            raise RuntimeError(f"{method} {path}: {status} {text[:500]!r}")
        return json.loads(text) if text.startswith(b"{") else text


def with_suppressed_kill(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


class Postgres(Server):
    """A durable cluster: fsync on, on the run's file system, a Unix socket only."""

    watch_memory = False

    def __init__(self, folder):
        super().__init__(folder)
        self.bin = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"),
                       key=lambda path: int(path.parent.name))
        self.user = "postgres" if os.geteuid() == 0 else None
        self.made = 0

    def run(self, program, *arguments):
        return subprocess.run(
            [self.bin / program, *map(str, arguments)], user=self.user, check=True,
            cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True)

    def prepare(self):
        if self.user:
            account = pwd.getpwnam(self.user)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self.run("initdb", "-D", self.folder / "data", "-U", "bench", "-A", "trust",
                 "-E", "UTF8", "--locale=C")

    def command(self):
        drop = ["setpriv", "--reuid", self.user, "--regid", self.user, "--init-groups",
                "--"] if self.user else []
        return drop + [
            self.bin / "postgres", "-D", self.folder / "data", "-c", "listen_addresses=",
            "-c", f"unix_socket_directories={self.folder}", "-c", "max_connections=300",
            "-c", "shared_buffers=256MB"]

    def is_ready(self):
        try:
            self.run("psql", "-h", self.folder, "-U", "bench", "-c", "SELECT 1", "postgres")
            return True
        except subprocess.CalledProcessError:
            return False

    def stop(self, remove=True):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # a fast shutdown
            self.process.wait(60)
        super().stop(remove)

    def create(self):
        """The URL of a new, empty database."""
        self.made += 1
        name = f"bench_{self.made}"
        self.run("psql", "-h", self.folder, "-U", "bench", "-c",
                 f"CREATE DATABASE {name}", "postgres")
        host = urllib.parse.quote(str(self.folder), safe="")
        return f"postgresql://bench@/{name}?host={host}"


class Stratad(Server):
    ready_path = "/readyz"
    ready_statuses = (200,)

    def __init__(self, folder, postgres, **options):
        super().__init__(folder)
        self.postgres = postgres
        self.options = options

    def prepare(self):
        self.url = self.postgres.create()

    def command(self):
        command = [ROOT / "build/stratad", "--data", self.folder / "data",
                   "--listen", "127.0.0.1:0", "--port-file", self.folder / "port",
                   "--database-url", self.url, "--log-level", "warn",
                   "--tcp-congestion", CONGESTION.read_text().strip()]
        for name, value in self.options.items():
            command += ["--" + name.replace("_", "-"), value]
        return command

    def is_ready(self):
        try:
            self.port = int((self.folder / "port").read_text().rpartition(":")[2])
        except (FileNotFoundError, ValueError):
            return False
        if not super().is_ready():
            return False
        token = (self.folder / "data/admin.token").read_text().strip()
        self.headers = {"Authorization": f"Bearer {token}"}
        return True

    def client_environment(self):
        """For the CLI: server, token, and a home of its own."""
        return {**os.environ, "HOME": str(self.folder), "STRATA_URL": self.base,
                "STRATA_TOKEN": self.headers["Authorization"].split()[1]}

    def upload(self, bench, meter, streams=4, chained=True):
        """Sends the run's file in parts, by one who knows its chain or who knows
        nothing of it. Its digest."""
        known = {"sha256": bench.sha256, "chain": {"states": bench.states}}
        begun = self.call("POST", "/api/v1/uploads",
                          {"size": bench.size, **(known if chained else {})})
        uploads = f"/api/v1/uploads/{begun['id']}"
        meter.load(bench.load, "put", self.address, uploads + "/parts/{}",
                   "--file", bench.file, "--part-size", begun["part_size"],
                   "--streams", streams, "--header", self.header_lines()[0])
        done = self.call("POST", uploads + "/complete")
        assert done["sha256"] == bench.sha256, "the digest differs"
        return done["sha256"]

    def publish(self, model, digest, **fields):
        body = {"files": [{"path": "model.bin", "sha256": digest}], **fields}
        return self.call("POST", f"/api/v1/models/{model}/versions", body)

    def metric(self, name):
        text = self.call("GET", "/metrics").decode()
        return int(re.search(rf"^{name} (\d+)$", text, re.M)[1])

    def blob_file(self, digest):
        (path,) = (self.folder / "data").glob(f"*/sha256/{digest[:2]}/{digest}.*")
        return path


class Nginx(Server):
    def __init__(self, folder, file):
        super().__init__(folder)
        self.file = file

    def prepare(self):
        super().prepare()
        (self.folder / "nginx.conf").write_text(f"""
daemon off;
{"user root;" if os.geteuid() == 0 else ""}
worker_processes auto;
pid {self.folder}/nginx.pid;
error_log {self.folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=64;
    keepalive_requests 1000000000;
    client_body_temp_path {self.folder}/body;
    proxy_temp_path {self.folder}/proxy;
    fastcgi_temp_path {self.folder}/fastcgi;
    uwsgi_temp_path {self.folder}/uwsgi;
    scgi_temp_path {self.folder}/scgi;
    server {{
        listen {self.address};
        location = /file {{ alias {self.file}; }}
    }}
}}
""")

    def command(self):
        return ["nginx", "-e", self.folder / "error.log", "-c", self.folder / "nginx.conf"]


class DockerRegistry(Server):
    ready_path = "/v2/"
    ready_statuses = (200,)

    def prepare(self):
        super().prepare()
        (self.folder / "config.yml").write_text(json.dumps({
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "data")}},
            "http": {"addr": self.address},
        }))

    def command(self):
        return ["docker-registry", "serve", self.folder / "config.yml"]

    def blob_file(self, digest):
        return (self.folder / "data/docker/registry/v2/blobs/sha256" / digest[:2] / digest
                / "data")

    def upload(self, bench, meter):
        """POST, the bytes in one PATCH, PUT with the digest: what a push does."""
        _, headers, _ = self.request("POST", "/v2/bench/model/blobs/uploads/")
        place = urllib.parse.urlsplit(headers["Location"])
        loaded = meter.load(bench.load, "put", self.address,
                            f"{place.path}?{place.query}",
                            "--file", bench.file, "--method", "PATCH",
                            "--header", f"Content-Range: 0-{bench.size - 1}")
        place = urllib.parse.urlsplit(loaded["location"])
        self.call("PUT", f"{place.path}?{place.query}&digest=sha256:{bench.sha256}")


class Weed(Server):
    """SeaweedFS: master, volume, filer and S3 in one process."""

    ready_statuses = range(200, 500)

    def prepare(self):
        super().prepare()
        (self.folder / "data").mkdir()
        self.ports = [free_port() for _ in range(6)]

    def command(self):
        master, volume, filer, *grpc = self.ports
        return [CACHE / "bench-weed/bin/weed", "server", f"-dir={self.folder}/data",
                "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", f"-s3.port={self.port}",
                f"-s3.port.grpc={free_port()}",
                f"-master.port={master}", f"-master.port.grpc={grpc[0]}",
                f"-volume.port={volume}", f"-volume.port.grpc={grpc[1]}",
                f"-filer.port={filer}", f"-filer.port.grpc={grpc[2]}",
                "-volume.max=32", "-master.volumeSizeLimitMB=1024"]

    def is_ready(self):
        """A bucket can be made and written to."""
        try:
            return (self.request("PUT", "/bench")[0] in (200, 409)
                    and self.request("PUT", "/bench/first", b"x")[0] == 200)
        except (OSError, http.client.HTTPException):
            return False

    def upload(self, bench, meter, streams=4):
        """A multipart upload."""
        text = self.call("POST", "/bench/model.safetensors?uploads").decode()
        upload_id = text.partition("<UploadId>")[2].partition("</UploadId>")[0]
        loaded = meter.load(bench.load, "put", self.address,
                            "/bench/model.safetensors?partNumber={}&uploadId=" + upload_id,
                            "--first", 1, "--file", bench.file,
                            "--part-size", 16 << 20, "--streams", streams)
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            for number, etag in enumerate(loaded["etags"], 1))
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        self.call("POST", f"/bench/model.safetensors?uploadId={upload_id}", body)


class Mlflow(Server):
    """The tracking server with its registry, as `mlflow server` starts it."""

    ready_path = "/health"
    ready_statuses = (200,)

    def __init__(self, folder, postgres):
        super().__init__(folder)
        self.postgres = postgres

    def prepare(self):
        super().prepare()
        self.url = self.postgres.create()

    def command(self):
        return [CACHE / "bench-mlflow/bin/mlflow", "server", "--host", "127.0.0.1",
                "--port", self.port, "--backend-store-uri", self.url,
                "--default-artifact-root", self.folder / "artifacts"]

    def environment(self):
        path = f"{CACHE}/bench-mlflow/bin:{os.environ['PATH']}"
        return {**super().environment(), "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true",
                "DO_NOT_TRACK": "true"}

    def seed(self, models):
        api = "/api/2.0/mlflow/"
        for number in range(models):
            name = f"m{number}"
            self.insist(api + "registered-models/create", {"name": name})
            self.insist(api + "model-versions/create",
                        {"name": name, "source": f"s3://bench/{name}"})
            self.insist(api + "registered-models/alias",
                        {"name": name, "alias": "prod", "version": "1"})

    def insist(self, path, body, tries=5):
        """A POST that may have been done: workers are restarted now and then, by
        themselves, when the machine is busy, and cut their connections."""
        for left in reversed(range(tries)):
            try:
                status, _, text = self.request("POST", path, body)
            except (OSError, http.client.HTTPException):
                if left == 0:
                    raise
                time.sleep(1)
                continue
            if status == 200 or b"RESOURCE_ALREADY_EXISTS" in text:
                return
            raise RuntimeError(f"POST {path}: {status} {text[:500]!r}")
