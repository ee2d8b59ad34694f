# SPDX-License-Identifier: Apache-2.0
"""A large safetensors file through `strata`: published and pulled in little memory, with
either side killed half way.

512 MiB as a rule, 5 GiB with STRATA_LARGE=1 (and STRATA_TEST_DIR where there is room for
three times that).
"""
import hashlib
import json
import os
import pathlib
import re
import subprocess

import pytest

from support.chain import make_bytes
from support.stratad import STRATA, sanitized, wait_until, watch_memory

LARGE = os.environ.get("STRATA_LARGE") == "1"
SIZE = 5 << 30 if LARGE else 512 << 20
BLOCK = 16 << 20
SECONDS = 900 if LARGE else 180
SERVER_LIMIT = 200 << 20
CLIENT_LIMIT = 300 << 20
NAME = "model.safetensors"


def write_safetensors(path):
    """One bf16 tensor of SIZE bytes after the header; the file's SHA-256."""
    tensor = {"dtype": "BF16", "shape": [SIZE // 2], "data_offsets": [0, SIZE]}
    header = json.dumps({"weight": tensor}).encode()
    block = make_bytes(BLOCK, "large")
    hasher = hashlib.sha256()
    with open(path, "wb") as file:
        for piece in (len(header).to_bytes(8, "little"), header):
            file.write(piece)
            hasher.update(piece)
        for number in range(SIZE // BLOCK):
            piece = number.to_bytes(8, "big") + block[8:]
            file.write(piece)
            hasher.update(piece)
    return hasher.hexdigest()


def sha256_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture(scope="module")
def source(work_folder):
    folder = work_folder / "large"
    folder.mkdir()
    digest = write_safetensors(folder / NAME)
    yield folder, digest
    (folder / NAME).unlink()


class Client:
    """Runs `strata` against a server, with a home of its own."""

    def __init__(self, server, folder):
        self.environment = {
            **os.environ, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CONFIG_HOME": str(folder / "config"), "STRATA_URL": server.base,
            "STRATA_TOKEN": server.admin_token(),
        }
        self.log = folder / "strata.log"

    def spawn(self, *arguments):
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                [str(STRATA), *map(str, arguments)], env=self.environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def finish(self, process):
        status = process.wait(SECONDS)
        assert status == 0, f"strata ended with {status}:\n{self.log.read_text()[-3000:]}"

    def run(self, *arguments):
        """To its end; the most anonymous memory that it took."""
        process = self.spawn(*arguments)
        with watch_memory(process.pid) as samples:
            self.finish(process)
        return max(samples)


@pytest.fixture
def client(server, tmp_path):
    return Client(server, tmp_path)


@pytest.fixture
def target(server):
    folder = server.folder / "pulled"
    folder.mkdir()
    return folder


def received(server):
    """Bytes of request bodies since the server's start."""
    text = server.api().get("//metrics").text
    return float(re.search(r"^strata_http_received_bytes_total (\S+)", text, re.M)[1])


def durable_parts(server):
    return server.database.value("SELECT count(*) FROM upload_parts")


def part_count(server):
    return server.database.value(
        "SELECT coalesce(sum((size + part_size - 1) / part_size), 1)::int FROM uploads")


def is_half_sent(server, process):
    assert process.poll() is None, "it was through before it could be killed"
    return durable_parts(server) * 2 >= part_count(server)


def is_half_written(process):
    """`wchar`: what the process has handed to write calls."""
    assert process.poll() is None, "it was through before it could be killed"
    text = pathlib.Path(f"/proc/{process.pid}/io").read_text()
    return int(re.search(r"wchar: (\d+)", text)[1]) * 2 >= SIZE


def check_pulled(target, digest):
    assert [path.name for path in target.iterdir() if not path.name.startswith(".")] == [
        NAME]
    assert sha256_of(target / NAME) == digest


def test_publish_and_pull_in_little_memory(server, client, source, target):
    folder, digest = source
    with server.watch_memory() as samples:
        used = client.run("publish", folder, "large/model")
    if not sanitized():
        assert max(samples) < SERVER_LIMIT and used < CLIENT_LIMIT
    version = server.api().get("/models/large/model/versions/1", expect=200).json()
    assert [file["sha256"] for file in version["files"]] == [digest]

    with server.watch_memory() as samples:
        used = client.run("pull", "large/model", target)
    if not sanitized():
        assert max(samples) < SERVER_LIMIT and used < CLIENT_LIMIT
    check_pulled(target, digest)


def test_publisher_is_killed_half_way(server, client, source):
    folder, digest = source
    process = client.spawn("publish", folder, "large/model")
    wait_until(lambda: is_half_sent(server, process), SECONDS, "half of it is sent")
    process.kill()
    process.wait()
    server.api().get("/models/large/model", expect=404)  # invariant 2: all or nothing
    parts, before = durable_parts(server), received(server)

    client.run("publish", folder, "large/model")
    version = server.api().get("/models/large/model/versions/1", expect=200).json()
    assert version["files"][0]["sha256"] == digest
    # What was durable was not sent again.
    assert received(server) - before < SIZE * 0.75, parts
    assert server.api().get("/models/large/model").json()["versions"] == 1


def test_server_is_killed_while_it_receives(server, client, source):
    folder, digest = source
    server.keep_port()
    process = client.spawn("publish", folder, "large/model")
    wait_until(lambda: is_half_sent(server, process), SECONDS, "half of it is sent")
    server.kill()
    server.start()
    client.finish(process)
    version = server.api().get("/models/large/model/versions/1", expect=200).json()
    assert version["files"][0]["sha256"] == digest
    assert server.api().get("/models/large/model").json()["versions"] == 1
    assert received(server) < SIZE * 0.75


def test_puller_is_killed_half_way(server, client, source, target):
    folder, digest = source
    client.run("publish", folder, "large/model")
    process = client.spawn("pull", "large/model", target)
    wait_until(lambda: is_half_written(process), SECONDS, "half of it is written")
    process.kill()
    process.wait()
    assert not (target / NAME).exists()  # never a half file under its final name

    assert client.run("pull", "large/model", target) < CLIENT_LIMIT or sanitized()
    check_pulled(target, digest)


def test_server_is_killed_while_it_sends(server, client, source, target):
    folder, digest = source
    client.run("publish", folder, "large/model")
    server.keep_port()
    process = client.spawn("pull", "large/model", target)
    wait_until(lambda: is_half_written(process), SECONDS, "half of it is written")
    server.kill()
    server.start()
    client.finish(process)
    check_pulled(target, digest)
