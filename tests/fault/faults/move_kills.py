# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments while moves run by themselves and by hand, under clients that
upload, publish, move, read and delete; every other batch with a bucket."""
import threading

from .load import Load
from .moves import with_bucket

BATCH = 50  # kills of one data folder
OPTIONS = {"cold_delete_after": "1s", "policy_interval": "200ms"}


def run(run):
    left = run.only or run.pick(300, 2)
    batch = 0
    while left > 0 and not run.is_over():
        batch += 1
        count = min(left, run.pick(BATCH, 1))
        left -= count
        with run.servers() as servers:
            server = (with_bucket(run, servers, **OPTIONS) if batch % 2 == 0
                      else servers.make(start=False, **OPTIONS))
            with run.trial(f"kills, batch {batch}", server) as outcome:
                kill_batch(run, server.start(), f"m{run.seed}-{batch}", count)
            server.is_damaged = not outcome.fine


def kill_batch(run, server, tag, count):
    kind = "a bucket" if server.bucket is not None else "folders"
    load = Load(server, tag, large=not run.tiny, moves=True)
    try:
        for number in range(count):
            load.go()
            threading.Event().wait(run.random.uniform(0.05, 1.2))
            server.kill()
            load.hold()
            run.hit(f"under load, {kind}")
            server.start()
            load.check()
            if run.is_over():
                break
        load.finish()
        run.say(f"moves: {tag}: {load.answers} answers, {load.moved()} moves")
    except BaseException:
        load.abandon()
        raise
