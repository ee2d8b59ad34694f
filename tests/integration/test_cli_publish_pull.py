# SPDX-License-Identifier: Apache-2.0
"""Publishing and pulling with `strata`, both ways, when nothing goes wrong. (Large files are in
test_large.py.)"""
import pytest

from support.chain import CHUNK, sha256
from support.cli import CONFLICT, LOCAL, NOT_FOUND, USAGE, read, write


@pytest.fixture
def server(shared_server):
    return shared_server


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
