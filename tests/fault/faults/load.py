# SPDX-License-Identifier: Apache-2.0
"""Eight clients that upload, publish, move aliases, delete, restore and read, and that
remember what they were told.

A client repeats a request until it gets a definite answer, across kills and restarts.
What it waits for is `pending`; everything else must be as it was acknowledged. `hold`
keeps all clients between two requests, so that the server can be held to its word.
"""
import random
import threading
import time

import requests
from support.api import Api, parts_of
from support.chain import sha256
from support.consistency import problems, settle
from support.moves import tiers_of
from support.stratad import TIERS

CLIENTS = 8
POOL = random.Random("pool").randbytes(48 << 20)
NONE = object()  # pending: nothing


class Stopped(Exception):
    pass


class Blob:
    """Bytes that can be made again from little."""

    def __init__(self, tag, size, random_):
        self.head = sha256(tag.encode())[:32].encode()
        self.size = size
        self.start = random_.randrange(len(POOL) - size)
        self.digest = sha256(self.bytes())

    def bytes(self):
        return (self.head + POOL[self.start:self.start + self.size])[:self.size]


class Upload:
    def __init__(self, blob, answer):
        self.blob = blob
        self.answer = answer
        self.parts = set()
        self.state = "open"  # or done, deleted: as acknowledged
        self.pending = None  # part number, "complete" or "delete"


class Load:
    """`errors`: answers besides 503 that are no wonder; `discards`: a sync may fail,
    after which an upload is gone; `moves`: blobs are moved between the tiers too."""

    def __init__(self, server, seed, clients=CLIENTS, errors=(), discards=False,
                 large=True, moves=False):
        self.server = server
        self.errors = (503, *errors)
        self.discards = discards
        self.large = large
        self.moves = moves
        self.gate = threading.Event()
        self.stopping = False
        self.condition = threading.Condition()
        self.inside = 0
        self.problems = []
        self.answers = 0
        self.waits = 0
        self.token = server.admin_token()
        self.checked = set()
        self.clients = [Client(self, f"{seed}-{n}") for n in range(clients)]
        for client in self.clients:
            client.start()

    def go(self):
        self.gate.set()

    def hold(self, seconds=60):
        """Lets no request begin, and waits for those that run."""
        self.gate.clear()
        deadline = time.monotonic() + seconds
        with self.condition:
            while self.inside > 0:
                assert self.condition.wait(deadline - time.monotonic()), \
                    "a request has hung"
        assert not self.problems, "\n".join(self.problems)

    def check(self, *, rest=True):
        """All that was acknowledged is there, nothing else; the clients are held."""
        api = Api(self.server.base, self.token)
        blobs = {digest for (digest,) in
                 self.server.database.rows("SELECT encode(sha256, 'hex') FROM blobs")}
        for client in self.clients:
            client.check(api, blobs)
        if rest:
            found = self.problems_at_rest()
            assert not found, "\n".join(found)

    def problems_at_rest(self, seconds=30):
        """Moves that the server begins by itself may be seen half."""
        deadline = time.monotonic() + seconds
        while True:
            if self.moves:
                settle(self.server)
            found = problems(self.server) + uploads_without_files(self.server)
            if not found or not self.moves or time.monotonic() > deadline:
                return found
            time.sleep(0.2)

    def finish(self, seconds=120):
        """Every client gets its answer, then all bytes are read back."""
        self.stopping = True
        self.gate.set()
        deadline = time.monotonic() + seconds
        for client in self.clients:
            client.join(max(deadline - time.monotonic(), 0))
            assert not client.is_alive(), f"{client.name} never got its answer"
        assert not self.problems, "\n".join(self.problems)
        self.checked.clear()
        if self.moves:
            settle(self.server)
        self.check(rest=False)
        for client in self.clients:
            client.check_tiers()

    def moved(self):
        return sum(len(client.moves) for client in self.clients)

    def abandon(self):
        """After a failure: the clients end, whatever becomes of their requests."""
        self.stopping = None
        self.gate.set()
        for client in self.clients:
            client.join(70)


def uploads_without_files(server):
    rows = server.database.rows(
        "SELECT id::text, tier, placement_id FROM uploads WHERE state = 'open'")
    return [f"open upload {upload} has no file" for upload, tier, number in rows
            if not (server.tier_folder(tier) / "incoming" / str(number)).exists()]


class Client(threading.Thread):
    def __init__(self, load, name):
        super().__init__(daemon=True, name=name)
        self.load = load
        self.random = random.Random(name)
        self.model = f"/models/load/m-{name}"
        self.session = None
        self.round = 0
        self.blobs = {}    # digest: Blob, acknowledged
        self.hidden = {}   # digest: Blob whose upload was never completed
        self.doubt = None  # the digest of a blob whose answer is awaited
        self.uploads = []
        self.versions = {}  # number: answer
        self.deleted = set()
        self.alias = None  # the number it names; None: there is none
        self.alias_pending = NONE
        self.version_pending = None  # (number, "delete" or "restore")
        self.publish_pending = None  # the request's body
        self.moves = []       # numbers, acknowledged
        self.wanted = {}      # digest: the tier that it was moved to last

    # ---- requests -------------------------------------------------------------

    def ask(self, send, *statuses):
        """Sends until one of these statuses comes."""
        while True:
            self.load.gate.wait()
            if self.load.stopping is None:
                raise Stopped
            with self.load.condition:
                if not self.load.gate.is_set():
                    continue
                self.load.inside += 1
            try:
                if self.session is None or self.session.base != self.load.server.base:
                    self.session = Api(self.load.server.base, self.load.token, timeout=30)
                response = send(self.session)
            except (requests.RequestException, OSError):
                response = self.session = None
            finally:
                with self.load.condition:
                    self.load.inside -= 1
                    self.load.condition.notify_all()
            if response is not None and response.status_code in statuses:
                self.load.answers += 1
                return response
            self.refused(response, statuses)
            self.load.waits += 1
            time.sleep(0.02)

    def refused(self, response, statuses):
        assert response is None or response.status_code in self.load.errors, (
            f"{response.request.method} {response.url}: {response.status_code} instead "
            f"of {statuses}: {response.text[:500]}")

    def run(self):
        try:
            while not self.load.stopping:
                self.round += 1
                self.random.choice(self.choices())()
        except Stopped:
            pass
        except Exception as error:
            self.load.problems.append(f"{self.name}: {error!r}")

    def choices(self):
        choices = [self.small, self.small, self.upload]
        if self.blobs:
            choices += [self.publish] * 3 + [self.read] * 2
            choices += [self.move] * 3 if self.load.moves else []
        if self.live():
            choices += [self.move_alias] * 2 + [self.delete, self.read_version]
        if self.alias is not None:
            choices.append(self.remove_alias)
        if self.deleted:
            choices.append(self.restore)
        return choices

    def live(self):
        return [n for n in self.versions if n not in self.deleted]

    # ---- bytes ----------------------------------------------------------------

    def new_blob(self, size):
        return Blob(f"{self.name} {self.round}", size, self.random)

    def small(self):
        blob = self.new_blob(self.random.choice((10, 5000, 200_000, 1 << 20)))
        self.doubt = blob.digest
        self.ask(lambda api: api.put(f"/blobs/{blob.digest}", data=blob.bytes(),
                                     check=False), 200, 201)
        self.blobs[blob.digest] = blob
        self.doubt = None

    def upload(self):
        sizes = [1 << 20, (4 << 20) + 1, 9 << 20]
        if self.load.large and self.random.random() < 0.15:
            sizes = [(33 << 20) + 5, 40 << 20]
        blob = self.new_blob(self.random.choice(sizes))
        fields = {"size": blob.size}
        if self.random.random() < 0.7:
            fields["sha256"] = blob.digest
        if self.random.random() < 0.4:
            fields["chain_with_parts"] = True
        answer = self.ask(lambda api: api.post("/uploads", fields, check=False), 201)
        upload = Upload(blob, answer.json())
        self.hidden[blob.digest] = blob
        self.uploads.append(upload)
        end = self.random.random()
        for number in range(parts_of(upload.answer)):
            if end < 0.1 and number == parts_of(upload.answer) - 1:
                return  # left open
            if not self.part(upload, number):
                return
        if end < 0.2:
            self.give_up(upload)
        else:
            self.complete(upload)

    def statuses(self, *statuses):
        """Where syncs fail, an upload may be discarded."""
        return statuses + ((404,) if self.load.discards else ())

    def part(self, upload, number):
        data = upload.blob.bytes()
        upload.pending = number
        answer = self.ask(lambda api: api.put_part(upload.answer, data, number,
                                                   check=False), *self.statuses(204))
        return self.settle(upload, answer, lambda: upload.parts.add(number))

    def settle(self, upload, answer, then):
        upload.pending = None
        if answer.status_code == 404:
            upload.state = "deleted"
            return False
        then()
        return True

    def complete(self, upload):
        digest = upload.blob.digest
        upload.pending = "complete"
        self.doubt = digest
        del self.hidden[digest]
        answer = self.ask(lambda api: api.complete(upload.answer, check=False),
                          *self.statuses(200, 201))
        self.doubt = None

        def done():
            assert answer.json() == {"sha256": digest, "size": upload.blob.size}
            upload.state = "done"
            self.blobs[digest] = upload.blob

        self.settle(upload, answer, done)

    def give_up(self, upload):
        upload.pending = "delete"
        self.ask(lambda api: api.delete(f"/uploads/{upload.answer['id']}", check=False),
                 204, 404)
        upload.state, upload.pending = "deleted", None

    def move(self):
        digest = self.random.choice(sorted(self.blobs))
        tier = self.random.choice(TIERS)
        # A repeat finds the move, or one that was born done.
        answer = self.ask(lambda api: api.post(f"/blobs/{digest}/move", {"tier": tier},
                                               check=False), 202)
        self.moves.append(answer.json()["id"])
        self.wanted[digest] = tier

    # ---- registry -------------------------------------------------------------

    def publish(self):
        blobs = self.random.sample(sorted(self.blobs), min(len(self.blobs), 3))
        body = {"files": [{"path": f"f{n}", "sha256": digest}
                          for n, digest in enumerate(blobs)],
                "idempotency_key": f"{self.name} {self.round}",
                "tags": {"client": self.name}}
        with_alias = self.random.random() < 0.3
        number = len(self.versions) + 1
        if with_alias:
            body["aliases"] = ["prod"]
            self.alias_pending = number
        self.publish_pending = body
        answer = self.ask(lambda api: api.post(self.model + "/versions", body,
                                               check=False), 200, 201).json()
        assert answer["version"] == number, answer
        self.versions[number] = answer
        if with_alias:
            self.alias = number
        self.alias_pending, self.publish_pending = NONE, None

    def move_alias(self):
        number = self.random.choice(self.live())
        self.alias_pending = number
        self.ask(lambda api: api.put(self.model + "/aliases/prod", {"version": number},
                                     check=False), 200, 201)
        self.alias, self.alias_pending = number, NONE

    def remove_alias(self):
        self.alias_pending = None
        self.ask(lambda api: api.delete(self.model + "/aliases/prod", check=False),
                 204, 404)
        self.alias, self.alias_pending = None, NONE

    def delete(self):
        numbers = [n for n in self.live() if n != self.alias]
        if not numbers:
            return
        number = self.random.choice(numbers)
        self.version_pending = (number, "delete")
        self.ask(lambda api: api.delete(f"{self.model}/versions/{number}", check=False),
                 200, 410)
        self.deleted.add(number)
        self.version_pending = None

    def restore(self):
        number = self.random.choice(sorted(self.deleted))
        self.version_pending = (number, "restore")
        answer = self.ask(lambda api: api.post(
            f"{self.model}/versions/{number}/restore", check=False), 200, 409)
        assert answer.status_code == 200 or "not-deleted" in answer.text, answer.text
        self.deleted.discard(number)
        self.version_pending = None

    # ---- reads ----------------------------------------------------------------

    def read(self):
        blob = self.blobs[self.random.choice(sorted(self.blobs))]
        answer = self.ask(lambda api: api.get(f"/blobs/{blob.digest}", check=False), 200)
        assert answer.content == blob.bytes(), f"other bytes for {blob.digest}"

    def read_version(self):
        number = self.random.choice(self.live())
        shown = self.ask(lambda api: api.get(f"{self.model}/versions/{number}",
                                             check=False), 200).json()
        assert shown["digest"] == self.versions[number]["digest"]
        if self.alias is not None:
            shown = self.ask(lambda api: api.get(self.model + "/aliases/prod",
                                                 check=False), 200).json()
            assert shown["version"] == self.alias, (shown, self.alias)

    # ---- the word that was given -----------------------------------------------

    def check(self, api, blobs):
        missing = [digest for digest in self.blobs if digest not in blobs]
        assert not missing, f"{self.name}: acknowledged and lost: {missing}"
        seen = [digest for digest in self.hidden
                if digest in blobs and digest not in self.blobs]
        assert not seen, f"{self.name}: never completed and there: {seen}"
        for digest in self.hidden:
            assert api.head(f"/blobs/{digest}").status_code == 404
        for digest, blob in self.blobs.items():
            if digest not in self.load.checked:
                shown = api.get(f"/blobs/{digest}", expect=200).content
                assert shown == blob.bytes(), f"other bytes for {digest}"
                self.load.checked.add(digest)
        for move in self.moves[-4:]:
            state = api.get(f"/moves/{move}", expect=200).json()["state"]
            assert state not in ("failed", "cancelled"), f"move {move} is {state}"
        self.check_uploads(api)
        self.check_versions(api)
        self.check_alias(api)

    def check_tiers(self):
        """Each blob is where it was moved to, and nothing is above that."""
        for digest, tier in self.wanted.items():
            found = tiers_of(self.load.server, digest)
            assert found[0] == tier, f"{digest} is on {found} instead of {tier}"

    def check_uploads(self, api):
        for upload in self.uploads[-4:]:
            response = api.get(f"/uploads/{upload.answer['id']}")
            what = f"{self.name}: upload {upload.answer['id']} {upload.state} " \
                   f"{upload.pending}: {response.text}"
            if upload.state == "deleted":
                assert response.status_code == 404, what
            elif upload.pending == "delete" or self.load.discards:
                assert response.status_code in (200, 404), what
            else:
                assert response.status_code == 200, what
                shown = response.json()
                assert upload.parts <= set(shown["received"]), what
                assert upload.state != "done" or shown["state"] == "done", what
                # What began `complete` may be open again; without it nothing is done.
                assert shown["state"] == "open" or upload.state == "done" or \
                    upload.pending == "complete", what

    def check_versions(self, api):
        response = api.get(self.model + "/versions", params={"limit": 1000})
        shown = {}
        if response.status_code == 200:
            shown = {v["version"]: v for v in response.json()["versions"]}
        live = set(self.live())
        allowed = [live]
        if self.version_pending is not None:
            number, what = self.version_pending
            allowed.append(live - {number} if what == "delete" else live | {number})
        if self.publish_pending is not None:
            allowed.append(live | {len(self.versions) + 1})
        assert set(shown) in allowed, \
            f"{self.name}: versions {sorted(shown)} are live, not one of {allowed}"
        for number in set(shown) & live:
            assert shown[number]["digest"] == self.versions[number]["digest"]
        for number in sorted(live)[-3:]:
            path = f"{self.model}/versions/{number}"
            answer = api.get(path + "/manifest")
            if number in shown:
                assert "sha256:" + sha256(answer.content) == shown[number]["digest"]

    def check_alias(self, api):
        response = api.get(self.model + "/aliases/prod")
        shown = response.json()["version"] if response.status_code == 200 else None
        allowed = {self.alias}
        if self.alias_pending is not NONE:
            allowed.add(self.alias_pending)
        assert shown in allowed, f"{self.name}: prod names {shown}, not {allowed}"
