# SPDX-License-Identifier: Apache-2.0
"""kill -9 in moves between tiers: at each system call on a tier, each statement and each
request to a bucket, before and after it. And each call on a tier fails once. At random
moments under load: move_kills.py."""
import errno

import requests
from support import moves
from support.chain import sha256
from support.consistency import problems, settle
from support.faults import Faults
from support.pgproxy import KillingProxy
from support.s3proxy import KillingS3Proxy
from support.stratad import TIERS

POINTS_MAXIMUM = 90
SIZE = 300_000
LARGE = 21 << 20  # more than one part of an upload to the bucket
OPTIONS = {"cold_delete_after": "1s", "policy_interval": "1h"}


class Life:
    """One move, from the copies that there are to the target."""

    def __init__(self, tag, start, target, size):
        self.start = start
        self.target = target
        self.data = moves.weights(size, tag)
        self.digest = sha256(self.data)
        self.move = None

    def prepare(self, server):
        server.api().put_blob(self.data)
        for tier in self.start:
            moves.bring(server, self.digest, tier)
        settle(server)
        assert moves.tiers_of(server, self.digest) == self.tiers_before()

    def tiers_before(self):
        return tuple(sorted(self.start, key=TIERS.index))

    def tiers_after(self):
        """A demotion drops what is above the target, a promotion keeps what is below."""
        below = [tier for tier in self.start
                 if TIERS.index(tier) > TIERS.index(self.target)]
        return (self.target, *below)

    def run(self, server):
        self.move = moves.begin(server, self.digest, self.target)
        moves.wait(server, self.move)

    def check(self, server):
        """The move goes on by itself; one that was not acknowledged is asked for again."""
        if self.move is None:
            self.move = moves.begin(server, self.digest, self.target)
        shown = moves.wait(server, self.move)
        assert shown == {"state": "done", "error": ""}, shown
        settle(server)
        found = moves.tiers_of(server, self.digest)
        assert found == self.tiers_after(), found
        shown = server.api().get(f"/blobs/{self.digest}", expect=200)
        assert shown.content == self.data
        assert problems(server) == []


class Direction:
    def __init__(self, *start, to):
        self.start = start
        self.to = to
        self.name = f"{'+'.join(start)}->{to}"

    def life(self, tag, size=SIZE):
        return Life(f"{self.name} {tag}", self.start, self.to, size)


# `cold` first makes a cold copy, and what is after it is a promotion, which keeps it.
DIRECTIONS = (
    Direction("hot", to="warm"), Direction("warm", to="cold"),
    Direction("hot", to="cold"), Direction("cold", to="hot"),
    Direction("warm", to="hot"), Direction("cold", to="warm"),
    Direction("cold", "hot", to="cold"), Direction("cold", "hot", to="warm"),
)


COLD = tuple(d for d in DIRECTIONS if d.to == "cold" or d.start[0] == "cold")


def run(run):
    for number in range(run.only or run.pick(5, 1)):
        for kind in (call_points, statement_points, request_points):
            if not run.is_over():
                kind(run, number)
    failing_calls(run)


def live(one, server):
    """Runs the move; True when the server survived it."""
    try:
        one.run(server)
    except (requests.RequestException, moves.Died):
        await_end(server)
        return False
    return True


def await_end(server):
    """Of one that has been struck; it can be started then."""
    server.process.wait(10)
    assert server.process.returncode == -9, server.log()[-4000:]
    server.process = None


def points(run, name, server, life, armed, step=None):
    """One point after the other, until the move passes without being struck. `armed(n)`
    is a context that strikes at the nth and gives a function that says where."""
    for point in range(1, POINTS_MAXIMUM, step or run.pick(1, 7)):
        if run.is_over():
            return
        with run.trial(f"{name} {point}", server) as outcome:
            one = life(f"{run.seed} {name} {point}")
            one.prepare(server)
            with armed(point) as struck:
                survived = live(one, server)
            # The move may have ended a moment before the strike.
            if survived and struck() is not None:
                await_end(server)
                survived = False
            if not survived:
                run.hit(f"{name} {point} {struck()}")
                server.start()
            one.check(server)
            if survived:
                return
        if not outcome.fine:
            return


def chosen(run, number):
    """All directions; in ./dev test two of them."""
    return run.pick(DIRECTIONS, (DIRECTIONS[2], DIRECTIONS[3]))


def call_points(run, number):
    for direction in chosen(run, number):
        for when in run.pick(("before", "after"), ("before",)):
            with run.servers() as servers:
                server = servers.make(start=False, **OPTIONS)
                faults = Faults(run.folder)
                server.environment = faults.environment
                server.start()
                points(run, f"{number} {direction.name} {when} call", server,
                       direction.life, CallPoint(faults, when))


class CallPoint:
    def __init__(self, faults, when):
        self.faults = faults
        self.when = when

    def __call__(self, point):
        self.faults(f"{self.when} {point}")
        return self

    def __enter__(self):
        self.faults.__enter__()
        return self.faults.hit

    def __exit__(self, *_):
        self.faults.__exit__()


def statement_points(run, number):
    for direction in chosen(run, number):
        for when in run.pick(("before", "after"), ("after",)):
            with run.servers() as servers:
                server = servers.make(start=False, **OPTIONS)
                with KillingProxy(server.database) as proxy:
                    server.options["database_url"] = proxy.url
                    server.start()
                    points(run, f"{number} {direction.name} {when} statement", server,
                           direction.life, StatementPoint(proxy, when, server))
                    if server.process is not None:
                        server.stop()


class StatementPoint:
    def __init__(self, proxy, when, server):
        self.proxy = proxy
        self.when = when
        self.server = server
        self.point = None

    def __call__(self, point):
        self.point = point
        return self

    def __enter__(self):
        self.proxy.arm(self.when, self.point, self.server.process.kill)
        return lambda: self.proxy.struck and " ".join(self.proxy.struck.split()[:3])

    def __exit__(self, *_):
        self.proxy.disarm()


# ---- the bucket ----------------------------------------------------------------------


def request_points(run, number):
    for direction in run.pick(COLD, COLD[1:2]):
        for when in run.pick(("before", "after"), ("after",)):
            with run.servers() as servers, KillingS3Proxy(run.s3()) as proxy:
                server = with_bucket(run, servers, proxy.endpoint).start()
                points(run, f"{number} bucket {direction.name} {when} request", server,
                       direction.life, RequestPoint(proxy, when, server), run.pick(1, 2))
    if not run.tiny:
        large_requests(run, number)


def large_requests(run, number):
    """A copy that goes in parts."""
    direction = COLD[1]
    with run.servers() as servers, KillingS3Proxy(run.s3()) as proxy:
        server = with_bucket(run, servers, proxy.endpoint).start()
        points(run, f"{number} bucket {direction.name} in parts, request", server,
               lambda tag: direction.life(tag, LARGE),
               RequestPoint(proxy, "after" if number % 2 else "before", server))


def with_bucket(run, servers, endpoint=None, **options):
    """A server whose cold tier is a fresh bucket; not started."""
    bucket = run.s3().bucket()
    server = servers.make(start=False, **{**OPTIONS, **options},
                          **bucket.options(endpoint))
    server.bucket = bucket
    return server


class RequestPoint(StatementPoint):
    def __enter__(self):
        self.proxy.arm(self.when, self.point, self.server.process.kill)
        return lambda: self.proxy.struck and self.proxy.struck.partition("?")[0][:60]


# ---- calls that fail --------------------------------------------------------------------

CALLS = ("openat", "pwrite", "write", "fchmod", "fsync", "renameat", "renameat2", "pread",
         "unlinkat")
ERRORS = (errno.EIO, errno.ENOSPC, errno.EROFS)


def failing_calls(run):
    """The server lives on, the next attempt ends the move, and nothing half is left."""
    for code in run.pick(ERRORS, ERRORS[:1]):
        for direction in run.pick(DIRECTIONS, DIRECTIONS[2:3]):
            with run.servers() as servers:
                server = servers.make(start=False, **OPTIONS)
                faults = Faults(run.folder)
                server.environment = faults.environment
                server.start()
                for call in run.pick(CALLS, CALLS[1:5]):
                    failing_call(run, server, faults, direction, call, code)


def failing_call(run, server, faults, direction, call, code):
    for number in range(1, run.pick(12, 2)):
        if run.is_over():
            return
        name = f"{direction.name} {call} {number} {errno.errorcode[code]}"
        with run.trial(name, server) as outcome:
            one = direction.life(f"{run.seed} {name}")
            one.prepare(server)
            with faults(f"fail {call} {number} {code}"):
                one.run(server)
                hit = faults.hit() is not None
            if hit:
                run.hit(name)
            one.check(server)
        if not outcome.fine or not hit:
            return
