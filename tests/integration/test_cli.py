# SPDX-License-Identifier: Apache-2.0
"""Every command of `strata` against a real stratad: what it prints, how it exits, how it
goes on after it was killed, and what it refuses. (Large files are in test_large.py.)"""
import fcntl
import hashlib
import http.server
import itertools
import json
import os
import pty
import resource
import shutil
import signal
import subprocess
import threading

import pytest

from support import safetensors
from support.chain import CHUNK, make_bytes, sha256
from support.relay import Relay
from support.stratad import STRATA, wait_until

USAGE, NOT_FOUND, DENIED, CONFLICT, CORRUPT, AWAY, LOCAL = 2, 3, 4, 5, 6, 7, 8
CI = ("GITHUB_", "GITLAB_", "CI_", "BUILDKITE", "JENKINS", "BUILD_", "GIT_")
SECONDS = 120


@pytest.fixture
def server(shared_server):
    return shared_server


class Cli:
    """Runs `strata` with a home of its own. Keyword arguments are environment."""

    def __init__(self, home, url=None, token=None):
        self.home = home
        self.environment = {
            key: value for key, value in os.environ.items()
            if not key.startswith(("STRATA_", "XDG_", *CI)) and key != "CI"}
        self.environment["HOME"] = str(home)
        if url is not None:
            self.environment.update(STRATA_URL=url, STRATA_TOKEN=token)

    def spawn(self, *arguments, **options):
        return subprocess.Popen(
            [str(STRATA), *map(str, arguments)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment, **options)

    def run(self, *arguments, status=0, stdin=b"", environment=None, **options):
        result = subprocess.run(
            [str(STRATA), *map(str, arguments)], input=stdin, capture_output=True,
            timeout=SECONDS, env={**self.environment, **(environment or {})}, **options)
        assert result.returncode == status, (
            f"strata {arguments} ended with {result.returncode}\n"
            f"{result.stdout[-2000:]!r}\n{result.stderr.decode()[-2000:]}")
        return result

    def text(self, *arguments, **options):
        return self.run(*arguments, **options).stdout.decode()

    def error(self, *arguments, status, **options):
        result = self.run(*arguments, status=status, **options)
        assert b"strata: " in result.stderr
        return result.stderr.decode()

    def json(self, *arguments, **options):
        """The one document on standard output."""
        return json.loads(self.run(*arguments, "--json", **options).stdout)


@pytest.fixture
def cli(server, tmp_path):
    return Cli(tmp_path, server.base, server.admin_token())


@pytest.fixture
def relay(server):
    relay = Relay(server.address)
    yield relay
    relay.close()


@pytest.fixture
def model(numbers=itertools.count(1)):
    """A model's name that no other test has."""
    return f"cli/m{next(numbers)}"


def write(folder, files):
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder


def read(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def files(model):
    """More than one chunk, one byte, nothing, the same twice, a name in UTF-8."""
    big = make_bytes(3 * CHUNK + 17, model)
    return {"weights.bin": big, "config.json": b'{"a":1}', "empty": b"", "sub/one": b"1",
            "sub/again.bin": big, "sub/Größe.txt": b"g" * 70000}


@pytest.fixture
def folder(tmp_path, files):
    return write(tmp_path / "model", files)


@pytest.fixture
def published(cli, model, folder):
    return cli.json("publish", folder, model)


# ---- there and back -------------------------------------------------------------


def test_publish_and_pull(cli, model, folder, files, tmp_path):
    text = cli.text("publish", folder, model)
    assert f"published {model}@1" in text and "sent" in text
    assert cli.text("pull", model, tmp_path / "out").count("verified") == 1
    assert read(tmp_path / "out") == files


def test_publish_says_what_was_there(cli, model, folder, files):
    total = sum(map(len, files.values()))
    first = cli.json("publish", folder, model)
    big = len(files["weights.bin"])
    assert first["transfer"]["total"] == total
    assert first["transfer"]["sent"] <= total - big  # the same bytes go once
    second = cli.json("publish", folder, model)
    assert second["version"] == first["version"] + 1  # a deliberate one is a new version
    assert second["transfer"] == {"total": total, "sent": 0, "present": total}
    assert ", the rest was there" in cli.text("publish", folder, model)


def test_publish_takes_origins(cli, model, folder, api):
    cli.run("publish", folder, model)
    version = cli.json(
        "publish", folder, model, "--parent", f"{model}@1:fine-tune",
        "--parent", "hf:org/base@main:quantize", "--dataset", "s3://b/data",
        "--metric", "loss=0.1", "--metric", "worst=inf", "--param", "epochs=3",
        "--param", "precision=bf16", "--tag", "team=search", "--alias", "prod",
        "--description", "a better one", "--run-url", "https://runs/1",
        "--commit", "abc", "--repository", "https://git/r", "--tier", "hot")
    shown = api.get(f"/models/{model}/versions/2", expect=200).json()
    assert version.pop("transfer")["sent"] == 0
    assert shown == version
    assert [parent["relation"] for parent in shown["parents"]] == ["fine-tune", "quantize"]
    assert shown["parents"][0]["ref"] == f"{model}@1"
    assert shown["datasets"][0]["uri"] == "s3://b/data"
    assert shown["metrics"] == {"loss": 0.1, "worst": "Infinity"}
    assert shown["params"] == {"epochs": 3, "precision": "bf16"}
    assert shown["tags"] == {"team": "search"}
    assert shown["aliases"] == ["prod"]
    assert shown["description"] == "a better one"
    assert shown["run"]["url"] == "https://runs/1"
    assert shown["code"] == {"repository": "https://git/r", "commit": "abc", "dirty": False}
    types = {file["path"]: file["media_type"] for file in shown["files"]}
    assert types["config.json"] == "application/json"
    assert types["weights.bin"] == "application/octet-stream"


def test_publish_a_single_file(cli, model, folder, tmp_path):
    version = cli.json("publish", folder / "config.json", model)
    assert [file["path"] for file in version["files"]] == ["config.json"]


def test_dry_run_sends_nothing(cli, model, folder, files, server):
    before = server.state()
    document = cli.json("publish", folder, model, "--dry-run", "--tag", "a=b")
    assert document["dry_run"] is True and document["model"] == model
    assert {file["path"] for file in document["request"]["files"]} == set(files)
    assert document["request"]["tags"] == {"a": "b"}
    assert "nothing was sent" in cli.text("publish", folder, model, "--dry-run")
    assert server.state() == before


def test_upload_then_publish_a_list(cli, model, folder, files, tmp_path):
    lines = cli.text("upload", "weights.bin", "sub/one", "empty", cwd=folder)
    assert lines.splitlines()[0] == f"{sha256(files['weights.bin'])}  weights.bin"
    document = cli.json("upload", folder / "config.json")
    assert document["files"][0]["sha256"] == sha256(files["config.json"])
    (tmp_path / "list").write_text(lines)
    version = cli.json("publish", "--files", tmp_path / "list", model)
    assert {file["path"] for file in version["files"]} == {"weights.bin", "sub/one", "empty"}
    again = cli.json("publish", "--files", "-", model, stdin=lines.encode())
    assert again["version"] == 2
    missing = f"{'0' * 64}  nothing.bin\n".encode()
    assert "blobs-missing" in cli.run(
        "publish", "--files", "-", model, "--json", stdin=missing,
        status=CONFLICT).stdout.decode()
    cli.error("publish", "--files", "-", model, stdin=b"what\n", status=USAGE)
    cli.error("publish", folder, model, "--files", "-", status=USAGE)


def test_strataignore(cli, model, folder):
    (folder / ".strataignore").write_text("# no notes\n*.txt\n!sub/*.txt\nsub/one\nlogs/\n")
    write(folder, {"notes.txt": b"x", "logs/a.log": b"x", ".git/HEAD": b"x"})
    paths = {file["path"] for file in cli.json("publish", folder, model)["files"]}
    assert paths == {"weights.bin", "config.json", "empty", "sub/again.bin",
                     "sub/Größe.txt"}


def test_links_within_the_folder_are_followed(cli, model, folder, files):
    (folder / "link.bin").symlink_to("weights.bin")
    (folder / "also").symlink_to("sub")
    version = cli.json("publish", folder, model)
    digests = {file["path"]: file["sha256"] for file in version["files"]}
    assert digests["link.bin"] == sha256(files["weights.bin"])
    assert digests["also/one"] == sha256(b"1")


@pytest.mark.parametrize("target", ["../outside", "/etc/hostname", "nowhere"])
def test_links_out_of_the_folder_are_refused(cli, model, folder, tmp_path, api, target):
    (tmp_path / "outside").write_text("secret")
    (folder / "link").symlink_to(target)
    assert "link" in cli.error("publish", folder, model, status=LOCAL)
    api.get(f"/models/{model}", expect=404)


def test_pull_picks_files(cli, model, published, tmp_path):
    cli.run("pull", model, tmp_path / "a", "--include", "*.json", "--include", "sub/")
    assert set(read(tmp_path / "a")) == {
        "config.json", "sub/one", "sub/again.bin", "sub/Größe.txt"}
    cli.run("pull", model, tmp_path / "b", "--exclude", "*.bin", "--exclude", "/sub")
    assert set(read(tmp_path / "b")) == {"config.json", "empty"}
    cli.error("pull", model, tmp_path / "c", "--include", "*.none", status=NOT_FOUND)


def test_pull_by_every_ref(cli, model, published, folder, tmp_path, files):
    cli.run("alias", "set", f"{model}@1", "prod")
    refs = [model, f"{model}@1", f"{model}@prod", f"{model}@latest",
            f"{model}@{published['digest']}"]
    for number, ref in enumerate(refs):
        target = tmp_path / str(number)
        document = cli.json("pull", ref, target)
        assert document["version"] == 1 and document["digest"] == published["digest"]
        assert read(target) == files
    cli.run("pull", model, cwd=tmp_path)  # into a folder of the model's name
    assert read(tmp_path / model.split("/")[1]) == files


def test_pull_keeps_what_is_right_and_mends_what_is_not(
        cli, model, published, files, tmp_path):
    target = tmp_path / "out"
    cli.run("pull", model, target)
    kept = (target / "sub/one").stat().st_ino
    damaged = bytearray(files["weights.bin"])
    damaged[CHUNK + 1] ^= 1
    (target / "weights.bin").write_bytes(damaged)
    (target / "config.json").write_bytes(b"longer than it was")
    (target / "mine").write_bytes(b"untouched")
    document = cli.json("pull", model, target)
    assert read(target) == {**files, "mine": b"untouched"}
    assert (target / "sub/one").stat().st_ino == kept
    assert document["kept"] == document["total"] - len(files["weights.bin"]) - len(
        files["config.json"])


def test_no_link_leads_a_pull_out_of_its_folder(cli, model, published, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target = tmp_path / "out"
    target.mkdir()
    (target / "sub").symlink_to(elsewhere)
    assert "symbolic link" in cli.error("pull", model, target, status=LOCAL)
    assert not list(elsewhere.iterdir())
    (target / "sub").unlink()
    (elsewhere / "file").write_text("precious")
    (target / "config.json").unlink(missing_ok=True)  # it may have come before sub/
    (target / "config.json").symlink_to(elsewhere / "file")
    cli.error("pull", model, target, status=LOCAL)
    assert (elsewhere / "file").read_text() == "precious"


def test_pull_of_the_same_bytes_many_times(cli, model, tmp_path):
    files = {f"{name}{i}": data for i in range(12)
             for name, data in (("e", b""), ("x", b"x"), ("big", bytes(CHUNK + 1)))}
    cli.run("publish", write(tmp_path / "many", files), model)
    for number in range(3):
        cli.run("pull", model, tmp_path / str(number), "-j", "8")
        assert read(tmp_path / str(number)) == files


def test_a_folder_without_a_name(cli, model, published):
    assert "empty" in cli.error("pull", model, "", status=USAGE)


# ---- interrupted and damaged ----------------------------------------------------


def partial(target, data):
    return target / ".strata-partial" / sha256(data)


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


# ---- CI runs --------------------------------------------------------------------

GITHUB = {"GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://git.example",
          "GITHUB_REPOSITORY": "org/train", "GITHUB_RUN_ID": "4711", "GITHUB_SHA": "abc1"}


def test_ci_run_is_recorded_and_its_repeat_is_the_same_version(cli, model, folder):
    first = cli.json("publish", folder, model, environment=GITHUB)
    assert first["run"] == {"id": "4711", "system": "github",
                            "url": "https://git.example/org/train/actions/runs/4711"}
    assert first["code"]["commit"] == "abc1"
    assert first["code"]["repository"] == "https://git.example/org/train"
    again = cli.json("publish", folder, model,
                     environment={**GITHUB, "GITHUB_RUN_ATTEMPT": "2"})
    assert again["version"] == first["version"]
    other = cli.json("publish", folder, model, "--tag", "a=b", environment=GITHUB)
    assert other["version"] == 2
    later = cli.json("publish", folder, model, environment={**GITHUB, "GITHUB_RUN_ID": "5"})
    assert later["version"] == 3


def test_idempotency_key(cli, model, folder):
    key = ("--idempotency-key", "k1")
    assert cli.json("publish", folder, model, *key)["version"] == 1
    assert cli.json("publish", folder, model, *key)["version"] == 1
    cli.error("publish", folder, model, *key, "--tag", "a=b", status=CONFLICT)


# ---- the other commands -----------------------------------------------------------


def test_ls_and_show(cli, model, published, files):
    cli.run("publish", "--files", "-", model, stdin=f"{sha256(b'1')}  one\n".encode())
    assert model in [entry["model"] for entry in cli.json("ls")["models"]]
    assert [entry["version"] for entry in cli.json("ls", model)["versions"]] == [2, 1]
    assert model in cli.text("ls")
    assert cli.text("ls", model).splitlines()[0].split()[0] == "VERSION"
    shown = cli.json("show", f"{model}@1")
    assert {file["path"] for file in shown["files"]} == set(files)
    text = cli.text("show", f"{model}@1")
    assert published["digest"] in text and "weights.bin" in text


def test_ls_takes_all_pages(cli, api, model):
    digest = api.put_blob(b"page")
    for _ in range(3):
        api.publish(model, {"f": digest})
    first = api.get(f"/models/{model}/versions?limit=1", expect=200).json()
    assert first["next_page_token"] is not None
    document = cli.json("ls", model)
    assert [entry["version"] for entry in document["versions"]] == [3, 2, 1]
    assert document["next_page_token"] is None


def test_alias(cli, model, published):
    document = cli.json("alias", "set", f"{model}@1", "prod")
    assert document["alias"] == "prod" and document["version"] == 1
    assert cli.json("show", f"{model}@prod")["version"] == 1
    assert "version 1" in cli.text("alias", "set", f"{model}@{published['digest']}", "next")
    assert cli.json("alias", "rm", model, "prod") == {"alias": "prod", "removed": True}
    cli.error("show", f"{model}@prod", status=NOT_FOUND)
    cli.error("alias", "rm", model, "prod", status=NOT_FOUND)
    history = cli.json("alias", "history", model, "prod")["history"]
    assert [entry["version"] for entry in history] == [None, 1]
    assert "removed" in cli.text("alias", "history", model, "prod")
    cli.error("alias", "set", f"{model}@9", "prod", status=NOT_FOUND)
    cli.error("alias", "set", f"{model}@1", "latest", status=USAGE)


@pytest.mark.parametrize("text, begin, end", [
    ("0-0", 0, 1), (f"{CHUNK - 3}-{CHUNK + 2}", CHUNK - 3, CHUNK + 3),
    (f"{3 * CHUNK}-", 3 * CHUNK, None), ("-5", -5, None), ("5-99999999999", 5, None)])
def test_cat_ranges(cli, model, published, files, text, begin, end):
    got = cli.run("cat", model, "weights.bin", "--range", text).stdout
    assert got == files["weights.bin"][begin:end]


def test_cat(cli, model, published, files, tmp_path):
    assert cli.run("cat", model, "weights.bin").stdout == files["weights.bin"]
    assert cli.run("cat", model, "empty").stdout == b""
    assert cli.run("cat", model, "sub/Größe.txt").stdout == files["sub/Größe.txt"]
    document = cli.json("cat", model, "config.json", "-o", tmp_path / "c")
    assert document["bytes"] == 7 and (tmp_path / "c").read_bytes() == b'{"a":1}'
    head = subprocess.run(
        ["bash", "-c", '"$0" cat "$1" weights.bin | head -c 5; echo "${PIPESTATUS[0]}" >&2',
         str(STRATA), model], env=cli.environment, capture_output=True, timeout=SECONDS)
    assert head.stdout == files["weights.bin"][:5]
    assert head.stderr == b"%d\n" % (128 + signal.SIGPIPE)  # as any command, silently
    cli.error("cat", model, "config.json", "--json", status=USAGE)
    cli.error("cat", model, "config.json", "--range", "7-9", status=USAGE)
    cli.error("cat", model, "config.json", "--range", "x", status=USAGE)
    cli.error("cat", model, "nothing", status=NOT_FOUND)


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


def test_cat_keeps_what_it_cannot_replace(cli, model, published, tmp_path):
    output = tmp_path / "precious"
    output.write_bytes(b"precious")
    cli.error("cat", f"{model}@9", "weights.bin", "-o", output, status=NOT_FOUND)
    cli.error("cat", model, "none", "-o", output, status=NOT_FOUND)
    assert output.read_bytes() == b"precious"
    cli.run("cat", model, "empty", "-o", output)
    assert output.read_bytes() == b""


def test_rm(cli, model, published):
    cli.error("rm", model, status=USAGE)  # which version?
    cli.run("alias", "set", f"{model}@1", "prod")
    assert "alias prod" in cli.error("rm", f"{model}@1", status=CONFLICT)
    document = cli.json("rm", f"{model}@1", "--force")
    assert document["version"] == 1 and document["purge_at"]
    cli.error("show", f"{model}@1", status=NOT_FOUND)  # 410 is as gone as 404
    cli.run("publish", "--files", "-", model, stdin=f"{sha256(b'1')}  one\n".encode())
    assert "can be restored" in cli.text("rm", f"{model}@latest")


def test_tokens_and_whoami(cli, server, tmp_path):
    made = cli.json("tokens", "create", "trainer", "--role", "publisher",
                    "--description", "for tests", "--expires", "2100-01-01T00:00:00Z")
    other = Cli(tmp_path, server.base, made["token"])
    who = other.json("whoami")
    assert (who["principal"], who["role"]) == ("trainer", "publisher")
    assert "trainer (service)" in other.text("whoami")
    listed = {token["id"]: token for token in cli.json("tokens", "ls")["tokens"]}
    assert listed[made["id"]]["description"] == "for tests"
    assert made["id"] in cli.text("tokens", "ls")
    assert made["token"] not in cli.text("tokens", "ls")
    cli.run("tokens", "revoke", made["id"])
    other.error("whoami", status=DENIED)
    assert "revoked" in cli.text("tokens", "ls")
    secret = cli.text("tokens", "create", "someone").strip()
    assert Cli(tmp_path, server.base, secret).json("whoami")["role"] == "reader"
    assert cli.json("tokens", "revoke", made["id"])["revoked"] is True
    cli.error("tokens", "revoke", "nothing", status=NOT_FOUND)


def test_login(server, tmp_path):
    cli = Cli(tmp_path)
    assert "strata login" in cli.error("whoami", status=USAGE)
    text = cli.text("login", server.base, stdin=server.admin_token().encode() + b"\n")
    config = tmp_path / ".config/strata/config.json"
    assert str(config) in text and config.stat().st_mode & 0o777 == 0o600
    assert cli.json("whoami")["role"] == "admin"
    # The environment comes first, and the token goes to its own server only.
    cli.error("whoami", environment={"STRATA_TOKEN": "wrong"}, status=DENIED)
    cli.error("whoami", environment={"STRATA_URL": f"http://localhost:{server.port}"},
              status=DENIED)
    cli.run("whoami", environment={"STRATA_URL": server.base + "/"})  # is the same
    (tmp_path / "token").write_text(server.api("reader").token + "\n")
    assert cli.json("login", server.base, "--token-file", tmp_path / "token")[
        "role"] == "reader"
    before = config.read_text()
    cli.error("login", server.base, stdin=b"wrong\n", status=DENIED)
    cli.error("login", server.base, stdin=b"", status=USAGE)
    assert config.read_text() == before


def test_a_list_of_paths_as_a_shell_completes_them(cli, model, folder):
    lines = cli.run("upload", "./config.json", "./sub/one", cwd=folder).stdout
    version = cli.json("publish", "--files", "-", model, stdin=lines)
    assert [file["path"] for file in version["files"]] == ["config.json", "sub/one"]


def test_help(cli):
    text = cli.text("--help")
    for name in ("login", "publish", "pull", "alias history", "tokens create", "verify"):
        assert name in text
    assert "Exit status" in text
    assert "--idempotency-key" in cli.text("publish", "--help")
    assert cli.text("help", "alias", "set") == cli.text("alias", "set", "--help")
    assert cli.text("--version").startswith("strata ")
    assert "alias history" in cli.run("alias", status=USAGE).stderr.decode()
    assert "alias history" in cli.text("alias", "--help") == cli.text("help", "alias")
    assert "-x: there is no such option" in cli.error("ls", "-qx", status=USAGE)


# ---- errors -----------------------------------------------------------------------


def test_exit_statuses(cli, server, model, published, folder, tmp_path):
    reader = Cli(tmp_path, server.base, server.api("reader").token)
    cli.error("show", "not-a-ref", status=USAGE)
    cli.error("publish", folder, model, "--bogus", status=USAGE)
    cli.run("nonsense", status=USAGE)
    cli.run(status=USAGE)
    cli.error("show", "cli/none", status=NOT_FOUND)
    cli.error("publish", folder, model, "--parent", "cli/none@1:merge", status=NOT_FOUND)
    assert "role" in reader.error("publish", folder, model, status=DENIED)
    cli.error("publish", tmp_path / "nothing", model, status=LOCAL)
    away = {"STRATA_URL": "http://127.0.0.1:9", "STRATA_TOKEN": "x"}
    assert "127.0.0.1:9" in cli.error("ls", "--retry", "0", environment=away, status=AWAY)


def test_errors_name_title_detail_and_request(cli, model, published):
    text = cli.error("show", f"{model}@9", status=NOT_FOUND)
    assert text.startswith("strata: Version not found: ") and "[request " in text
    result = cli.run("show", f"{model}@9", "--json", status=NOT_FOUND)
    error = json.loads(result.stdout)["error"]
    assert error["type"] == "version-not-found" and error["http_status"] == 404
    assert error["exit_status"] == NOT_FOUND and error["request_id"]
    text = cli.error("publish", "--files", "-", model, "--tag", f"{'k' * 200}=v",
                     stdin=f"{sha256(b'1')}  one\n".encode(), status=USAGE)
    assert "(field tags" in text


@pytest.mark.parametrize("option", [
    "--parent=hf:\udcff:merge", "--dataset=s3:\udcff", "--alias=a\udcff",
    "--description=\udcff", "--tag=\udcff=1", "--tag=a=\udcff", "--run-url=\udcff",
    "--idempotency-key=\udcff"])
def test_text_that_is_not_utf8_is_refused(cli, model, folder, option):
    result = cli.run("publish", folder, model, option, "--json", status=USAGE)
    assert "UTF-8" in json.loads(result.stdout)["error"]["detail"]
    cli.error("ls", model, status=NOT_FOUND)


@pytest.mark.parametrize("value", ["", "abc", "1e999", "-1e999", "1,5", "1 2"])
def test_metrics_are_numbers(cli, model, folder, value):
    text = cli.error("publish", folder, model, "--metric", f"m={value}", status=USAGE)
    assert f"--metric m={value}" in text


class Stranger(http.server.BaseHTTPRequestHandler):
    """Answers everything with the same 200."""
    body = b""

    def log_message(self, *arguments):
        pass

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    do_GET = do_PUT = do_POST = do_DELETE = answer


@pytest.mark.parametrize("body", [
    b"<html>welcome</html>", b"", b"{}", b"null", b"[1]", b'{"models":[],"versions":[],'
    b'"tokens":[],"history":[],"next_page_token":"again"}'])
def test_a_server_that_is_none_of_ours(tmp_path, body):
    handler = type("Handler", (Stranger,), {"body": body})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{stranger.server_port}"
        cli = Cli(tmp_path, url, "token")
        folder = write(tmp_path / "model", {"a": b"a"})
        for arguments in (
                ["whoami"], ["ls"], ["ls", "a/b"], ["show", "a/b"], ["tokens", "ls"],
                ["tokens", "create", "x"], ["tokens", "revoke", "x"], ["rm", "a/b@1"],
                ["alias", "set", "a/b@1", "x"], ["alias", "rm", "a/b", "x"],
                ["alias", "history", "a/b", "x"], ["publish", folder, "a/b"],
                ["pull", "a/b", tmp_path / "out"], ["verify", "a/b"],
                ["login", url, "--token-file", "-"]):
            cli.error(*arguments, status=1, stdin=b"token")
        stranger.shutdown()
    assert not (tmp_path / ".config").exists()


# ---- standard output --------------------------------------------------------------


@pytest.mark.parametrize("arguments", [
    ["--help"], ["ls"], ["ls", "--json"], ["tokens", "create", "lost"]])
def test_output_that_cannot_be_written_is_an_error(cli, published, arguments):
    with open("/dev/full", "wb") as full:
        process = subprocess.run(
            [str(STRATA), *arguments], stdout=full, stderr=subprocess.PIPE,
            env=cli.environment, timeout=SECONDS)
    assert process.returncode == LOCAL and b"the disk is full" in process.stderr


def test_output_that_nobody_reads_ends_the_command(cli, published):
    out, into = os.pipe()
    os.close(out)
    process = subprocess.run([str(STRATA), "ls"], stdout=into, stderr=subprocess.PIPE,
                             env=cli.environment, timeout=SECONDS)
    os.close(into)
    assert process.returncode == -signal.SIGPIPE and process.stderr == b""


def test_closed_output_is_no_other_file(cli, model, published, files, tmp_path):
    """Nothing that is opened gets the number of standard output or error."""
    output = tmp_path / "out"
    process = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", str(STRATA), "cat", model,
         "config.json", "--json", "-o", str(output)], env=cli.environment,
        timeout=SECONDS)
    assert process.returncode == LOCAL
    assert output.read_bytes() == files["config.json"]


def test_disk_full(cli, model, published, tmp_path):
    text = cli.error("cat", model, "weights.bin", "-o", "/dev/full", status=LOCAL)
    assert "the disk is full" in text

    def no_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (CHUNK, CHUNK))

    cli.error("pull", model, tmp_path / "out", status=LOCAL, preexec_fn=no_room)
    assert not (tmp_path / "out/weights.bin").exists()


def test_two_pulls_into_one_folder(cli, model, published, files, tmp_path):
    target = tmp_path / "out"
    path = partial(target, files["weights.bin"])
    path.parent.mkdir(parents=True)
    with open(path, "wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        cli.error("pull", model, target, status=CONFLICT)
    cli.run("pull", model, target)
    assert read(target) == files


def test_progress_on_a_terminal_only(cli, model, tmp_path):
    folder = write(tmp_path / "one", {"w": make_bytes(32 * CHUNK, model)})
    assert b"\r" not in cli.run("publish", folder, model).stderr
    shutil.rmtree(cli.home / ".local", ignore_errors=True)
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [str(STRATA), "pull", model, str(tmp_path / "out"), "-j", "1"], stderr=terminal,
        stdout=subprocess.PIPE, env=cli.environment)
    os.close(terminal)
    shown = b""
    try:
        while data := os.read(main, 4096):
            shown += data
    except OSError:  # the other end is closed
        pass
    os.close(main)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert b"% " in shown and b"received" in shown


def test_text_of_the_server_cannot_command_the_terminal(cli, model, published, api):
    api.patch(f"/models/{model}/versions/1", {"description": "a\x9b2Jb"}, expect=200)
    text = cli.text("show", f"{model}@1")
    assert "\x9b" not in text and "a 2Jb" in text
    assert hashlib.sha256(api.get(f"/models/{model}/versions/1/manifest").content
                          ).hexdigest() in text
