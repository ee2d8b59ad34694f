# SPDX-License-Identifier: Apache-2.0
"""Moves between tiers as tests ask for them, and weights that the cold tier encodes."""
import random

from . import safetensors
from .stratad import TIERS, wait_until

ACTIVE = ("queued", "copying", "verifying")
READY = """
    SELECT tier FROM placements WHERE sha256 = decode(%s, 'hex') AND state = 'ready'"""
# Exponents of trained weights lie close together; mantissas are noise.
EXPONENTS = bytes((0x3b, 0xbb, 0x3c, 0xbc, 0x3d, 0xbd, 0x3a, 0xba)[bin(n).count("1") % 8]
                  for n in range(256))


class Died(Exception):
    """The server ended while it was waited for."""


def weights(size, seed=0):
    """A safetensors file of bf16 values, about `size` bytes, the same for the same
    seed; some 30 % smaller when it is encoded."""
    source = random.Random(f"weights {seed}/{size}")
    count = max(size // 2 // 64, 1) * 64
    values = bytearray(2 * count)
    values[0::2] = source.randbytes(count)
    values[1::2] = source.randbytes(count).translate(EXPONENTS)
    return safetensors.make({"w": ("BF16", (count // 64, 64), bytes(values))})


def tiers_of(server, digest):
    """Where ready copies lie, hottest first."""
    found = [tier for (tier,) in server.database.rows(READY, digest)]
    return tuple(sorted(found, key=TIERS.index))


def begin(server, digest, tier):
    """Asks for a move; its id."""
    shown = server.api().post(f"/blobs/{digest}/move", {"tier": tier}, expect=202).json()
    return int(shown["id"])


def show(server, move):
    """From its row: a proxy that counts the server's statements sees nothing of it."""
    ((state, error),) = server.database.rows(
        "SELECT state, error FROM moves WHERE id = %s", move)
    return {"state": state, "error": error}


def wait(server, move, seconds=30):
    """Until it has ended; how it is shown then. Died when the server is gone."""
    def ended():
        if server.process is None or server.process.poll() is not None:
            raise Died
        shown = show(server, move)
        return None if shown["state"] in ACTIVE else shown
    return wait_until(ended, seconds, f"move {move} has ended")


def bring(server, digest, tier):
    """Moves it there; fails unless the move ends `done`."""
    shown = wait(server, begin(server, digest, tier))
    assert shown["state"] == "done", shown
