# SPDX-License-Identifier: Apache-2.0
"""`kill -9` at any instant loses nothing that was acknowledged, and leaves nothing half.

Workers upload and publish while the server is killed again and again (fixed seeds); in
the end every answer that was given must still be true. Invariants 1, 2, 3, 4 and 6; the
tables are held against the files by support/consistency.py after each kill.
"""
import random
import threading

import pytest
import requests

from support.chain import CHUNK, make_bytes, sha256
from support.consistency import problems

KILLS = 6
WORKERS = 4
MODEL = "/models/kill/model"


class Worker(threading.Thread):
    """Publishes versions of own blobs until told to stop; remembers what was promised."""

    def __init__(self, server, token, number):
        super().__init__(daemon=True)
        self.server = server
        self.token = token
        self.number = number
        self.stopped = threading.Event()
        self.published = {}  # idempotency key: version as answered
        self.unknown = {}  # idempotency key: body whose answer never came
        self.errors = []
        self.round = 0

    def run(self):
        while not self.stopped.is_set():
            self.round += 1
            try:
                self.one()
            except (requests.ConnectionError, requests.Timeout):
                self.stopped.wait(0.02)
            except Exception as error:
                self.errors.append(error)
                return

    def one(self):
        api = self.server.anonymous().clone(self.token)
        size = random.Random(f"{self.number}/{self.round}").choice([10, 70_000, CHUNK + 3])
        data = make_bytes(size, f"{self.number}/{self.round}")
        if self.round % 2:
            digest = api.put_blob(data)
        else:
            upload = api.begin_upload(data, chained=self.round % 4 == 0)
            if "id" in upload:
                for number in range(-(-size // upload["part_size"])):
                    api.put_part(upload, data, number, expect=204)
                api.complete(upload, expect=201)
            digest = sha256(data)
        key = f"{self.number}/{self.round}"
        body = {"files": [{"path": "f", "sha256": digest}], "idempotency_key": key}
        self.unknown[key] = body
        response = api.post(MODEL + "/versions", body)
        assert response.status_code in (200, 201, 503), response.text
        if response.status_code != 503:
            self.published[key] = response.json()
            del self.unknown[key]


def check_promises(server, workers):
    """Every version that was answered is there, with its bytes; a publish whose answer
    was lost is there once or not at all, and its repetition tells."""
    api = server.api()
    for worker in workers:
        assert not worker.errors, worker.errors
        for key, version in worker.published.items():
            path = f"{MODEL}/versions/{version['version']}"
            assert api.get(path, expect=200).json() == version
            content = api.get(path + "/files/f", expect=200).content
            assert sha256(content) == version["files"][0]["sha256"]
        for key, body in worker.unknown.items():
            first = api.post(MODEL + "/versions", body)
            assert first.status_code in (200, 201), first.text
            again = api.post(MODEL + "/versions", body, expect=200)
            assert again.json() == first.json()
            worker.published[key] = first.json()
        worker.unknown.clear()


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_again_and_again(make_server, seed):
    server = make_server()
    random_ = random.Random(seed)
    token = server.api().create_token("worker", "publisher")["token"]
    workers = []
    for kill in range(KILLS):
        batch = [Worker(server, token, f"{seed}/{kill}/{n}") for n in range(WORKERS)]
        for worker in batch:
            worker.start()
        threading.Event().wait(random_.uniform(0.05, 0.6))
        server.kill()
        for worker in batch:
            worker.stopped.set()
        for worker in batch:
            worker.join()
        workers += batch
        server.start()
        check_promises(server, batch)
        server.stop()
        assert problems(server) == []
        server.start()
    check_promises(server, workers)
    numbers = sorted(v["version"] for w in workers for v in w.published.values())
    assert numbers == list(range(1, len(numbers) + 1)) and numbers


def test_killed_between_two_starts(make_server):
    """Start-up itself may be cut: the next one repairs what the first did not."""
    server = make_server()
    api = server.api()
    digest = api.put_blob(make_bytes(1000, "starts"))
    upload = api.begin_upload(make_bytes(CHUNK, "open"))
    server.kill()
    for delay in (0.0, 0.005, 0.01, 0.02, 0.03, 0.05):
        server.spawn()
        threading.Event().wait(delay)
        server.kill()
    server.start()
    api = server.api()
    assert api.get(f"/blobs/{digest}", expect=200).content == make_bytes(1000, "starts")
    assert api.get(f"/uploads/{upload['id']}", expect=200).json()["state"] == "open"
    server.stop()
    assert problems(server) == []
