# SPDX-License-Identifier: Apache-2.0
"""./dev fault: kills, power cuts, full disks, cut networks, in large counts."""
import argparse
import contextlib
import importlib
import os
import pathlib
import random
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

from faults.run import Run  # noqa: E402
from support.postgres import Cluster  # noqa: E402
from support.s3 import S3Server  # noqa: E402
from support.servers import Servers  # noqa: E402
from support.stratad import Stratad  # noqa: E402

KINDS = ("crash", "kill", "power", "disk", "postgres", "network",
         "moves", "move_kills")


def parse():
    parser = argparse.ArgumentParser(prog="./dev fault", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND",
                        help=f"{', '.join(KINDS)}; all when none is named")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--minutes", type=float, help="at most, for each kind")
    parser.add_argument("--count", type=int,
                        help="kills, cuts or rounds instead of the usual number")
    arguments = parser.parse_args()
    for kind in arguments.kinds:
        if kind not in KINDS:
            parser.error(f"there is no kind {kind}")
    return arguments


@contextlib.contextmanager
def make_s3():
    """Gives `s3()`: the S3 server, which starts at its first use."""
    made = []

    def s3():
        if not made:
            made.append(S3Server())
            made[0].start()
        return made[0]

    try:
        yield s3
    finally:
        for server in made:
            server.stop()


@contextlib.contextmanager
def make_servers(folder):
    """Gives `servers()`: a context with fresh servers of a PostgreSQL of its own."""
    cluster = Cluster()
    try:
        cluster.start()
        template = Stratad(folder / "template", cluster.create())
        try:
            template.start()
        finally:
            template.close()

        @contextlib.contextmanager
        def servers():
            made = Servers(cluster, folder, template)
            try:
                yield made
            finally:
                made.close()

        yield servers
    finally:
        cluster.stop()


def main():
    arguments = parse()
    folder = pathlib.Path(tempfile.mkdtemp(
        prefix="strata-fault-", dir=os.environ.get("STRATA_TEST_DIR") or None)).resolve()
    folder.chmod(0o755)
    print(f"seed {arguments.seed}", flush=True)
    runs = []
    try:
        with make_servers(folder) as servers, make_s3() as s3:
            for kind in arguments.kinds or KINDS:
                runs.append(Run(kind, arguments.seed, folder, servers, s3=s3,
                                minutes=arguments.minutes, only=arguments.count,
                                say=lambda text: print(text, flush=True)))
                with runs[-1].trial(f"the run of {kind}"):
                    importlib.import_module(f"faults.{kind}").run(runs[-1])
                print(runs[-1].summary(), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for run in runs:
        print(run.summary())
    found = sum(len(run.found) for run in runs)
    print("; ".join(f"{run.kind} {run.counts.total()}" for run in runs)
          + f"; skipped {sum(run.skipped.total() for run in runs)}; wrong {found}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
