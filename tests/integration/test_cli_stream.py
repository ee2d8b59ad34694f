# SPDX-License-Identifier: Apache-2.0
"""`strata upload` and `publish` of files large enough to be sent while they are hashed."""
import hashlib
import os
import time

import pytest

from support.chain import CHUNK, big_bytes, chain_of, sha256
from support.cli import AWAY, LOCAL, SECONDS, Cli, write
from support.stratad import wait_until

PART = 8 * CHUNK


@pytest.fixture
def server(shared_server):
    return shared_server


def big(seed, chunks=17, more=9):
    """Over 64 MiB, of a size that tests can choose."""
    return big_bytes(seed, chunks * CHUNK + more)


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


def remember(cli, base, path, upload):
    """The note that a killed client leaves of the upload of a file."""
    st = os.stat(path)
    what = (f"{st.st_dev} {st.st_ino} {st.st_size} "
            f"{st.st_mtime_ns // 10**9}.{st.st_mtime_ns % 10**9:09}")
    key = hashlib.sha256(f"{base}\0file\0{what}\0".encode()).hexdigest()
    return write(cli.home / ".local/state/strata/uploads", {key: f"{upload}\n".encode()})


def upload(cli, tmp_path, data):
    write(tmp_path, {"w": data})
    return upload_again(cli, tmp_path)


def upload_again(cli, tmp_path):
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


def test_resumed_although_the_server_was_away(cli, server, api, tmp_path, relay):
    """What a run that met no server remembers is as good as before."""
    data = big("away", more=50)
    through = Cli(cli.home, relay.base, server.admin_token())
    write(tmp_path, {"w": data})
    relay.drop_answer_to, relay.away_after = b"/parts/1 HTTP", True
    process = through.spawn("upload", tmp_path / "w", "-j", "1")
    wait_until(lambda: relay.away, SECONDS, "a part was sent")
    process.kill()
    process.communicate()
    through.error("upload", tmp_path / "w", "--retry", "1", status=AWAY)
    relay.away = False
    (again,) = through.json("upload", tmp_path / "w")["files"]
    assert again["sent"] < len(data) and rows(server, data) == (1, 1)
    check_blob(api, data)


@pytest.mark.parametrize("done", [False, True], ids=["all parts", "done"])
def test_upload_of_what_the_file_held_before(cli, server, api, tmp_path, done):
    """Written over in place, its time set back: only the digest tells."""
    before, data = big("before", more=60 + done), big("behind", more=60 + done)
    begun = api.begin_upload(before, sha256=False, chain_with_parts=True)
    for number in range(3):
        api.put_part(begun, before, number, expect=204)
    if done:
        api.complete(begun, expect=201)
    write(tmp_path, {"w": data})
    remember(cli, server.base, tmp_path / "w", begun["id"])
    assert upload_again(cli, tmp_path)["sent"] == len(data)
    check_blob(api, data)
    assert not notes(cli)
