# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments under the load of eight clients."""
import threading

from .load import Load

BATCH = 15  # kills of one server


def run(run):
    left = run.only or run.pick(300, 2)
    batch = 0
    while left > 0 and not run.is_over():
        batch += 1
        count = min(left, BATCH)
        left -= count
        with run.servers() as servers:
            server = servers.make()
            with run.trial(f"batch {batch}", server) as outcome:
                one_batch(run, server, f"k{run.seed}-{batch}", count)
            server.is_damaged = not outcome.fine


def one_batch(run, server, tag, count):
    load = Load(server, tag, large=not run.tiny)
    try:
        for number in range(count):
            load.go()
            threading.Event().wait(run.random.uniform(0.05, 1.2))
            server.kill()
            load.hold()
            run.hit("under load")
            if run.random.random() < 0.25:
                server.spawn()
                threading.Event().wait(run.random.uniform(0, 0.25))
                server.kill()
                run.hit("at the start")
            server.start()
            load.check()
            if run.is_over():
                break
        load.finish()
    except BaseException:
        load.abandon()
        raise
    run.say(f"kill: {tag}: {load.answers} answers, {load.waits} repeats")
