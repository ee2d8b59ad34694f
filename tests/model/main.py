# SPDX-License-Identifier: Apache-2.0
"""./dev model: random operations by many clients, each answer held to a reference model."""
import argparse
import os
import pathlib
import random
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

from checker.run import Run  # noqa: E402
from support.postgres import Cluster  # noqa: E402
from support.stratad import Stratad  # noqa: E402


def parse():
    parser = argparse.ArgumentParser(prog="./dev model", description=__doc__)
    parser.add_argument("--operations", type=int, default=20_000, metavar="N")
    parser.add_argument("--clients", type=int, default=16, metavar="N")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--faults", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args()


def main():
    arguments = parse()
    folder = pathlib.Path(tempfile.mkdtemp(
        prefix="strata-model-", dir=os.environ.get("STRATA_TEST_DIR") or None)).resolve()
    folder.chmod(0o755)
    print(f"seed {arguments.seed}", flush=True)
    cluster = Cluster()
    try:
        cluster.start()
        server = Stratad(folder / "server", cluster.create(), database_timeout="5s")
        server.folder.mkdir()
        run = Run(server, arguments.seed, operations=arguments.operations,
                  clients=arguments.clients, faults=arguments.faults,
                  say=lambda text: print(text, flush=True))
        try:
            run.go()
        finally:
            print(run.summary(), flush=True)
            server.close()
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if run.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
