# SPDX-License-Identifier: Apache-2.0
"""The faults of a run. Each strikes while all clients work; `heal` makes the server
whole again before they rest."""
import time

from support.faults import Faults
from support.pgproxy import PgProxy
from support.stratad import sanitized, wait_until

# (call, how many of it until one fails)
CALLS = (("fsync", 6), ("fdatasync", 6), ("renameat", 4), ("renameat2", 4),
         ("pwrite", 8), ("pwrite64", 8), ("openat", 8), ("fchmod", 4), ("unlinkat", 4),
         ("sendfile", 9), ("ftruncate", 8))
ERRORS = ((5, "EIO"), (28, "ENOSPC"))


class Strikes:
    """Over one server. `restarts`: (killed, ready) in nanoseconds, of this round."""

    def __init__(self, server, random, epoch, count):
        self.server = server
        self.random = random
        self.epoch = epoch
        self.count = count
        self.restarts = []
        self.proxy = None
        self.plans = None
        self.is_disk_bad = False
        if not sanitized():
            self.plans = Faults(server.folder)
            server.environment = self.plans.environment

    def close(self):
        if self.proxy is not None:
            self.proxy.__exit__()

    def start(self):
        """Starts the server, half the time with PostgreSQL behind the proxy that loses
        answers."""
        if self.proxy is None:
            self.proxy = PgProxy(self.server.database).__enter__()
        self.is_proxied = self.random.random() < 0.5
        self.server.options.pop("database_url", None)
        if self.is_proxied:
            self.server.options["database_url"] = self.proxy.url
        self.server.start(60)

    def choose(self):
        """The faults of one round."""
        kinds = [self.kill] * 3 + [self.kill_session] * 3 + [self.lose_commits] * 5
        kinds += [self.restart_postgres]
        if self.plans is not None:
            kinds += [self.fail_calls] * 4
        return self.random.sample(kinds, self.random.choice((1, 2, 2, 3)))

    # ---- kinds -----------------------------------------------------------------

    def kill(self):
        """kill -9 of stratad; now and then once more while it starts."""
        killed = time.monotonic_ns()
        self.server.kill()
        self.epoch.value += 1
        self.server.keep_port()
        if self.random.random() < 0.2:
            self.server.spawn()
            time.sleep(self.random.uniform(0, 0.2))
            self.server.kill()
            self.count("kill -9 while it starts")
        self.start()
        self.epoch.value += 1
        self.restarts.append((killed, time.monotonic_ns()))
        self.count("kill -9")

    def kill_session(self):
        """Some of the server's sessions, or all."""
        some = self.random.choice(("", " AND random() < 0.4"))
        self.server.database.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <>"
            " pg_backend_pid() AND datname = current_database()" + some)
        self.count("PostgreSQL sessions killed")

    def lose_commits(self):
        """The answers of the next COMMITs."""
        if not self.is_proxied:
            self.kill_session()
            return
        before = self.proxy.lost
        reaches = self.random.random() < 0.5
        self.proxy.lose_next_commit(reaches_server=reaches,
                                    count=self.random.choice((1, 1, 2, 4)))
        deadline = time.monotonic() + 1
        while self.proxy.lose_commits and time.monotonic() < deadline:
            time.sleep(0.01)
        self.proxy.lose_next_commit(reaches_server=True, count=0)
        how = "after it happened" if reaches else "before it happened"
        self.count(f"COMMIT lost {how}", self.proxy.lost - before)

    def restart_postgres(self):
        """At once: its sessions are cut; it recovers from its log."""
        mode = self.random.choice(("fast", "immediate"))
        self.server.database.disconnect()
        self.server.database.cluster.restart(mode)
        self.count(f"PostgreSQL restarted, {mode}")

    def fail_calls(self):
        """One system call on the tier."""
        name, most = self.random.choice(CALLS)
        code, error = self.random.choice(ERRORS)
        number = self.random.randint(1, most)
        with self.plans(f"fail {name} {number} {code}"):
            deadline = time.monotonic() + 0.7
            while self.plans.hit() is None and time.monotonic() < deadline:
                time.sleep(0.01)
        if self.plans.hit():
            self.count(f"{name} {error}")

    # ---- rest ------------------------------------------------------------------

    def heal(self):
        """Waits until the server is ready and no request runs; its restarts."""
        wait_until(self._is_idle, 60, "the server is idle")
        restarts, self.restarts = self.restarts, []
        return restarts

    def _is_idle(self):
        if self.server.process.poll() is not None:
            raise AssertionError(
                f"stratad ended with {self.server.process.returncode}:\n"
                f"{self.server.log()[-4000:]}")
        answer = self.server.api().get("//metrics", check=False)
        if answer.status_code != 200:
            return False
        active = next(line for line in answer.text.splitlines()
                      if line.startswith("strata_http_requests_active "))
        return float(active.split()[1]) <= 1 and self.server.database.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND state NOT IN ('idle', 'disabled')") == 0


