# SPDX-License-Identifier: Apache-2.0
"""A family: three models of one namespace, their blobs and uploads, and the clients
that work on them all at once. What they ask and are told is the history that is
checked."""
import collections
import hashlib
import json
import random
import threading
import time

from .byte_operations import LARGE_PART, ByteMaker, Sent, sha256_of
from .bytes import IN_STEPS
from .footprints import meet, set_footprint
from .linear import Linear, Undecided, Wrong
from .operations import WEIGHTS
from .state import State
from .wire import Lost, NotSent, Wire

# Their effect cannot be seen when the answer is lost: nobody knows the id.
UNSEEN = {"begin_upload", "create_token"}
LARGE_HASH = hashlib.sha256(LARGE_PART)


class Family:
    models = ("m0", "m1", "thin")
    large = LARGE_HASH
    weights = (list(WEIGHTS), list(WEIGHTS.values()))

    def __init__(self, world, tag, clients):
        self.world = world
        self.space = f"f-{tag}"
        self.random = random.Random(tag)
        self.linear = Linear(State())
        self.blobs, self.sizes, self.order = {}, {}, []
        self.last, self.digests = {}, {}
        self.etags = {}
        self.keys = collections.deque(maxlen=12)
        self.recent_publishes = collections.deque(maxlen=4)
        self.uploads = collections.deque(maxlen=8)
        self.all_uploads = []
        self.tokens = collections.deque(maxlen=4)
        self.times = collections.deque(maxlen=40)
        self.operations = 0
        self.wrong = None
        self.is_over = False
        self.rounds = 0
        self.clients = [Client(self, f"{tag}-{n}", world.principals[n % 2])
                        for n in range(clients)]

    def pick_blob(self, random_, fresh=0.08):
        """A digest of the family's, one that was never sent with chance `fresh`."""
        if not self.order or random_.random() < fresh:
            size = random_.choice((0, 1, 30, 700, 3000, 20_000))
            # The empty blob would be every family's.
            data = self.space.encode() + random_.randbytes(size or 8)
            sha256 = sha256_of(data)
            self.blobs[sha256] = data
            self.sizes[sha256] = len(data)
            self.order.append(sha256)
            return sha256
        return random_.choice(self.order[-12:])

    # ---- a round ---------------------------------------------------------------

    def run(self, until):
        self.threads = [threading.Thread(target=client.run, args=(until,), daemon=True)
                        for client in self.clients]
        for thread in self.threads:
            thread.start()

    def join(self):
        for thread in self.threads:
            thread.join()
        for client in self.clients:
            if client.error is not None:
                raise client.error

    def check(self, restarts, now):
        """Takes what the clients have done since the last check through the model,
        reads at rest included; `now`: when the last request of a round was over. True
        when it can be explained."""
        done = [op for client in self.clients for op in client.take()]
        self.mark_rivals(done)
        standing = [m for m in self.models[:2] if all(
            c.state.get(("m", m)) for c in self.linear.configurations)]
        for op in done:
            set_footprint(op, standing)
        events = []
        for op in done:
            events.append((op.invoke, 0, "invoke", op))
            if op.status is not None:
                events.append((op.answer, 1, "answer", op))
        open_ = [op for op in done if op.status is None]
        for killed, ready in [*restarts, (now, now)]:
            ended = [op for op in open_ if op.invoke < killed]
            open_ = [op for op in open_ if op.invoke >= killed]
            events.append((ready, 0.5, "restart", ended))
            settle(ended, ready)
            events += [(op.settled, 0.5, "settled", op) for op in ended
                       if op.kind in IN_STEPS]
        events.append((time.monotonic_ns(), 2, "rest", None))
        events.sort(key=lambda event: event[:2])
        self.operations += sum(op.status is not None for op in done)
        try:
            self.linear.run(events)
        except Undecided:
            self.world.count("histories too long to decide")
            self.is_over = True
            return False
        except Wrong as wrong:
            self.explain(wrong.args[0], events)
            return False
        return True

    @staticmethod
    def mark_rivals(done):
        """Attempts at one part at the same time: the older ones may be fenced off."""
        parts = collections.defaultdict(list)
        for op in done:
            if op.kind == "put_part":
                parts[op.args["id"], op.args["number"]].append(op)
        for attempts in parts.values():
            for one in attempts:
                one.rival = any(
                    other is not one and other.invoke < (one.answer or one.settled or 0)
                    and (other.answer or float("inf")) > one.invoke
                    for other in attempts)

    def explain(self, op, events):
        """What a person needs to see why no order explains the answer."""
        near = [e[3] for e in events if e[2] == "invoke" and e[0] <= op.answer
                and meet(e[3].reads | e[3].writes, op.reads | op.writes)]
        states = []
        names = {n[1] for n in op.reads | op.writes if isinstance(n, tuple) and n[1:]}
        for c in self.linear.configurations[:3]:
            shown = {k: r for k, r in c.state.entries.items() if k[1] in names}
            latest = dict(list(shown.items())[-40:])
            states.append(f"{latest} open {c.open}")
        self.wrong = (
            f"{self.space}: no order explains the answer of\n  {op!r}\n"
            + "\n".join(f"  before {(op.answer - one.invoke) / 1e6:8.2f} to "
                        f"{(op.answer - (one.answer or op.answer)) / 1e6:8.2f} ms "
                        f"{one!r}"
                        for one in near[-14:])
            + "\nstates possible before:\n" + "\n".join(states))

    @property
    def state(self):
        return self.linear.configurations[0].state


def settle(operations, at):
    for op in operations:
        if op.settled is None:
            op.settled = at


class Client:
    """One thread with one connection and one principal."""

    def __init__(self, family, name, who):
        self.family = family
        self.world = family.world
        self.random = random.Random(name)
        self.maker = ByteMaker(family, self.random, who)
        self.token = self.world.tokens[who]
        self.wire = Wire(self.world.address)
        self.done = []
        self.error = None
        self.again = None

    def take(self):
        done, self.done = self.done, []
        return done

    def run(self, until):
        try:
            while time.monotonic() < until:
                again, self.again = self.again, None
                request = again() if again else self.maker.make()
                self.send(request)
        except Exception as error:  # the run ends with it
            self.error = error

    def cut(self):
        if not self.world.cuts or self.random.random() > 0.004:
            return None
        return self.random.choice(("half", "deaf"))

    def send(self, request, cut=...):
        """Sends it and notes what came of it; the answer, or None."""
        op = request.operation
        cut = self.cut() if cut is ... else cut
        op.invoke = time.monotonic_ns()
        try:
            answer = self.wire.ask(self.world.epoch(), request.method, request.path,
                                   request.token or self.token, request.body,
                                   request.headers, cut)
        except NotSent:
            time.sleep(0.02)
            return None
        except Lost:
            self.world.count(f"cut {cut}" if cut else "connection lost")
            if cut != "half":
                self.unknown(op, settled=None)
            return None
        op.answer = op.settled = time.monotonic_ns()
        self.take_answer(request, answer)
        return answer

    def unknown(self, op, settled):
        """It may have happened, or still will."""
        if op.kind in UNSEEN or not op.writes:
            return
        op.answer, op.settled = None, settled
        self.done.append(op)
        if op.kind == "publish" and op.args["key"] and self.random.random() < 0.7:
            model, body = op.args["model"], json.loads(op.args["request"])
            parents = op.args["parents"]
            self.again = lambda: self.maker.publish_body(model, body, parents)

    def take_answer(self, request, answer):
        op, status = request.operation, answer.status
        kind = answer.headers.get("content-type", "")
        is_json = kind.startswith(("application/json", "application/problem+json"))
        body = answer.content
        if is_json:
            body = json.loads(body)
        if status >= 500:
            self.refused(op, status, body)
            return
        op.status, op.etag = status, answer.headers.get("etag")
        self.world.hold_to_contract(request, answer)
        if op.kind == "list_models" and body["next_page_token"]:
            return  # too many for one page
        op.body = self.look(op, request, answer, body)
        self.done.append(op)
        self.remember(op)

    def refused(self, op, status, body):
        """A fault, told: nothing has happened, or nobody knows."""
        slug = body["type"].rpartition(":")[2]
        self.world.count(f"{status} {slug}")
        if (status, slug) not in self.world.refusals():
            raise AssertionError(f"{op!r}: {status} {body}")
        time.sleep(0.01)
        if slug == "outcome-unknown" or op.kind in IN_STEPS:
            self.unknown(op, settled=time.monotonic_ns())

    def look(self, op, request, answer, body):
        """What can be said of an answer without any state; the part that is checked."""
        if op.kind == "list_models" and op.status == 200:
            space = self.family.space + "/"
            return [one for one in body["models"] if one["model"].startswith(space)]
        if op.kind in ("get_file", "get_blob") and op.status in (200, 206):
            self.look_at_bytes(op, request, answer)
        if op.kind == "get_manifest" and op.status == 200:
            digest = sha256_of(answer.content)
            assert op.etag == f'"{digest}"', f"{op!r}: the manifest hashes to {digest}"
            op.args["seen_digest"] = "sha256:" + digest
            for file in body["files"]:
                root = sha256_of(bytes.fromhex(file["sha256"]))
                assert file["chain_root"] == root, f"{op!r}: chain_root of {file}"
        return body

    def look_at_bytes(self, op, request, answer):
        sha256 = op.etag.strip('"')
        expected = self.family.blobs[sha256]
        if op.status == 206:
            expected = expected[1:41]
            assert request.headers, f"{op!r}: a range that nobody asked for"
        assert answer.content == expected, f"{op!r}: other bytes"
        if op.kind == "get_blob":
            assert sha256 == op.args["sha256"], f"{op!r}: another blob"

    def remember(self, op):
        """Hints for all clients of the family."""
        family, args = self.family, op.args
        if op.kind == "publish" and op.status in (200, 201):
            model, number = args["model"], op.body["version"]
            family.last[model] = max(family.last.get(model, 0), number)
            family.digests[model, number] = op.body["digest"]
        elif op.kind in ("set_alias", "get_alias") and op.status in (200, 201):
            key = args["model"], args["alias"]
            family.etags.setdefault(key, collections.deque(maxlen=4)).append(op.etag)
            family.times.append((*key, op.body["set_at"]))
        elif op.kind == "begin_upload" and op.status == 201:
            sent = Sent(op.body["id"], op.who, args["parts"], args["sha256"])
            family.uploads.append(sent)
            family.all_uploads.append(sent)
        elif op.kind == "create_token" and op.status == 201:
            family.tokens.append((op.body["id"], op.body["token"], op.who))
        elif op.kind in ("patch_version", "yank", "evaluate") and op.status in (200, 201):
            number = op.body.get("version", op.args["ref"][-1])
            if isinstance(number, int) and self.random.random() < 0.5:
                self.again = lambda: self.maker.get_again(args["model"], number)
        elif op.kind in ("list_versions", "list_history") and op.status == 200:
            self.turn_page(op)

    def turn_page(self, op):
        token = op.body["next_page_token"]
        if token is None or self.random.random() < 0.5:
            return
        limit, model = op.args["limit"], op.args["model"]
        if op.kind == "list_versions":
            before = op.body["versions"][-1]["version"]
            self.again = lambda: self.maker.list_versions(before, token, limit, model)
            return
        last = op.body["history"][-1]
        after = (last["version"], last["set_at"])
        name = op.args["alias"]
        self.again = lambda: self.maker.list_history(model, name, limit, after, token)
