# SPDX-License-Identifier: Apache-2.0
"""The other commands of `strata`, and what it takes from a CI run."""
import signal
import subprocess

import pytest

from support.chain import CHUNK, sha256
from support.cli import CONFLICT, DENIED, NOT_FOUND, SECONDS, USAGE, Cli
from support.stratad import STRATA


@pytest.fixture
def server(shared_server):
    return shared_server


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
