# SPDX-License-Identifier: Apache-2.0
"""Safetensors files, written from the format's description."""
import json
import struct

PREFIX = 8


def pack(header, data=b"", size=None):
    """A file of this header (an object, or its bytes) and data; `size` is what it says
    of the header's size."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def make(tensors, metadata=None):
    """A file of {name: (dtype, shape, bytes)}, in this order."""
    header = {} if metadata is None else {"__metadata__": metadata}
    at = 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = entry(dtype, shape, at, at + len(data))
        at += len(data)
    return pack(header, b"".join(data for _, _, data in tensors.values()))


def read(data):
    """[(name, dtype, shape, offset, length)] by offset; offset within the file."""
    size, = struct.unpack("<Q", data[:PREFIX])
    header = json.loads(data[PREFIX:PREFIX + size])
    header.pop("__metadata__", None)
    found = []
    for name, tensor in header.items():
        begin, end = tensor["data_offsets"]
        found.append((name, tensor["dtype"], tensor["shape"], PREFIX + size + begin,
                      end - begin))
    return sorted(found, key=lambda tensor: (tensor[3], tensor[4], tensor[0]))
