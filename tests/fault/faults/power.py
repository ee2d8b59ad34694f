# SPDX-License-Identifier: Apache-2.0
"""Power cuts under load: data folder and PostgreSQL, with fsync, on one ext4 that loses
all it has not been made to keep."""
import shutil
import threading

from .disk_image import disk_image
from .load import Load
from .private import Server

BATCH = 10  # cuts of one file system
MEGABYTES = 3000


def run(run):
    left = run.only or run.pick(50, 1)
    batch = 0
    while left > 0 and not run.is_over():
        batch += 1
        count = min(left, BATCH)
        left -= count
        with disk_image(run, f"power-{batch}", MEGABYTES) as image:
            if image is None:
                return
            one_batch(run, image, f"p{run.seed}-{batch}", count)


def one_batch(run, image, tag, count):
    server = Server(image.mount_point, database_fsync="true")
    # The log is the test's: on the disk that is cut it would be lost with it.
    server.log_file = run.folder / f"{tag}.log"
    load = None
    with run.trial(tag, server):
        try:
            server.start(60)
            load = Load(server, tag, errors=(500,), large=not run.tiny)
            for number in range(count):
                load.go()
                threading.Event().wait(run.random.uniform(0.1, 2.0))
                one_cut(image, server, load)
                run.hit("power cut under load")
                load.check()
                if run.is_over():
                    break
            load.finish()
            server.stop()
            run.say(f"power: {tag}: {load.answers} answers, {load.waits} repeats")
        finally:
            if load is not None:
                load.abandon()
            if server.process is not None and image.is_mounted:
                server.kill_all()
            shutil.rmtree(image.mount_point / "data", ignore_errors=True)


def one_cut(image, server, load):
    # The requests that run fail on the dead disk; none of them may be acknowledged.
    load.gate.clear()
    image.cut_power()
    threading.Event().wait(0.02)
    server.kill_all()
    load.hold()
    image.unmount()
    image.repair()
    image.mount()
    server.start(60)
