# SPDX-License-Identifier: Apache-2.0
"""The chain of a blob as bytes come: SHA-256's chaining values at the 4 MiB borders.

They are read out of libcrypto's SHA256_CTX, whose eight state words come first.
"""
import ctypes
import ctypes.util

CHUNK = 4 << 20


class _Context(ctypes.Structure):
    _fields_ = [("h", ctypes.c_uint32 * 8), ("rest", ctypes.c_uint32 * 20)]


_crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
_crypto.SHA256_Init.argtypes = [ctypes.POINTER(_Context)]
_crypto.SHA256_Update.argtypes = [
    ctypes.POINTER(_Context), ctypes.c_char_p, ctypes.c_size_t]
_crypto.SHA256_Final.argtypes = [ctypes.c_char_p, ctypes.POINTER(_Context)]


class Chain:
    """Takes chunks of 4 MiB, the last one shorter."""

    def __init__(self):
        self._context = _Context()
        _crypto.SHA256_Init(ctypes.byref(self._context))
        self._states = []

    def add(self, chunk):
        _crypto.SHA256_Update(ctypes.byref(self._context), chunk, len(chunk))
        self._states.append("".join(f"{word:08x}" for word in self._context.h))

    def states(self):
        """The values, the digest last; nothing can be added afterwards."""
        digest = ctypes.create_string_buffer(32)
        _crypto.SHA256_Final(digest, ctypes.byref(self._context))
        return self._states[:-1] + [digest.raw.hex()]
