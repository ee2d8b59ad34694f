# SPDX-License-Identifier: Apache-2.0
"""kill -9 at every named point: each system call that changes the tier, and each
statement to PostgreSQL, before it and after it."""
import contextlib
import shutil

import requests
from support import lives
from support.chain import CHUNK, make_bytes, sha256
from support.consistency import problems
from support.faults import Faults, is_dead
from support.pgproxy import KillingProxy
from support.stratad import wait_until

ON_TIER = (lives.Parts, lives.ChainedParts, lives.SecondCopy, lives.Whole,
           lives.GivenUp)
IN_DATABASE = ON_TIER + (lives.Publish, lives.AliasMove, lives.AliasRemove,
                         lives.VersionDelete, lives.VersionRestore, lives.ModelDelete)
POINTS_MAXIMUM = 90


def run(run):
    rounds = run.only or run.pick(5, 1)
    for number in range(rounds):
        for kind in (tier_points, statement_points, repair_points):
            if not run.is_over():
                kind(run, number)


def live(one, api, server):
    """Runs a life; True when the server survived it."""
    try:
        one.run(api)
    except (requests.RequestException, AssertionError):
        assert is_dead(server), "a call failed and the server lives"
    return server.process is not None and not is_dead(server)


def tier_points(run, number):
    for life in run.pick(ON_TIER, (lives.Parts,)):
        for when in run.pick(("before", "after"), ()):  # ./dev test has its own
            with run.servers() as servers:
                server = servers.make(start=False)
                faults = Faults(run.folder)
                server.environment = faults.environment
                server.start()
                one_tier(run, server, faults, life, when, number)


def one_tier(run, server, faults, life, when, number):
    for point in range(1, POINTS_MAXIMUM):
        name = f"{life.__name__} {when} call {point}"
        with run.trial(name, server) as outcome:
            one = life(f"{number} {run.seed} {name}")
            with faults(f"{when} {point}"):
                survived = live(one, server.api(), server)
            if not survived:
                run.hit(f"{name} {faults.hit()}")
                server.start()
            one.check(server)
            assert problems(server) == []
            if survived:
                return
        if not outcome.fine:
            return


def slowly(text):
    """A statement as a point's name."""
    return " ".join(text.split()[:3])


def statement_points(run, number):
    chosen = run.pick(IN_DATABASE, (lives.Publish,))
    for life in chosen:
        for when in ("before", "after") if not run.tiny else ("after",):
            with run.servers() as servers:
                server = servers.make(start=False)
                with KillingProxy(server.database) as proxy:
                    server.options["database_url"] = proxy.url
                    server.start()
                    one_statement(run, server, proxy, life, when, number)
                    if server.process is not None:
                        server.stop()


def one_statement(run, server, proxy, life, when, number):
    step = run.pick(1, 6)
    for point in range(1, POINTS_MAXIMUM, step):
        name = f"{life.__name__} {when} statement {point}"
        with run.trial(name, server) as outcome:
            one = life(f"{number} {run.seed} {name}")
            api = server.api()
            one.prepare(api)
            proxy.arm(when, point, server.process.kill)
            survived = live(one, api, server)
            proxy.disarm()
            if not survived:
                run.hit(f"{name} {slowly(proxy.struck)}")
                server.start()
            one.check(server)
            assert problems(server) == []
            if survived:
                return
        if not outcome.fine:
            return


# ---- start-up repair ---------------------------------------------------------------


class Leftovers:
    """What kills leave: uploads in every state between two steps, on a stopped server."""

    def __init__(self, server, tag):
        self.server = server
        api = server.api()
        self.data = {name: make_bytes(3000, f"{tag} {name}") for name in
                     ("open", "named", "moved", "body", "second")}
        self.uploads = {}
        for name, data in self.data.items():
            self.uploads[name] = api.begin_upload(data)
            api.put_part(self.uploads[name], data, 0, expect=204)
        self.kept = api.put_blob(make_bytes(CHUNK + 1, f"{tag} kept"))
        api.put_blob(self.data["second"])
        server.stop()
        rows = server.database.rows
        for name in ("named", "moved"):
            rows("UPDATE uploads SET state = 'completing' WHERE id = %s",
                 self.uploads[name]["id"])
        rows("UPDATE uploads SET resumable = false WHERE id = %s",
             self.uploads["body"]["id"])
        self.move("moved")
        rows("UPDATE uploads SET state = 'done' WHERE id = %s",
             self.uploads["second"]["id"])
        self.move("second")

    def move(self, name):
        """As complete does: renamed, while the row says `completing` or more."""
        number = self.server.database.value(
            "SELECT placement_id FROM uploads WHERE id = %s", self.uploads[name]["id"])
        digest = sha256(self.data[name])
        hot = self.server.data / "hot"
        shutil.move(hot / "incoming" / str(number),
                    hot / "sha256" / digest[:2] / f"{digest}.{number}")

    def check(self):
        api = self.server.api()
        assert problems(self.server) == []
        files = self.server.tier_files()
        second = sha256(self.data["second"])
        assert len([path for path in files if second in path]) == 1, files
        for name in ("open", "named", "moved"):
            shown = api.get(f"/uploads/{self.uploads[name]['id']}", expect=200).json()
            assert (shown["state"], shown["received"]) == ("open", [0]), shown
            api.complete(self.uploads[name], expect=201)
        assert api.get(f"/uploads/{self.uploads['body']['id']}").status_code == 404
        for name in ("open", "named", "moved", "second"):
            digest = sha256(self.data[name])
            assert api.get(f"/blobs/{digest}", expect=200).content == self.data[name]
        assert sha256(api.get(f"/blobs/{self.kept}", expect=200).content) == self.kept
        assert problems(self.server) == []


def survives_start(server):
    server.spawn()
    server._apis.clear()

    def settled():
        if server.process.poll() is not None:
            return True
        with contextlib.suppress(AssertionError):
            return server._is_ready()

    wait_until(settled, 30, "it is ready, or dead")
    if server.process.poll() is None:
        return True
    assert server.process.returncode == -9, server.log()[-4000:]
    server.process = None
    return False


def repair_points(run, number):
    for when in run.pick(("before", "after"), ("after",)):
        with run.servers() as servers:
            server = servers.make(start=False)
            faults = Faults(run.folder)
            server.environment = faults.environment
            repair_calls(run, server, faults, when, number)
        with run.servers() as servers:
            server = servers.make(start=False)
            with KillingProxy(server.database) as proxy:
                server.options["database_url"] = proxy.url
                repair_statements(run, server, proxy, when, number)
                if server.process is not None:
                    server.stop()


def repair_calls(run, server, faults, when, number):
    for point in range(1, POINTS_MAXIMUM, run.pick(1, 9)):
        name = f"repair {when} call {point}"
        survived = True
        with run.trial(name, server) as outcome:
            if server.process is None:
                server.start()
            left = Leftovers(server, f"{number} {run.seed} {name}")
            with faults(f"{when} {point}"):
                survived = survives_start(server)
            if not survived:
                run.hit(f"{name} {faults.hit()}")
                server.start()
            left.check()
        if survived or not outcome.fine:
            return


def repair_statements(run, server, proxy, when, number):
    for point in range(1, POINTS_MAXIMUM, run.pick(1, 9)):
        name = f"repair {when} statement {point}"
        survived = True
        with run.trial(name, server) as outcome:
            if server.process is None:
                server.start()
            left = Leftovers(server, f"{number} {run.seed} {name}")
            # The process is made after this: kill() is asked for at the strike.
            proxy.arm(when, point, lambda: server.process.kill())
            survived = survives_start(server)
            proxy.disarm()
            if not survived:
                run.hit(f"{name} {slowly(proxy.struck)}")
                server.start()
            left.check()
        if survived or not outcome.fine:
            return
