# SPDX-License-Identifier: Apache-2.0
"""`strata tensors` and `strata cat --tensor`."""
import os

import pytest

from support import safetensors
from support.chain import CHUNK, make_bytes, sha256
from support.cli import CORRUPT, NOT_FOUND, USAGE, write


@pytest.fixture
def server(shared_server):
    return shared_server


TENSORS = {
    "model.embed": ("BF16", [CHUNK // 2 + 300, 1], make_bytes(CHUNK + 600, "embed")),
    "layers/0\u00fc": ("F32", [2, 3], make_bytes(24, "layer")),
    "none": ("F16", [0], b""),
}
WEIGHTS = "weights/m.safetensors"


@pytest.fixture
def tensors(cli, model, tmp_path):
    folder = write(tmp_path / "tensors", {
        WEIGHTS: safetensors.make(TENSORS), "bad.safetensors": b"bad",
        "one.safetensors": safetensors.make({"scalar": ("I8", [], b"1")}),
        # A header that is longer than a chunk.
        "long.safetensors": safetensors.make(
            {"t": ("U8", [3], b"abc")}, {"a": "x" * (CHUNK + 5)})})
    cli.run("publish", folder, model)
    return model


def test_tensors(cli, tensors):
    document = cli.json("tensors", tensors)
    assert [(t["name"], t["file"], t["dtype"], t["shape"], t["length"])
            for t in document["tensors"]] == [
        ("t", "long.safetensors", "U8", [3], 3),
        ("scalar", "one.safetensors", "I8", [], 1),
        *((name, WEIGHTS, dtype, shape, len(data))
          for name, (dtype, shape, data) in TENSORS.items())]
    (bad,) = document["unreadable"]
    assert bad["file"] == "bad.safetensors"
    assert document["next_page_token"] is None
    result = cli.run("tensors", tensors)
    lines = result.stdout.decode().splitlines()
    assert lines[0].split() == ["NAME", "DTYPE", "SHAPE", "SIZE", "FILE"]
    assert lines[1].split() == ["t", "U8", "[3]", "3", "bytes", "long.safetensors"]
    assert lines[2].split() == ["scalar", "I8", "[]", "1", "bytes", "one.safetensors"]
    assert lines[4].split()[:3] == ["layers/0\u00fc", "F32", "[2,3]"]
    assert result.stderr.decode().startswith("strata: bad.safetensors: ")
    cli.error("tensors", f"{tensors}@9", status=NOT_FOUND)
    cli.error("tensors", status=USAGE)


def test_tensors_of_several_pages(cli, model, tmp_path):
    names = [f"t{i}" for i in range(2345)]
    folder = write(tmp_path / "many", {"m.safetensors": safetensors.make(
        {name: ("U8", [0], b"") for name in sorted(names)}), "n.safetensors": b"bad"})
    cli.run("publish", folder, model)
    document = cli.json("tensors", model)
    assert [t["name"] for t in document["tensors"]] == sorted(names)
    assert len(document["unreadable"]) == 1


def test_cat_tensor(cli, tensors, tmp_path):
    for name, (_, _, data) in TENSORS.items():
        assert cli.run("cat", tensors, WEIGHTS, "--tensor", name).stdout == data
    data = TENSORS["model.embed"][2]
    for text, begin, end in (("0-9", 0, 10), (f"{CHUNK}-", CHUNK, len(data)),
                             ("-3", -3, None), (f"5-{CHUNK * 9}", 5, None)):
        got = cli.run("cat", tensors, WEIGHTS, "-t", "model.embed", "--range", text).stdout
        assert got == data[begin:end]
    assert cli.run("cat", tensors, "long.safetensors", "-t", "t").stdout == b"abc"
    output = tmp_path / "t.bin"
    assert cli.json("cat", tensors, WEIGHTS, "-t", "layers/0\u00fc", "-o", output) == {
        "ref": tensors, "path": WEIGHTS, "tensor": "layers/0\u00fc", "output": str(output),
        "bytes": 24}
    assert output.read_bytes() == TENSORS["layers/0\u00fc"][2]
    cli.error("cat", tensors, WEIGHTS, "-t", "layers/0\u00fc", "--range", "24-",
              status=USAGE)
    assert "no tensor" in cli.error("cat", tensors, WEIGHTS, "-t", "x", status=NOT_FOUND)
    assert "malformed" in cli.error("cat", tensors, "bad.safetensors", "-t", "t", status=1)
    cli.error("cat", tensors, "none.safetensors", "-t", "t", status=NOT_FOUND)


@pytest.fixture
def damaged_tensor(cli, server, model, tmp_path):
    """Two tensors of a chunk's size, of which the server's disk has a wrong byte in the
    second."""
    data = safetensors.make({"a": ("U8", [CHUNK], make_bytes(CHUNK, model)),
                             "b": ("U8", [CHUNK], make_bytes(CHUNK, model + "b"))})
    cli.run("publish", write(tmp_path / "bad", {"w.safetensors": data}), model)
    path = next(server.data.rglob(f"hot/**/{sha256(data)}.*"))
    mode = path.stat().st_mode
    os.chmod(path, 0o600)
    with open(path, "r+b") as file:
        file.seek(2 * CHUNK)  # in chunk 2, which has the end of `b` alone
        file.write(bytes([data[2 * CHUNK] ^ 1]))
    yield data
    with open(path, "r+b") as file:
        file.write(data)
    os.chmod(path, mode)


def test_a_damaged_tensor_is_never_written(cli, model, damaged_tensor):
    arguments = ("cat", model, "w.safetensors", "--tensor")
    assert "chunk 2" in cli.error(*arguments, "b", status=CORRUPT)
    assert cli.run(*arguments, "a").stdout == damaged_tensor[-2 * CHUNK:-CHUNK]
