# SPDX-License-Identifier: Apache-2.0
"""The cold encoding, written from docs/COLD-FORMAT.md alone and with the zstd command:
what checks Strata's own code, and what made tests/unit/golden.

usage: cold_format.py FOLDER    (writes the golden files)
"""
import hashlib
import pathlib
import struct
import subprocess
import sys

if __package__:
    from .chain import CHUNK, chain_of
else:
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    from chain import CHUNK, chain_of

DESCRIPTION, REGIONS, SEEK_TABLE = 0x184D2A53, 0x184D2A54, 0x184D2A5E
NO_BYTES = 0x51D8E999
WIDTHS = (1, 2, 4, 8)


class Malformed(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Malformed(what)


def zstd(*options, data):
    done = subprocess.run(["zstd", "-q", "-c", *options], input=data, capture_output=True)
    need(done.returncode == 0, done.stderr.decode(errors="replace"))
    return done.stdout


def check_of(data):
    return hashlib.sha256(data).digest()[:8]


def skippable(magic, payload):
    return struct.pack("<II", magic, len(payload)) + payload


# ---- planes ----------------------------------------------------------------------

def rotated(element, width, left):
    bits = 8 * width
    by = 1 if left else bits - 1
    return (element << by | element >> (bits - by)) & ((1 << bits) - 1)


def planes_of(data, width):
    """The planes of one region; of width 1 the bytes themselves."""
    if width == 1:
        return [data]
    turned = b"".join(
        rotated(int.from_bytes(data[i:i + width], "little"), width, True)
        .to_bytes(width, "big") for i in range(0, len(data), width))
    return [turned[k::width] for k in range(width)]


def region_of(planes, width):
    if width == 1:
        return planes[0]
    return b"".join(
        rotated(int.from_bytes(bytes(element), "big"), width, False)
        .to_bytes(width, "little") for element in zip(*planes))


def split(chunk, regions):
    """A chunk of [(width, size)] to the content of its frame."""
    groups, at = [b""] * 8, 0
    for width, size in regions:
        for k, plane in enumerate(planes_of(chunk[at:at + size], width)):
            groups[k] += plane
        at += size
    return b"".join(groups)


def join(content, regions):
    """What `split` was given."""
    taken = [[b""] * width for width, _ in regions]
    at = 0
    for k in range(8):
        for planes, (width, size) in zip(taken, regions):
            if k < width:
                planes[k] = content[at:at + size // width]
                at += size // width
    return b"".join(region_of(planes, width)
                    for planes, (width, _) in zip(taken, regions))


# ---- reading ---------------------------------------------------------------------

def read_table(data):
    """[(stored, size, checksum)] of all frames but the table itself."""
    count, flags, magic = struct.unpack("<IBI", data[-9:])
    need(magic == 0x8F92EAB1 and flags == 0x80, "footer")
    table = data[len(data) - 12 * count - 17:]
    need(struct.unpack("<II", table[:8]) == (SEEK_TABLE, 12 * count + 9), "seek table")
    entries = [struct.unpack_from("<III", table, 8 + 12 * i) for i in range(count)]
    need(sum(entry[0] for entry in entries) + len(table) == len(data), "sizes")
    return entries


def read_description(frame):
    """(size, digest as hex, chain as hex)"""
    magic, length = struct.unpack("<II", frame[:8])
    need((magic, length) == (DESCRIPTION, len(frame) - 8), "description")
    name, version, zero, size, chunk, count = struct.unpack("<6sBBQII", frame[8:32])
    need((name, version, zero, chunk) == (b"STRATA", 1, 0, CHUNK), "description")
    need(count == max(1, -(-size // CHUNK)) and length == 64 + 32 * count, "count")
    need(check_of(frame[8:-8]) == frame[-8:], "description's check")
    states = [frame[64 + 32 * i:96 + 32 * i].hex() for i in range(count)]
    need(frame[32:64].hex() == states[-1], "digest")
    return size, states[-1], states


def read_regions(frame, size):
    magic, length = struct.unpack("<II", frame[:8])
    need((magic, length) == (REGIONS, len(frame) - 8), "regions")
    need(check_of(frame[8:-8]) == frame[-8:], "regions' check")
    regions = list(struct.iter_unpack("<BI", frame[8:-8]))
    need(all(w in WIDTHS and n > 0 and n % w == 0 for w, n in regions), "region")
    need(sum(n for _, n in regions) == size, "regions' sizes")
    need(1 <= len(regions) <= 256 and max(w for w, _ in regions) > 1, "regions")
    return regions


def decode(data):
    """The blob of a copy; and for each chunk its regions, None where it has none."""
    frames, at = [], 0
    for stored, size, checksum in read_table(data):
        frames.append((data[at:at + stored], size, checksum))
        at += stored
    size, digest, states = read_description(frames.pop(0)[0])
    blob, found = b"", []
    for number in range(len(states)):
        length = min(CHUNK, size - number * CHUNK)
        frame, decoded, checksum = frames.pop(0)
        regions = None
        if length > 0 and decoded == 0:
            need(checksum == NO_BYTES, "checksum of no bytes")
            regions = read_regions(frame, length)
            frame, decoded, checksum = frames.pop(0)
        need(decoded == length, "size of a chunk")
        need(frame[:4] == b"\x28\xb5\x2f\xfd" and frame[4] & 4, "data frame")
        need(struct.unpack("<I", frame[-4:])[0] == checksum, "checksum")
        content = zstd("-d", data=frame)
        need(len(content) == length, "content")
        blob += content if regions is None else join(content, regions)
        found.append(regions)
    need(not frames, "frames")
    need(chain_of(blob) == states and hashlib.sha256(blob).hexdigest() == digest, "chain")
    return blob, found


# ---- writing ---------------------------------------------------------------------

def encode(blob, regions):
    """`regions`: a list for each chunk, or None."""
    states = chain_of(blob)
    about = struct.pack("<6sBBQII", b"STRATA", 1, 0, len(blob), CHUNK, len(states))
    about += bytes.fromhex(states[-1] + "".join(states))
    frames = [(skippable(DESCRIPTION, about + check_of(about)), 0, NO_BYTES)]
    for number, listed in enumerate(regions):
        content = blob[number * CHUNK:(number + 1) * CHUNK]
        if listed is not None:
            text = b"".join(struct.pack("<BI", *region) for region in listed)
            frames.append((skippable(REGIONS, text + check_of(text)), 0, NO_BYTES))
            content = split(content, listed)
        frame = zstd("--check", "--no-progress", f"--stream-size={len(content)}",
                     data=content)
        frames.append((frame, len(content), struct.unpack("<I", frame[-4:])[0]))
    table = b"".join(struct.pack("<III", len(frame), size, checksum)
                     for frame, size, checksum in frames)
    table += struct.pack("<IBI", len(frames), 0x80, 0x8F92EAB1)
    return b"".join(frame for frame, _, _ in frames) + skippable(SEEK_TABLE, table)


def golden():
    """{name: (blob, regions of each chunk)}: what the format can say, in little."""
    numbers = b"".join(struct.pack("<f", i * 0.37 - 20) for i in range(300))
    doubles = b"".join(struct.pack("<d", 1 / (i + 1)) for i in range(40))
    halves = b"".join(struct.pack("<e", i / 7 - 9) for i in range(128))
    brain = b"".join(numbers[i + 2:i + 4] for i in range(0, len(numbers), 4))
    mixed = b"{header}" + brain + numbers + doubles + halves + b"end"
    # Elements of four bytes that begin one byte before the second chunk, and go on.
    long = bytes(CHUNK - 1) + numbers * 20
    cut = (len(numbers) * 20 - 3) // 4 * 4
    left = len(long) - CHUNK - 3 - cut
    return {
        "empty": (b"", [None]),
        "byte": (b"x", [None]),
        "text": (b"The quick brown fox jumps over the lazy dog. " * 50, [None]),
        "bf16": (brain, [[(2, len(brain))]]),
        "fp32": (numbers, [[(4, len(numbers))]]),
        "fp64": (doubles, [[(8, len(doubles))]]),
        "mixed": (mixed, [[(1, 8), (2, len(brain)), (4, len(numbers)),
                           (8, len(doubles)), (2, len(halves)), (1, 3)]]),
        "border": (long, [None, [(1, 3), (4, cut), *([(1, left)] if left else [])]]),
    }


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, (blob, regions) in golden().items():
        copy = encode(blob, regions)
        assert decode(copy) == (blob, regions), name
        (folder / f"{name}.cold").write_bytes(copy)
        print(f'{{"{name}", {len(blob)}, "{hashlib.sha256(blob).hexdigest()}"}},')


if __name__ == "__main__":
    main()
