# SPDX-License-Identifier: Apache-2.0
"""./dev soak in small, with a fixed seed (tests/fault/faults/soak.py)."""
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parents[1] / "fault"))
from faults.soak import OPTIONS, Soak  # noqa: E402

SECONDS = 30


def test_soak(make_server, bucket):
    server = make_server(start=False, **OPTIONS, **bucket.options())
    server.bucket = bucket
    soak = Soak(server.start(), 1)
    try:
        soak.run(SECONDS)
        soak.check()
    finally:
        print(soak.totals(), soak.left())
