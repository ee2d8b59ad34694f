# SPDX-License-Identifier: Apache-2.0
"""Everything at once for a long time: readers, publishers of the same few blobs while GC
collects them, moves in all directions, pins, deletions that purge at once, scrub, and
kill -9 now and then. What was acknowledged is there in the end, and nothing else."""
import collections
import random
import threading
import time

import requests
from support.api import Api, parts_of
from support.chain import make_bytes, sha256
from support.consistency import problems, settle
from support.moves import weights
from support.stratad import TIERS, wait_until

READERS = 50
PUBLISHERS = 8
MOVERS = 2
PINNERS = 2
LIVE = 4       # versions that a publisher keeps
RETRY_S = 90   # a request that gets no answer for so long has hung
MIB = 1 << 20
OPTIONS = {
    "lease": "3s", "purge_after": "0", "upload_expiry": "20s", "gc_interval": "1s",
    "orphan_interval": "10s", "cold_delete_after": "1s", "protect_after": "2s",
    "policy_interval": "500ms", "move_hold": "2s", "heat_window": "1s",
    "scrub_interval": "5s", "scrub_bandwidth": 0, "movers": 3, "cold_cache": 16 * MIB,
    "hot_capacity": 48 * MIB, "warm_capacity": 64 * MIB,
}
TABLES = ("blobs", "placements", "garbage", "uploads", "leases", "gc_candidates")


def contents():
    """Few distinct blobs: published again and again while they are collected."""
    sizes = (0, 1, 4000, 70_000, MIB, 4 * MIB, 4 * MIB + 1)
    made = [make_bytes(size, f"soak {n}") for n, size in enumerate(sizes)]
    made += [weights(size, f"soak {n}") for n, size in
             enumerate((100_000, 900_000, 3 * MIB, 5 * MIB, 9 * MIB))]
    return {sha256(data): data for data in made}


class Version:
    def __init__(self, number, files):
        self.number = number
        self.files = files  # {path: digest}
        self.is_live = True  # False as soon as its deletion is asked for


class Soak:
    def __init__(self, server, seed, readers=READERS):
        self.server = server
        self.contents = contents()
        self.token = server.admin_token()
        self.stopping = threading.Event()
        self.counts = collections.Counter()
        self.lock = threading.Lock()
        self.wrong = []
        self.generation = 0  # odd while the server is away
        self.publishers = [Publisher(self, f"{seed} publisher {n}")
                           for n in range(PUBLISHERS)]
        self.threads = [*self.publishers,
                        *(Reader(self, f"{seed} reader {n}") for n in range(readers)),
                        *(Mover(self, f"{seed} mover {n}") for n in range(MOVERS)),
                        *(Pinner(self, f"{seed} pinner {n}") for n in range(PINNERS)),
                        Collector(self, f"{seed} collector")]
        self.random = random.Random(f"{seed} kills")

    def count(self, what, number=1):
        with self.lock:
            self.counts[what] += number

    def versions(self):
        return [version for publisher in self.publishers
                for version in list(publisher.versions)]

    # ---- the run -------------------------------------------------------------

    def run(self, seconds, kills=True, say=lambda text: None):
        self.server.keep_port()
        for thread in self.threads:
            thread.start()
        end = time.monotonic() + seconds
        told = time.monotonic()
        while time.monotonic() < end and not self.wrong:
            pause = self.random.uniform(2, 10)
            self.stopping.wait(min(pause, max(end - time.monotonic(), 0)))
            if kills and time.monotonic() < end:
                self.kill()
            if time.monotonic() - told > 60:
                told = time.monotonic()
                say(self.totals())
        self.stopping.set()
        for thread in self.threads:
            thread.join(RETRY_S + 30)
            if thread.is_alive():
                self.wrong.append(f"{thread.name} has hung")
        assert not self.wrong, "\n".join(self.wrong[:20])

    def kill(self):
        self.generation += 1
        self.server.kill()
        self.server.start(60)
        self.generation += 1
        self.count("kill -9")

    def totals(self):
        return ", ".join(f"{number} {what}" for what, number in sorted(self.counts.items()))

    # ---- the end ---------------------------------------------------------------

    def check(self):
        """Every version that was acknowledged and not deleted is complete; nothing that
        no version names is left, neither row nor file nor object."""
        api = Api(self.server.base, self.token)
        for pin in api.get("/pins", expect=200).json()["pins"]:
            api.delete(f"/pins/{pin['id']}", expect=204)
        named = set()
        for publisher in self.publishers:
            publisher.check(api)
            named |= {digest for version in publisher.versions
                      for digest in version.files.values()}
        for digest in named:
            shown = api.get(f"/blobs/{digest}", expect=200).content
            assert shown == self.contents[digest], f"other bytes for {digest}"
        wait_until(lambda: self.is_clean(api, named), 90, "all that nothing names is gone")
        settle(self.server)
        # What the policy and the scrub do meanwhile may be seen half.
        deadline = time.monotonic() + 30
        while (found := problems(self.server)) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert not found, "\n".join(found[:50])

    def is_clean(self, api, named):
        api.post("/gc")
        time.sleep(0.5)
        rows = self.server.database.rows("SELECT encode(sha256, 'hex') FROM blobs")
        left = self.server.database.counts()
        return {digest for (digest,) in rows} == named and \
            left["garbage"] == left["uploads"] == left["leases"] == 0

    def left(self):
        """For the report of a failure."""
        counts = self.server.database.counts()
        return {table: counts[table] for table in TABLES}


class Client(threading.Thread):
    """Does `once` until the end. `ask` repeats a request until the server answers."""

    def __init__(self, soak, name):
        super().__init__(daemon=True, name=name)
        self.soak = soak
        self.random = random.Random(name)
        self.api = Api(soak.server.base, soak.token, timeout=RETRY_S)

    def run(self):
        try:
            while not self.soak.stopping.is_set():
                self.once()
        except Exception as error:
            self.soak.wrong.append(f"{self.name}: {error!r}")

    def pause(self, most):
        self.soak.stopping.wait(self.random.uniform(0, most))

    def ask(self, send, *statuses):
        """A request that is repeated while the server is away. Without a kill every
        answer must be one of these, and whole."""
        deadline = time.monotonic() + RETRY_S
        while True:
            generation = self.soak.generation
            answer, failure = None, None
            try:
                answer = send(self.api)
            except (requests.RequestException, OSError) as error:
                failure = repr(error)
                self.api = self.api.clone()
            if answer is not None and answer.status_code in statuses:
                return answer
            was_away = generation % 2 == 1 or generation != self.soak.generation
            if not was_away and not self.is_passing(answer):
                shown = failure or (f"{answer.request.method} {answer.url}: "
                                    f"{answer.status_code} {answer.text[:400]}")
                raise AssertionError(f"not one of {statuses}: {shown}")
            assert time.monotonic() < deadline, f"no answer: {failure or answer.text}"
            self.soak.count("repeats")
            time.sleep(0.05)

    def is_passing(self, answer):
        """The tiers are full for the moment: that is no fault."""
        return answer is not None and answer.status_code == 507


class Publisher(Client):
    def __init__(self, soak, name):
        super().__init__(soak, name)
        self.model = "/models/soak/" + name.replace(" ", "-")
        self.versions = []
        self.last = 0
        self.round = 0

    def once(self):
        self.round += 1
        self.publish()
        while len([v for v in self.versions if v.is_live]) > self.random.randint(1, LIVE):
            self.delete()
        self.pause(0.1)

    def publish(self):
        chosen = self.random.sample(sorted(self.soak.contents), self.random.randint(1, 4))
        body = {"files": [{"path": f"f{n}", "sha256": digest}
                          for n, digest in enumerate(chosen)],
                "idempotency_key": f"{self.round}"}
        if self.random.random() < 0.3:
            body["aliases"] = ["prod"]
        missing = [d for d in chosen if self.random.random() < 0.5]
        while True:
            for digest in missing:
                self.send(digest)
            answer = self.ask(lambda api: api.post(self.model + "/versions", body,
                                                   check=False), 200, 201, 409)
            if answer.status_code != 409:
                break
            missing = answer.json()["digests"]
            self.soak.count("blobs that were missing", len(missing))
        number = answer.json()["version"]
        assert number == self.last + 1, f"{number} after {self.last}"
        self.last = number
        self.versions.append(Version(
            number, {file["path"]: file["sha256"] for file in body["files"]}))
        self.soak.count("versions published")

    def send(self, digest):
        data = self.soak.contents[digest]
        if self.random.random() < 0.5:
            self.ask(lambda api: api.put(f"/blobs/{digest}", data=data, check=False),
                     200, 201)
        else:
            self.upload(digest, data)
        self.soak.count("blobs sent")

    def upload(self, digest, data):
        """In parts; a server that was killed may have forgotten one that was whole."""
        body = {"size": len(data), "sha256": digest}
        while True:
            begun = self.ask(lambda api: api.post("/uploads", body, check=False), 200, 201)
            if begun.status_code == 200:
                return
            upload = begun.json()
            answers = [self.ask(lambda api, n=n: api.put_part(upload, data, n, check=False),
                                204, 404) for n in range(parts_of(upload))]
            if all(answer.status_code == 204 for answer in answers):
                done = self.ask(lambda api: api.complete(upload, check=False),
                                200, 201, 404)
                if done.status_code != 404:
                    return
            self.soak.count("uploads begun anew")

    def delete(self):
        version = self.random.choice([v for v in self.versions if v.is_live])
        version.is_live = False
        self.ask(lambda api: api.delete(
            f"{self.model}/versions/{version.number}?force=true", check=False), 200, 410)
        self.versions.remove(version)
        self.soak.count("versions deleted")

    def check(self, api):
        response = api.get(self.model + "/versions", params={"limit": 1000})
        shown = {} if response.status_code == 404 else {
            v["version"]: v for v in response.json()["versions"]}
        expected = {v.number for v in self.versions}
        assert set(shown) == expected, f"{self.model}: {set(shown)}, not {expected}"
        for version in self.versions:
            whole = api.get(f"{self.model}/versions/{version.number}", expect=200).json()
            files = {f["path"]: f["sha256"] for f in whole["files"]}
            assert files == version.files, f"{self.model}@{version.number}"
            for path, digest in version.files.items():
                answer = api.get(f"{self.model}/versions/{version.number}/files/{path}",
                                 expect=200)
                assert answer.content == self.soak.contents[digest]


class Reader(Client):
    """Whole files and ranges of versions that are live: always the right bytes."""

    def once(self):
        publisher = self.random.choice(self.soak.publishers)
        versions = [v for v in list(publisher.versions) if v.is_live]
        if not versions:
            return self.pause(0.2)
        version = self.random.choice(versions)
        path, digest = self.random.choice(sorted(version.files.items()))
        self.read(publisher, version, path, self.soak.contents[digest])
        self.pause(0.4)

    def read(self, publisher, version, path, data):
        headers, expected, status = {}, data, 200
        if data and self.random.random() < 0.6:
            first = self.random.randrange(len(data))
            last = min(first + self.random.choice((1, 5000, 5 * MIB)), len(data)) - 1
            headers = {"Range": f"bytes={first}-{last}"}
            expected, status = data[first:last + 1], 206
        answer = self.ask(lambda api: api.get(
            f"{publisher.model}/versions/{version.number}/files/{path}", headers=headers,
            check=False), status, 404, 410)
        if answer.status_code in (404, 410):
            assert not version.is_live, (
                f"{publisher.model}@{version.number} is live and answers "
                f"{answer.status_code} {answer.text[:300]}")
            return
        assert answer.content == expected, (
            f"other bytes: {publisher.model}@{version.number} {path} {headers} "
            f"{len(answer.content)} of {len(expected)}")
        self.soak.count("reads")
        self.soak.count(f"reads from {answer.headers['Strata-Tier']}")


class Mover(Client):
    """Wishes of people, in all directions; a blob may be gone."""

    def once(self):
        digest = self.random.choice(sorted(self.soak.contents))
        tier = self.random.choice(TIERS)
        answer = self.ask(lambda api: api.post(f"/blobs/{digest}/move", {"tier": tier},
                                               check=False), 202, 404)
        if answer.status_code == 202:
            self.soak.count("moves")
            if self.random.random() < 0.05:
                self.ask(lambda api: api.delete(f"/moves/{answer.json()['id']}",
                                                check=False), 200, 204, 404, 409)
        self.pause(0.2)


class Pinner(Client):
    """Pins of blobs and versions, most of which are taken away again."""

    def once(self):
        publisher = self.random.choice(self.soak.publishers)
        body = {"tier": self.random.choice(TIERS)}
        versions = list(publisher.versions)
        if versions and self.random.random() < 0.5:
            name = publisher.model.removeprefix("/models/")
            body["ref"] = f"{name}@{self.random.choice(versions).number}"
        else:
            body["sha256"] = self.random.choice(sorted(self.soak.contents))
        answer = self.ask(lambda api: api.post("/pins", body, check=False),
                          200, 201, 404, 410)
        if answer.status_code in (200, 201):
            self.soak.count("pins")
            self.pause(2)
            if self.random.random() < 0.9:
                self.ask(lambda api: api.delete(f"/pins/{answer.json()['id']}",
                                                check=False), 204, 404)
        self.pause(0.3)


class Collector(Client):
    """More runs of GC than its interval asks for."""

    def once(self):
        self.ask(lambda api: api.post("/gc", check=False), 202, 409)
        self.soak.count("runs of GC asked for")
        self.pause(1.5)
