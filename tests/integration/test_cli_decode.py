# SPDX-License-Identifier: Apache-2.0
"""`strata decode`, held against a second implementation of docs/COLD-FORMAT.md."""
import os
import random
import resource
import signal
import stat
import struct
import subprocess

import pytest

from support import cold_format, safetensors
from support.chain import CHUNK, make_bytes, sha256
from support.cli import CORRUPT, LOCAL, SECONDS, USAGE, Cli
from support.stratad import BUILD, ROOT, STRATA

COLD_COPY = BUILD / "tests/unit/cold_copy"  # Strata's encoder, without a server
GOLDEN = ROOT / "tests/unit/golden/cold"


@pytest.fixture
def cli(tmp_path):
    """Without a server, a token or a configuration."""
    return Cli(tmp_path / "home")


def encoded(folder, blob):
    """The copy that Strata makes of a blob."""
    path = folder / "blob"
    path.write_bytes(blob)
    return subprocess.run([str(COLD_COPY), str(path)], stdout=subprocess.PIPE,
                          check=True, timeout=SECONDS).stdout


def floats(count, code, seed=0):
    source = random.Random(seed)
    return struct.pack(f"<{count}{code}", *(source.gauss(0, 0.02) for _ in range(count)))


def brain(count):
    """bfloat16: the upper half of each float32."""
    numbers = floats(count, "f")
    return b"".join(numbers[i + 2:i + 4] for i in range(0, len(numbers), 4))


def model(*tensors):
    return safetensors.make({
        str(i): (dtype, [len(data) // width], data)
        for i, (dtype, width, data) in enumerate(tensors)})


def border():
    """The end of the first chunk cuts an element of the last tensor."""
    data = floats(20000, "f")
    for length in range(CHUNK - 400, CHUNK):
        blob = model(("U8", 1, b"a" * length), ("F32", 4, data))
        begin = safetensors.read(blob)[1][3]
        if begin < CHUNK and (CHUNK - begin) % 4 == 1:
            return blob
    raise AssertionError("no length fits")


BLOBS = {
    "empty": lambda: b"",
    "byte": lambda: b"x",
    "text": lambda: b"The quick brown fox jumps over the lazy dog. " * 3000,
    "random": lambda: make_bytes(CHUNK + 5),
    "bf16": lambda: model(("BF16", 2, brain(50001))),
    "fp16": lambda: model(("F16", 2, floats(50001, "e"))),
    "fp32": lambda: model(("F32", 4, floats(50001, "f"))),
    "fp64": lambda: model(("F64", 8, floats(9999, "d"))),
    "int8": lambda: model(("I8", 1, make_bytes(70000))),
    "mixed": lambda: model(("U8", 1, b"odd"), ("BF16", 2, brain(9000)),
                           ("F32", 4, floats(7001, "f")), ("I8", 1, b"x"),
                           ("F64", 8, floats(3000, "d"))),
    "border": border,
}


@pytest.mark.parametrize("name", BLOBS)
def test_another_implementation_reads_what_strata_writes(cli, tmp_path, name):
    blob = BLOBS[name]()
    copy = encoded(tmp_path, blob)
    decoded, regions = cold_format.decode(copy)
    assert decoded == blob
    split = [width for listed in regions for width, _ in listed or []]
    widths = {"bf16": {2}, "fp16": {2}, "fp32": {4}, "fp64": {8}, "mixed": {2, 4, 8},
              "border": {4}}
    assert set(split) - {1} == widths.get(name, set())
    # A zstd file like any other; with nothing split, the blob itself.
    plain = cold_format.zstd("-d", data=copy)
    assert len(plain) == len(blob) and (bool(split) or plain == blob)
    path = tmp_path / "copy"
    path.write_bytes(copy)
    assert cli.run("decode", path).stdout == blob


def test_border_cuts_an_element(tmp_path):
    _, regions = cold_format.decode(encoded(tmp_path, border()))
    assert regions[1][0] == (1, 3) and regions[1][1][0] == 4


@pytest.mark.parametrize("name", cold_format.golden())
def test_strata_reads_what_another_implementation_writes(cli, tmp_path, name):
    blob, regions = cold_format.golden()[name]
    output = tmp_path / "out"
    for path in (GOLDEN / f"{name}.cold", tmp_path / "made"):
        if not path.exists():
            path.write_bytes(cold_format.encode(blob, regions))
        document = cli.json("decode", path, "-o", output)
        assert output.read_bytes() == blob
        assert document == {
            "sha256": sha256(blob), "size": len(blob), "output": str(output),
            "stored_size": path.stat().st_size}
    assert not list(tmp_path.glob("*partial*"))


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_model_of_several_chunks(cli, tmp_path, jobs):
    blob = model(("F32", 4, floats(300000, "f") * 12))
    path, output = tmp_path / "copy", tmp_path / "out"
    path.write_bytes(encoded(tmp_path, blob))
    assert path.stat().st_size < len(blob) * 0.86
    text = cli.text("decode", path, "-o", output, "-j", jobs)
    assert sha256(blob) in text
    assert output.read_bytes() == blob
    assert stat.S_IMODE(output.stat().st_mode) == 0o666 & ~current_umask()


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_damage_leaves_what_was_there(cli, tmp_path):
    blob = make_bytes(2 * CHUNK + 100)
    copy = bytearray(encoded(tmp_path, blob))
    path, output = tmp_path / "copy", tmp_path / "out"
    output.write_bytes(b"before")
    cases = {
        "first chunk": 5000, "last chunk": len(copy) - 200, "description": 40,
        "seek table": len(copy) - 40, "footer": len(copy) - 1}
    for where, at in cases.items():
        copy[at] ^= 1
        path.write_bytes(copy)
        copy[at] ^= 1
        error = cli.error("decode", path, "-o", output, status=CORRUPT)
        assert str(path) in error, where
        document = cli.run("decode", path, "-o", output, "--json", status=CORRUPT)
        assert b'"exit_status":6' in document.stdout.replace(b" ", b"")
        assert output.read_bytes() == b"before"
        assert len(cli.run("decode", path, status=CORRUPT).stdout) % CHUNK == 0
    for data in (b"", b"x", blob[:1000], copy[:-1], copy[:CHUNK], copy + b"x"):
        path.write_bytes(data)
        cli.error("decode", path, "-o", output, status=CORRUPT)
    assert output.read_bytes() == b"before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["blob", "copy", "out"]


def test_what_is_refused(cli, tmp_path):
    copy = tmp_path / "copy"
    copy.write_bytes(encoded(tmp_path, b"bytes"))
    cli.error("decode", status=USAGE)
    cli.error("decode", copy, "--json", status=USAGE)
    cli.error("decode", copy, "-j", "0", status=USAGE)
    cli.error("decode", tmp_path / "nothing", status=LOCAL)
    cli.error("decode", tmp_path, status=LOCAL)
    cli.error("decode", copy, "-o", tmp_path / "no" / "out", status=LOCAL)
    cli.error("decode", copy, "-o", tmp_path, status=LOCAL)
    os.mkfifo(tmp_path / "pipe")
    cli.error("decode", tmp_path / "pipe", status=LOCAL)
    (tmp_path / "link").symlink_to("target")
    cli.error("decode", copy, "-o", tmp_path / "link", status=LOCAL)
    assert not (tmp_path / "target").exists()
    with open("/dev/full", "wb") as full:
        result = subprocess.run([str(STRATA), "decode", str(copy)], stdout=full,
                                stderr=subprocess.PIPE, timeout=SECONDS)
    assert result.returncode == LOCAL


def test_a_full_disk_leaves_nothing(cli, tmp_path):
    copy, output = tmp_path / "copy", tmp_path / "out"
    copy.write_bytes(encoded(tmp_path, make_bytes(3 * CHUNK)))

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then the write fails, EFBIG
        resource.setrlimit(resource.RLIMIT_FSIZE, (CHUNK, CHUNK))

    cli.error("decode", copy, "-o", output, preexec_fn=limit, status=LOCAL)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["blob", "copy"]
