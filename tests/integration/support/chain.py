# SPDX-License-Identifier: Apache-2.0
"""The chain of a blob, computed apart from Strata's own code.

The chaining values are read out of libcrypto's SHA256_CTX, whose layout is public in
<openssl/sha.h>: eight state words come first.
"""
import ctypes
import ctypes.util
import hashlib
import random

CHUNK = 4 << 20


class _Context(ctypes.Structure):
    _fields_ = [
        ("h", ctypes.c_uint32 * 8),
        ("nl", ctypes.c_uint32),
        ("nh", ctypes.c_uint32),
        ("data", ctypes.c_uint32 * 16),
        ("num", ctypes.c_uint),
        ("md_len", ctypes.c_uint),
    ]


_crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
_crypto.SHA256_Init.argtypes = [ctypes.POINTER(_Context)]
_crypto.SHA256_Update.argtypes = [
    ctypes.POINTER(_Context), ctypes.c_char_p, ctypes.c_size_t]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def chain_of(data):
    """The values at the 4 MiB borders inside `data`, the digest last, as hex."""
    context = _Context()
    _crypto.SHA256_Init(ctypes.byref(context))
    states = []
    for start in range(0, max(len(data) - CHUNK, 0), CHUNK):
        piece = bytes(data[start:start + CHUNK])
        _crypto.SHA256_Update(ctypes.byref(context), piece, len(piece))
        states.append("".join(f"{word:08x}" for word in context.h))
    return states + [sha256(data)]


def part_states(data, part_size, number):
    """What part `number` brings of the chain (`Strata-Chain`)."""
    first = number * part_size // CHUNK
    return chain_of(data)[max(first - 1, 0):first + part_size // CHUNK]


def chain_root(states):
    """What a manifest names: SHA-256 of the raw values one after the other."""
    return sha256(bytes.fromhex("".join(states)))


def make_bytes(size, seed=0):
    """`size` bytes that are the same for the same seed."""
    return random.Random(f"{seed}/{size}").randbytes(size)


def big_bytes(seed, size):
    """`size` bytes that are cheap to make and differ in every chunk."""
    block = make_bytes((1 << 20) + 1, seed)
    return (block * (size // len(block) + 1))[:size]
