# SPDX-License-Identifier: Apache-2.0
"""What `strata` refuses, how it exits, and what it does with its output."""
import fcntl
import hashlib
import http.server
import json
import os
import pty
import resource
import shutil
import signal
import subprocess
import threading

import pytest

from support.chain import CHUNK, make_bytes, sha256
from support.cli import (
    AWAY, CONFLICT, DENIED, LOCAL, NOT_FOUND, SECONDS, USAGE, Cli, partial, read, write)
from support.stratad import STRATA


@pytest.fixture
def server(shared_server):
    return shared_server


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
