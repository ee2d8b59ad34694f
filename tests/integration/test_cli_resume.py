# SPDX-License-Identifier: Apache-2.0
"""How `strata` goes on after it was killed, cut off, or handed damaged bytes."""
import os

import pytest

from support.chain import CHUNK, make_bytes, sha256
from support.cli import AWAY, CORRUPT, LOCAL, SECONDS, Cli, partial, read, write
from support.stratad import wait_until


@pytest.fixture
def server(shared_server):
    return shared_server


def test_pull_checks_what_an_earlier_one_left(cli, model, published, files, tmp_path):
    """A partial file of which one chunk is right, one is damaged and one is missing."""
    target, data = tmp_path / "out", files["weights.bin"]
    partial(target, data).parent.mkdir(parents=True)
    with open(partial(target, data), "wb") as file:
        file.write(data[:CHUNK])
        file.write(bytes(CHUNK - 1) + b"x")
        file.truncate(len(data))
    (target / ".strata-partial" / sha256(b"of another version")).write_bytes(b"of")
    document = cli.json("pull", model, target)
    assert read(target) == files  # and nothing unfinished is left
    # The copy of it in the version comes from the disk as well.
    total = sum(map(len, files.values()))
    assert document["received"] == total - CHUNK - len(data)


def test_killed_pull_goes_on(cli, model, tmp_path, relay, server):
    data = make_bytes(16 * CHUNK, model)
    cli.run("publish", write(tmp_path / "one", {"w": data}), model)
    through = Cli(tmp_path, relay.base, server.admin_token())
    # Two chunks come over each of two connections, then it waits for the server.
    relay.cuts, relay.cut_after, relay.away_after = 2, 2 * CHUNK + 100000, True
    target = tmp_path / "out"
    process = through.spawn("pull", model, target, "-j", "1")
    wait_until(lambda: relay.away, SECONDS, "the server is away")
    wait_until(lambda: data[3 * CHUNK:4 * CHUNK] in partial(target, data).read_bytes(),
               SECONDS, "some of it is written")
    assert process.poll() is None
    process.kill()
    process.communicate()
    assert not (target / "w").exists()
    relay.away = False
    document = through.json("pull", model, target)
    assert read(target) == {"w": data}
    assert document["received"] == len(data) - 4 * CHUNK


def test_cut_connections_are_taken_up_again(cli, model, tmp_path, relay, server):
    data = make_bytes(8 * CHUNK + 5, model)
    cli.run("publish", write(tmp_path / "one", {"w": data}), model)
    relay.cuts, relay.cut_after = 4, CHUNK + 1000
    through = Cli(tmp_path, relay.base, server.admin_token())
    document = through.json("pull", model, tmp_path / "out")
    assert relay.cuts == 0
    assert read(tmp_path / "out") == {"w": data}
    assert document["received"] == len(data)


def test_a_bit_flipped_on_the_way_is_fetched_again(cli, model, tmp_path, relay, server):
    data = make_bytes(4 * CHUNK, model)
    cli.run("publish", write(tmp_path / "one", {"w": data}), model)
    relay.flips, relay.flip_at = 1, CHUNK + 5000
    through = Cli(tmp_path, relay.base, server.admin_token())
    through.run("pull", model, tmp_path / "out")
    assert relay.flips == 0
    assert read(tmp_path / "out") == {"w": data}


@pytest.fixture
def damaged(cli, server, model, tmp_path):
    """A version of which the server's disk has one wrong byte in chunk 1 of `w`."""
    data = make_bytes(3 * CHUNK, model)
    cli.run("publish", write(tmp_path / "bad", {"w": data, "ok": b"ok"}), model)
    path = next(server.data.rglob(f"hot/**/{sha256(data)}.*"))
    mode = path.stat().st_mode
    os.chmod(path, 0o600)
    with open(path, "r+b") as file:
        file.seek(CHUNK + 100)
        file.write(bytes([data[CHUNK + 100] ^ 1]))
    yield data
    with open(path, "r+b") as file:
        file.write(data)
    os.chmod(path, mode)


def test_a_damaged_blob_is_never_pulled(cli, model, damaged, tmp_path):
    target = tmp_path / "out"
    assert "chunk 1" in cli.error("pull", model, target, status=CORRUPT)
    assert not (target / "w").exists()
    cli.error("cat", model, "w", status=CORRUPT)
    # What does not touch the chunk is served.
    assert cli.run("cat", model, "w", "--range", "0-9").stdout == damaged[:10]


def test_verify_finds_a_damaged_blob(cli, model, damaged):
    document = cli.json("verify", model, status=CORRUPT)
    assert [bad["path"] for bad in document["bad"]] == ["w"]
    assert "BAD  w: chunk 1" in cli.text("verify", model, status=CORRUPT)


def test_verify(cli, model, published, files, tmp_path):
    document = cli.json("verify", model)
    assert document["bad"] == [] and document["files"] == len(files)
    target = tmp_path / "out"
    cli.run("pull", model, target)
    assert "0 bad" in cli.text("verify", target, model)
    with open(target / "weights.bin", "r+b") as file:
        file.seek(2 * CHUNK)
        file.write(b"\0\1\2")
    (target / "sub/one").unlink()
    (target / "config.json").write_bytes(b"")
    document = cli.json("verify", target, model, status=CORRUPT)
    assert {bad["path"] for bad in document["bad"]} == {
        "weights.bin", "sub/one", "config.json"}
    assert not (target / "sub/one").exists()  # verify mends nothing


def test_killed_publish_ends_once(cli, model, folder, relay, server, api):
    """The server has made the version, the answer is lost, the client is killed."""
    through = Cli(cli.home, relay.base, server.admin_token())
    relay.drop_answer_to = f"POST /api/v1/models/{model}/versions".encode()
    relay.away_after = True
    through.error("publish", folder, model, "--retry", "0", status=AWAY)
    relay.away = False
    assert api.get(f"/models/{model}", expect=200).json()["versions"] == 1
    assert through.json("publish", folder, model)["version"] == 1
    assert through.json("publish", folder, model)["version"] == 2


def test_lost_answer_is_asked_for_again(cli, model, folder, relay, server):
    through = Cli(cli.home, relay.base, server.admin_token())
    relay.drop_answer_to = f"POST /api/v1/models/{model}/versions".encode()
    assert through.json("publish", folder, model)["version"] == 1
    assert relay.drop_answer_to is None


def test_killed_publish_resumes_its_upload(cli, model, tmp_path, relay, server, api):
    """Uploads go on by their id in the state folder; the hashes are remembered too."""
    data = make_bytes(24 * CHUNK + 7, model)
    folder = write(tmp_path / "one", {"w": data})
    through = Cli(cli.home, relay.base, server.admin_token())
    # From its second part on the client hears nothing more, so that it cannot end.
    relay.drop_answer_to = b"/parts/1 HTTP"
    relay.away_after = True
    process = through.spawn("publish", folder, model, "-j", "1")
    wait_until(lambda: relay.away and parts(server, data) >= 1, SECONDS, "a part is sent")
    assert uploads(cli)
    process.kill()
    process.communicate()
    relay.away = False
    before = parts(server, data)
    version = through.json("publish", folder, model)
    assert version["version"] == 1
    assert version["transfer"]["sent"] > 0
    assert version["transfer"]["present"] >= before * CHUNK
    assert not uploads(cli)  # nothing is left behind
    assert api.get(f"/models/{model}", expect=200).json()["versions"] == 1


def uploads(cli):
    folder = cli.home / ".local/state/strata/uploads"
    return list(folder.iterdir()) if folder.is_dir() else []


def parts(server, data):
    return server.database.value(
        "SELECT count(*) FROM upload_parts p JOIN uploads u ON u.id = p.upload_id "
        f"WHERE u.size = {len(data)}")


def test_file_that_changes_meanwhile(cli, model, tmp_path, relay, server, api):
    data = make_bytes(8 * CHUNK, model)
    folder = write(tmp_path / "one", {"a": b"a", "w": data})
    through = Cli(cli.home, relay.base, server.admin_token())
    relay.drop_answer_to, relay.away_after = b"POST /api/v1/uploads ", True
    process = through.spawn("publish", folder, model)
    wait_until(lambda: relay.away, SECONDS, "the upload was asked for")
    with open(folder / "w", "r+b") as file:  # hashed, but not yet sent
        file.write(b"other")
    relay.away = False
    _, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == LOCAL and b"changed meanwhile" in stderr
    api.get(f"/models/{model}", expect=404)
