# SPDX-License-Identifier: Apache-2.0
"""The commands of tiers: what they print, what they end with, and that they wait."""
import json
import os
import pty
import re
import select
import subprocess

import pytest

from support.chain import CHUNK, big_bytes, make_bytes, sha256
from support.cli import CONFLICT, DENIED, NOT_FOUND, USAGE, Cli, write
from support.moves import bring, tiers_of
from support.stratad import STRATA, wait_until

NOTHING = "0" * 64
FAILED = 1


@pytest.fixture
def server(make_server):
    return make_server(policy_interval="1h")


@pytest.fixture
def files():
    """Small enough for one request, and large enough for parts."""
    return {"config.json": b"{}", "weights.bin": make_bytes(2 * CHUNK + 5, "cli tiers"),
            "empty": b""}


def on(server, data, tier):
    wait_until(lambda: tier in tiers_of(server, sha256(data)), 30, f"it is {tier}")


def moved(server, data, tier):
    bring(server, sha256(data), tier)


# ---- tiers, placements --------------------------------------------------------------


def test_tiers(cli, server, published):
    text = cli.text("tiers")
    lines = [line.split() for line in text.splitlines()]
    assert lines[0][0] == "TIER" and [line[0] for line in lines[1:]] == ["hot", "warm", "cold"]
    assert all(line[1] == "online" for line in lines[1:])
    assert cli.json("tiers")["tiers"][0]["tier"] == "hot"


def test_a_rule_that_cannot_be_held_is_told(make_server, tmp_path):
    server = make_server(policy_interval="100ms", hot_capacity=10000)
    cli = Cli(tmp_path, server.base, server.admin_token())
    folder = write(tmp_path / "model", {"w": make_bytes(20000, "large")})
    cli.run("publish", folder, "acme/large")
    cli.run("tier-rules", "set", "-", stdin=b'{"rules": [{"name": "up", "tier": "hot"}]}')
    wait_until(lambda: "rule up is not satisfied: hot has no room" in cli.text("tiers"), 20)


def test_placements(cli, server, published, model, files):
    digest = sha256(files["weights.bin"])
    text = cli.text("placements", model, "weights.bin")
    assert text == cli.text("placements", digest)
    assert re.search(r"^hot +ready +8\.4 MB +raw +2\S+Z +default$", text, re.MULTILINE), text
    assert re.search(r"^next: hot, \w+", text, re.MULTILINE)
    assert cli.json("placements", digest)["placements"][0]["tier"] == "hot"
    cli.error("placements", model, "none", status=NOT_FOUND)
    cli.error("placements", model, status=USAGE)
    cli.error("placements", NOTHING, status=NOT_FOUND)


# ---- publish and upload -------------------------------------------------------------


@pytest.mark.parametrize("tier", ["hot", "warm", "cold"])
def test_publish_to_a_tier(cli, server, folder, files, model, tier):
    """Also what is small: it goes another way without a tier."""
    cli.run("publish", folder, model, "--tier", tier)
    for path in ("config.json", "weights.bin"):
        on(server, files[path], tier)
        wait_until(lambda path=path: tiers_of(server, sha256(files[path])) == (tier,), 30)
    cli.run("pull", model, folder.parent / "pulled")
    assert (folder.parent / "pulled/weights.bin").read_bytes() == files["weights.bin"]


def test_upload_to_a_tier(cli, server, tmp_path):
    data = {"small": make_bytes(100, "small"), "large": make_bytes(2 << 20, "large")}
    folder = write(tmp_path / "up", data)
    cli.run("upload", folder / "small", folder / "large", "--tier", "warm")
    for content in data.values():
        assert tiers_of(server, sha256(content)) == ("warm",)
    # What is there already stays where it is.
    cli.run("upload", folder / "small", folder / "large")
    assert tiers_of(server, sha256(data["small"])) == ("warm",)


def test_a_streamed_file_goes_to_its_tier(cli, server, tmp_path):
    data = big_bytes("streamed", 65 << 20)
    write(tmp_path / "up", {"big": data})
    cli.run("upload", tmp_path / "up/big", "--tier", "warm")
    assert tiers_of(server, sha256(data)) == ("warm",)


def test_tiers_that_there_are_not(cli, folder, model):
    for command in (("publish", folder, model), ("upload", folder / "empty"), ("pin", model),
                    ("prefetch", model), ("moves", "start", model)):
        error = cli.error(*command, "--tier", "lukewarm", status=USAGE)
        assert "lukewarm" in error
    for command in (("pin", model), ("prefetch", model), ("moves", "start", model)):
        assert "--tier" in cli.error(*command, status=USAGE)


# ---- pins ---------------------------------------------------------------------------


def test_pins(cli, server, published, model, files):
    moved(server, files["config.json"], "cold")
    text = cli.text("pin", model, "--tier", "hot", "--until", "2100-01-01T00:00:00Z")
    number = re.match(rf"pin (\d+) keeps {model}@1 \(8\.4 MB\) on hot until 2100-01-01", text)[1]
    on(server, files["config.json"], "hot")
    digest = sha256(files["weights.bin"])
    blob = cli.json("pin", digest, "-t", "hot")
    lines = cli.text("pin", "ls").splitlines()
    assert lines[1].split()[0] == str(blob["id"]) and lines[1].endswith(digest)
    assert lines[2].split()[0] == number and lines[2].endswith(f"{model}@1")
    assert len(cli.json("pin", "ls")["pins"]) == 2
    assert cli.text("pin", "rm", number) == f"pin {number} is removed\n"
    assert cli.json("pin", "rm", blob["id"]) == {"id": str(blob["id"]), "removed": True}
    cli.error("pin", "rm", number, status=NOT_FOUND)
    cli.error("pin", "rm", "x/y", status=USAGE)
    cli.error("pin", "not a ref", "--tier", "hot", status=USAGE)
    cli.error("pin", "acme/none", "--tier", "hot", status=NOT_FOUND)
    cli.error("pin", model, "--tier", "hot", "--until", "tomorrow", status=USAGE)


def test_rm_of_a_pinned_version(cli, published, model):
    cli.run("pin", model, "--tier", "hot")
    cli.error("rm", f"{model}@1", status=CONFLICT)
    cli.run("rm", f"{model}@1", "--force")


# ---- moves --------------------------------------------------------------------------


def test_start_and_wait(cli, server, published, model, files):
    text = cli.text("moves", "start", model, "--tier", "warm", "--wait")
    assert text == "3 blobs, 8.4 MB, were brought to warm\n"
    for data in files.values():
        assert tiers_of(server, sha256(data)) == ("warm",)
    document = cli.json("moves", "start", sha256(files["empty"]), "--tier", "cold", "--wait")
    assert [move["state"] for move in document["moves"]] == ["done"]
    assert "on their way to hot" in cli.text("moves", "start", model, "--tier", "hot")
    for data in files.values():
        on(server, data, "hot")


def test_list_show_cancel(make_server, tmp_path):
    server = make_server(policy_interval="1h", move_bandwidth="1M")
    cli = Cli(tmp_path, server.base, server.admin_token())
    digest = server.api().put_blob(big_bytes("cancel", 4 * CHUNK))
    (move,) = cli.json("moves", "start", digest, "--tier", "warm")["moves"]
    number = str(move["id"])
    wait_until(lambda: cli.json("moves", "show", number)["state"] == "copying", 20)
    line = cli.text("moves", "--state", "copying").splitlines()[1].split()
    assert line[:4] == [number, "hot", "warm", "copying"] and digest in line
    assert cli.text("moves", "ls").splitlines()[1].split()[0] == number
    assert re.search(r"^state +copying$", cli.text("moves", "show", number), re.MULTILINE)
    assert cli.text("moves", "cancel", number) == f"Move {number} is cancelled\n"
    wait_until(lambda: cli.json("moves", "show", number)["state"] == "cancelled", 20)
    cli.error("moves", "cancel", number, status=CONFLICT)
    cli.error("moves", "show", "999999", status=NOT_FOUND)
    cli.error("moves", "show", "../tiers", status=USAGE)
    cli.error("moves", "--state", "gone", status=USAGE)
    cli.error("moves", "everything", status=USAGE)
    assert cli.json("moves", "ls", "--state", "done")["moves"] == []


def test_a_wait_that_ends_badly(make_server, tmp_path):
    server = make_server(policy_interval="1h", move_bandwidth="1M")
    cli = Cli(tmp_path, server.base, server.admin_token())
    digest = server.api().put_blob(big_bytes("badly", 4 * CHUNK))
    waiting = cli.spawn("moves", "start", digest, "--tier", "warm", "--wait")
    (move,) = wait_until(lambda: server.api().get("/moves").json()["moves"], 20)
    server.api().delete(f"/moves/{move['id']}", expect=204)
    out, error = waiting.communicate(timeout=40)
    assert waiting.returncode == FAILED and out == b""
    assert f"move {move['id']} is cancelled".encode() in error


def test_what_is_tried_again_is_told(make_server, tmp_path):
    server = make_server(policy_interval="1h", warm_capacity=4000)
    cli = Cli(tmp_path, server.base, server.admin_token())
    digest = server.api().put_blob(make_bytes(5000, "again"))
    waiting = cli.spawn("moves", "start", digest, "--tier", "warm", "--wait")
    (move,) = wait_until(
        lambda: [m for m in server.api().get("/moves").json()["moves"] if m["error"]], 20)
    said = waiting.stderr.readline().decode()
    assert f"move {move['id']} is tried again: " in said and "4000 bytes left" in said
    server.api().delete(f"/moves/{move['id']}", expect=204)
    waiting.communicate(timeout=40)
    assert waiting.returncode == FAILED


# ---- prefetch -----------------------------------------------------------------------


def test_prefetch(cli, server, published, model, files):
    for path in ("config.json", "weights.bin"):
        moved(server, files[path], "cold")
    text = cli.text("prefetch", model, "--tier", "hot", "--files", "*.json", "--wait")
    assert text == "1 blobs, 2 bytes, were brought to hot\n"
    assert tiers_of(server, sha256(files["weights.bin"])) == ("cold",)
    document = cli.json("prefetch", model, "--tier", "warm", "--files", "weights.bin",
                        "--files", "empty", "--wait")
    assert [move["state"] for move in document["moves"]] == ["done"]
    on(server, files["weights.bin"], "warm")
    cli.error("prefetch", model, "--tier", "hot", "--files", "none", status=NOT_FOUND)


def on_terminal(cli, *arguments):
    """What it writes to a terminal."""
    leader, follower = pty.openpty()
    process = subprocess.Popen([str(STRATA), *arguments], stdin=follower, stdout=follower,
                               stderr=follower, env=cli.environment)
    os.close(follower)
    said = b""
    while select.select([leader], [], [], 60)[0]:
        try:
            piece = os.read(leader, 65536)
        except OSError:
            break
        said += piece
    os.close(leader)
    assert process.wait(60) == 0, said
    return said.decode()


def test_progress(make_server, tmp_path):
    server = make_server(policy_interval="1h", move_bandwidth="4M")
    cli = Cli(tmp_path, server.base, server.admin_token())
    server.api().publish("acme/big", {"w": big_bytes("progress", 5 * CHUNK)})
    said = on_terminal(cli, "moves", "start", "acme/big", "--tier", "warm", "--wait")
    shown = [int(number) for number in re.findall(r"\] +(\d+)%", said)]
    assert shown == sorted(shown) and len(set(shown)) > 3
    assert re.search(r"of 21\.0 MB moved, [\d.]+ \wB/s, \d+ s left", said)
    quiet = cli.run("prefetch", "acme/big", "--tier", "hot", "--wait", "--quiet")
    assert quiet.stderr == b""


# ---- rules --------------------------------------------------------------------------


def test_rules(cli, tmp_path):
    assert cli.text("tier-rules", "get") == '{"rules": []}\n'
    rules = [{"name": "production", "when": {"alias": "prod"}, "tier": "hot"},
             {"name": "rest", "when": {"idle_longer_than": "30d"}, "tier": "cold"}]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"rules": rules}))
    text = cli.text("tier-rules", "set", file, "--dry-run")
    assert text.endswith("nothing was changed\n")
    assert "rule production (hot) takes 0 versions: 0 blobs" in text
    assert cli.json("tier-rules", "get") == {"rules": []}
    assert cli.text("tier-rules", "set", file) == "2 rules are in force\n"
    # What is printed is what can be set.
    printed = cli.text("tier-rules", "get")
    assert json.loads(printed) == {"rules": rules}
    cli.run("tier-rules", "set", "-", stdin=b'{"rules": []}')
    cli.run("tier-rules", "set", "-", stdin=printed.encode())
    history = cli.json("tier-rules", "history")["history"]
    assert [entry["rules"] for entry in history] == [rules, [], rules]
    assert "production" in cli.text("tier-rules", "history")


def test_rules_that_are_refused(cli, tmp_path):
    for text in (b"", b"{", b"[]", b'{"rules": [{"name": "x"}]}', b'{"rules": [], "a": 1}',
                 b'{"rules": [], "rules": []}'):
        cli.error("tier-rules", "set", "-", status=USAGE, stdin=text)
    error = cli.error("tier-rules", "set", "-", status=USAGE,
                      stdin=b'{"rules": [{"name": "x", "tier": "ice"}]}')
    assert "rules[0].tier" in error
    cli.error("tier-rules", "set", tmp_path / "none.json", status=8)


def test_who_may(server, tmp_path, published, model):
    reader = Cli(tmp_path, server.base, server.api("reader").token)
    for command in (("pin", model, "--tier", "hot"), ("prefetch", model, "--tier", "hot"),
                    ("moves", "start", model, "--tier", "warm"), ("moves", "cancel", "1")):
        reader.error(*command, status=DENIED)
    for command in (("tiers",), ("moves",), ("pin", "ls"), ("tier-rules", "get"),
                    ("tier-rules", "history"), ("placements", model, "config.json")):
        reader.run(*command)
    publisher = Cli(tmp_path, server.base, server.api("publisher").token)
    publisher.run("prefetch", model, "--tier", "hot")
    publisher.error("pin", model, "--tier", "hot", status=DENIED)
