# SPDX-License-Identifier: Apache-2.0
"""`strata upload` and `publish` of files large enough to be sent while they are hashed."""
import os
import time

import pytest

from support.chain import CHUNK, chain_of, make_bytes, sha256
from support.cli import LOCAL, SECONDS, Cli, write
from support.stratad import wait_until

PART = 8 * CHUNK


@pytest.fixture
def server(shared_server):
    return shared_server


def big(seed, chunks=17, more=9):
    """Over 64 MiB, cheap to make, of a size that tests can choose."""
    block = make_bytes((1 << 20) + 1, seed)
    size = chunks * CHUNK + more
    return (block * (size // len(block) + 1))[:size]


def rows(server, data):
    """(how many uploads of this size, how many of them began without their digest)."""
    count = server.database.value
    size = f"FROM uploads WHERE size = {len(data)}"
    return (count(f"SELECT count(*) {size}"),
            count(f"SELECT count(*) {size} AND chain_with_parts"))


def check_blob(api, data):
    digest = sha256(data)
    assert api.get(f"/blobs/{digest}/chain", expect=200).json()["states"] == chain_of(data)
    assert sha256(api.get(f"/blobs/{digest}", expect=200).content) == digest


def notes(cli):
    folder = cli.home / ".local/state/strata/uploads"
    return list(folder.iterdir()) if folder.is_dir() else []


def upload(cli, tmp_path, data):
    write(tmp_path, {"w": data})
    (file,) = cli.json("upload", tmp_path / "w")["files"]
    return file


def test_is_sent_while_it_is_hashed(cli, server, api, tmp_path):
    data = big("streamed", more=1)
    assert upload(cli, tmp_path, data)["sent"] == len(data)
    assert rows(server, data) == (1, 1)
    check_blob(api, data)
    assert not notes(cli)


def test_what_is_here_is_not_sent_again(cli, server, api, tmp_path):
    """By another file, in a state folder that knows nothing of it."""
    data = big("here", more=2)
    api.upload(data)
    other = Cli(tmp_path / "other", server.base, server.admin_token())
    assert upload(other, tmp_path / "other", data)["sent"] == 0
    assert rows(server, data) == (1, 0)


def test_what_only_begins_alike_is_sent_whole(cli, server, api, tmp_path):
    data = big("alike", more=3)
    api.upload(data)
    other = data[:-1] + bytes([data[-1] ^ 1])
    assert upload(cli, tmp_path, other)["sent"] == len(other)
    assert rows(server, data) == (2, 0)  # hashed to its end first
    check_blob(api, other)


def test_two_files_of_one_size_go_once(cli, server, api, model, tmp_path):
    data = big("twice", more=4)
    folder = write(tmp_path / "two", {"a": data, "b": data})
    version = cli.json("publish", folder, model)
    assert version["transfer"]["sent"] == version["transfer"]["present"] == len(data)
    assert rows(server, data) == (1, 1)
    check_blob(api, data)


@pytest.mark.parametrize("at", [b"/parts/1 HTTP", b"/complete HTTP"])
@pytest.mark.parametrize("known", [False, True], ids=["hashed anew", "hash remembered"])
def test_killed_and_run_again(cli, server, api, tmp_path, relay, at, known):
    """From the call on, the client hears nothing more; then it is killed."""
    more = 10 + (at == b"/complete HTTP") + 2 * known
    data = big(f"killed {at} {known}", more=more)
    write(tmp_path, {"w": data})
    path = tmp_path / "w"
    through = Cli(cli.home, relay.base, server.admin_token())
    if known:  # a file that did not change just now
        wait_until(lambda: os.stat(path).st_ctime + 3 < time.time(), SECONDS,
                   "the file is old enough")
    relay.drop_answer_to, relay.away_after = at, True
    process = through.spawn("upload", path, "-j", "1")
    wait_until(lambda: relay.away, SECONDS, "the call was made")
    if known:
        wait_until(lambda: list((cli.home / ".local/state/strata/hashes").glob("*")),
                   SECONDS, "the file is hashed")
    process.kill()
    process.communicate()
    received = server.database.value(
        "SELECT count(*) FROM upload_parts p JOIN uploads u ON u.id = p.upload_id "
        f"WHERE u.size = {len(data)}")
    relay.away = False
    (again,) = through.json("upload", path)["files"]
    assert again["sent"] <= max(len(data) - received * PART, 0)
    assert rows(server, data) == (1, 1)  # the same upload
    check_blob(api, data)
    assert not notes(cli)


def test_lost_upload_is_begun_anew(cli, server, api, tmp_path, relay):
    data = big("lost", more=30)
    through = Cli(cli.home, relay.base, server.admin_token())
    write(tmp_path, {"w": data})
    relay.drop_answer_to, relay.away_after = b"/parts/1 HTTP", True
    process = through.spawn("upload", tmp_path / "w", "-j", "1")
    wait_until(lambda: relay.away, SECONDS, "a part was sent")
    upload_id = server.database.value(
        f"SELECT id FROM uploads WHERE size = {len(data)}")
    api.delete(f"/uploads/{upload_id}", expect=204)
    relay.away = False
    output, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, stderr
    assert rows(server, data)[0] == 1
    check_blob(api, data)


def test_file_that_grows_meanwhile(cli, server, api, tmp_path, relay):
    data = big("grows", more=40)
    through = Cli(cli.home, relay.base, server.admin_token())
    write(tmp_path, {"w": data})
    relay.drop_answer_to, relay.away_after = b"/complete HTTP", True
    process = through.spawn("upload", tmp_path / "w")
    wait_until(lambda: relay.away, SECONDS, "it was sent")
    with open(tmp_path / "w", "ab") as file:
        file.write(b"more")
    relay.away = False
    _, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == LOCAL and b"changed meanwhile" in stderr
