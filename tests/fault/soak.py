# SPDX-License-Identifier: Apache-2.0
"""./dev soak: readers, publishers, moves, pins, deletions, GC, scrub and kill -9, all at
once, for a long time."""
import argparse
import os
import pathlib
import random
import shutil
import sys
import tempfile

from main import make_s3, make_servers

from faults.soak import OPTIONS, READERS, Soak


def parse():
    parser = argparse.ArgumentParser(prog="./dev soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--readers", type=int, default=READERS)
    parser.add_argument("--no-kills", action="store_true", help="the server is let alone")
    parser.add_argument("--no-bucket", action="store_true",
                        help="the cold tier is a folder instead of a bucket")
    return parser.parse_args()


def say(text):
    print(text, flush=True)


def soak(arguments, servers, s3):
    with servers() as made:
        bucket = None if arguments.no_bucket else s3().bucket()
        options = {} if bucket is None else bucket.options()
        server = made.make(start=False, **OPTIONS, **options)
        server.bucket = bucket
        run = Soak(server.start(), arguments.seed, arguments.readers)
        try:
            run.run(arguments.minutes * 60, kills=not arguments.no_kills, say=say)
            run.check()
        except AssertionError as error:
            server.is_damaged = True
            say(f"{server.log()[-20000:]}\nWRONG (seed {arguments.seed}): {error}")
            return False
        finally:
            say(f"{run.totals()}; left: {run.left()}")
        return True


def main():
    arguments = parse()
    folder = pathlib.Path(tempfile.mkdtemp(
        prefix="strata-soak-", dir=os.environ.get("STRATA_TEST_DIR") or None)).resolve()
    folder.chmod(0o755)
    say(f"seed {arguments.seed}")
    try:
        with make_servers(folder) as servers, make_s3() as s3:
            fine = soak(arguments, servers, s3)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say("every live version is complete, nothing else is left" if fine else "WRONG")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
