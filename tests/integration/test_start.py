# SPDX-License-Identifier: Apache-2.0
"""Start and stop with a database that others run: configuration, lock, migrations, the
administrator's token, reload."""
import os
import re
import signal
import socket
import stat
import subprocess

import pytest

from support.stratad import STRATAD, wait_until

TOKEN = re.compile(r"strata_[0-9A-Za-z]{16}_[0-9A-Za-z]{43}\n")


def run(*arguments):
    """stratad to its end; (exit status, standard output, standard error)."""
    done = subprocess.run([STRATAD, *map(str, arguments)], capture_output=True,
                          text=True, timeout=30, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


def fails_to_start(server, status=1):
    """The log of a start that fails."""
    assert server.spawn().wait() == status
    return server.log()


# ---- command line and file ----------------------------------------------------------

@pytest.mark.parametrize("arguments, text", [
    ([], "--data DIR"),
    (["--data"], "needs a value"),
    (["--nonsense", "1"], "--nonsense"),
    (["--data", "/tmp/x", "--connections", "many"], "connections"),
    (["--data", "/tmp/x", "extra"], "extra"),
])
def test_wrong_usage(arguments, text):
    status, out, err = run(*arguments)
    assert status == 2 and out == ""
    assert text in err and err.count("\n") == 1


@pytest.mark.parametrize("line, text", [
    ("nonsense = 1", "nonsense"),
    ("connections = 0", "connections"),
    ("idle_timeout = 5 minutes", "5 minutes"),
    ("just words", "name = value"),
    ("[http]\nlisten = 127.0.0.1:0", "sections"),
])
def test_bad_file_is_named_with_its_line(tmp_path, line, text):
    file = tmp_path / "strata.conf"
    file.write_text(f"# where it lies\ndata = {tmp_path}\n{line}\n")
    status, _, err = run("--config", file)
    assert status == 2
    at = 3 + line.count("\n")
    assert f"{file}:{at}: " in err and text in err


def test_missing_file(tmp_path):
    status, _, err = run("--config", tmp_path / "none.conf")
    assert status == 2 and "none.conf: No such file" in err


def test_prints():
    assert run("--version")[1].startswith("stratad ")
    status, out, _ = run("--help")
    assert status == 0 and "--database-url" in out and "fsync" not in out
    routes = run("--print-routes")[1].splitlines()
    assert "GET /healthz none" in routes and "GET /api/v1/whoami reader" in routes
    assert "| `model-not-found` | 404 |" in run("--print-errors")[1]
    assert "| `strata_http_requests_total` | counter |" in run("--print-metrics")[1]
    assert "| `listen` | ADDR:PORT |" in run("--print-options")[1]


def test_options_from_a_file(make_server):
    server = make_server(start=False)
    file = server.folder / "strata.conf"
    file.write_text("log_level = debug\nmax_blob_size = 1K\n")
    server.options["config"] = file
    server.start()
    server.api("admin").put_blob(b"x" * 1024)
    answer = server.api("admin").put("/blobs/" + "0" * 64, data=b"x" * 1025)
    assert answer.status_code == 413


@pytest.mark.parametrize("listen", ["nowhere", "127.0.0.1", "127.0.0.1:x", "1.2.3.4:1"])
def test_address_that_cannot_be_bound(make_server, listen):
    server = make_server(start=False)
    server.options["listen"] = listen
    command = server.command()
    del command[command.index("--listen"):command.index("--listen") + 2]
    server.command = lambda: command
    assert "cannot start" in fails_to_start(server)


def test_port_in_use(make_server):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = make_server(start=False)
        command = server.command()
        command[command.index("--listen") + 1] = "127.0.0.1:%d" % taken.getsockname()[1]
        server.command = lambda: command
        log = fails_to_start(server)
    assert "cannot start" in log and "in use" in log


def test_port_file_names_the_address(server):
    assert (server.folder / "port").read_text() == f"127.0.0.1:{server.port}\n"


# ---- the data directory ---------------------------------------------------------------

def test_data_directory_cannot_be_made(make_server, tmp_path):
    server = make_server(start=False)
    server.data = tmp_path / "none" / "deeper"
    assert "none/deeper" in fails_to_start(server)


def test_second_stratad_is_refused(make_server, server):
    second = make_server(start=False)
    second.data = server.data
    log = fails_to_start(second)
    assert f"another stratad (process {server.process.pid})" in log
    server.api("admin").get("//readyz", expect=200)


def test_lock_ends_with_the_process(server):
    server.kill()
    server.start()


# ---- migrations -----------------------------------------------------------------------

def test_first_start_makes_everything(make_server):
    server = make_server(fresh=True)
    assert server.database.value("SELECT count(*) FROM schema_migrations") > 0
    file = server.data / "admin.token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert TOKEN.fullmatch(file.read_text())
    who = server.api("admin").get("/whoami", expect=200).json()
    assert who["role"] == "admin" and who["principal"] == "admin"


def test_newer_database_is_refused(make_server):
    server = make_server(start=False)
    newest = server.database.value("SELECT max(number) FROM schema_migrations")
    server.database.rows("INSERT INTO schema_migrations (number, name, sha256)"
                         " VALUES (%s, 'future', %s)", newest + 1, bytes(32))
    before = server.database.counts()
    log = fails_to_start(server)
    assert "newer" in log and "future" in log
    assert server.database.counts() == before


def test_changed_migration_is_refused(make_server):
    server = make_server(start=False)
    server.database.rows(
        "UPDATE schema_migrations SET sha256 = %s WHERE number = 1", bytes(32))
    assert "another text" in fails_to_start(server)


def test_two_start_on_an_empty_database_at_once(make_server):
    """The advisory lock lets one migrate; the other goes on with what it made."""
    one = make_server(fresh=True, start=False)
    two = make_server(fresh=True, start=False)
    own, two.database = two.database, one.database
    one.spawn()
    two.spawn()
    try:
        for server in (one, two):
            wait_until(lambda s=server: s.process.poll() is not None or s._is_ready(),
                       what="it starts or ends")
            assert "deadlock" not in server.log()
        assert one.database.value("SELECT count(*) FROM schema_migrations"
                                  " WHERE number = 1") == 1
        assert one.process.poll() is None or two.process.poll() is None
    finally:
        for server in (one, two):
            if server.process.poll() is None:
                server.stop()
            else:
                server.process = None
        two.database = own


# ---- PostgreSQL at start ----------------------------------------------------------------

def test_waits_for_postgresql(make_server):
    server = make_server(start=False)
    server.database.allow_connections(False)
    server.spawn()
    wait_until(lambda: "waiting for PostgreSQL" in server.log(), what="it waits")
    server.database.allow_connections(True)
    wait_until(server._is_ready, what="it is ready")


def test_stops_while_it_waits(make_server):
    server = make_server(start=False)
    server.database.allow_connections(False)
    server.spawn()
    wait_until(lambda: "waiting for PostgreSQL" in server.log(), what="it waits")
    server.stop(seconds=5)
    assert "cannot start" not in server.log()
    server.database.allow_connections(True)


# ---- the administrator's token --------------------------------------------------------

def test_token_stays_over_a_restart(server):
    token = server.admin_token()
    server.restart()
    assert server.admin_token() == token
    server.api("admin").get("/whoami", expect=200)


def test_reset_admin_token(server, problem):
    old = server.api("admin")
    other = server.api("publisher")
    server.stop()
    command = server.command() + ["--reset-admin-token"]
    server.command, plain = lambda: command, server.command
    server.start()
    file = server.data / "admin.token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert server.admin_token() != old.token
    caller = server.api("admin")
    caller.get("/whoami", expect=200)
    problem(caller.clone(old.token).get("/whoami"), 401, "unauthenticated")
    caller.clone(other.token).get("/whoami", expect=200)
    assert not (server.data / "admin.token.new").exists()
    server.command = plain
    token = server.admin_token()
    server.restart()
    assert server.admin_token() == token


def test_removed_token_file_stays_removed(server):
    """An administrator who has stored the token elsewhere may delete the file."""
    token = server.admin_token()
    file = server.data / "admin.token"
    file.unlink()
    server.restart()
    assert not file.exists()
    server.anonymous().clone(token).get("/whoami", expect=200)


def test_token_of_a_crash_before_the_rename(server):
    """The row was committed, the rename was not: the next start does it."""
    token = server.admin_token()
    server.kill()
    file = server.data / "admin.token"
    file.rename(server.data / "admin.token.new")
    server.start()
    assert server.admin_token() == token
    server.api("admin").get("/whoami", expect=200)


def test_token_of_a_crash_before_the_commit(make_server):
    """The file was written, its row was not: it is forgotten and made again."""
    server = make_server(fresh=True, start=False)
    server.data.mkdir()
    left = server.data / "admin.token.new"
    left.write_text("strata_" + "0" * 16 + "_" + "1" * 43 + "\n")
    server.start()
    assert not left.exists()
    assert "0" * 16 not in server.admin_token()
    server.api("admin").get("/whoami", expect=200)


def test_token_file_of_another_database(make_server):
    """An empty database takes the file's token over instead of throwing it away."""
    server = make_server(fresh=True, start=False)
    server.data.mkdir()
    token = "strata_" + "a" * 16 + "_" + "1" * 43
    (server.data / "admin.token").write_text(token + "\n")
    server.start()
    assert server.admin_token() == token
    server.api("admin").get("/whoami", expect=200)


# ---- reload -------------------------------------------------------------------------

def test_sighup_takes_options_over(make_server):
    server = make_server(start=False)
    file = server.folder / "strata.conf"
    file.write_text("log_level = info\n")
    server.options["config"] = file
    server.start()
    assert "level=debug" not in server.log()
    file.write_text("log_level = warn\ndrain_timeout = 7s\nconnections = 7\n")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "needs a restart" in server.log(), what="it has reloaded")
    log = server.log()
    assert re.search(r"needs a restart.*option=connections", log)
    assert re.search(r"option reloaded.*option=drain_timeout", log)
    server.anonymous().get("//healthz", expect=200)
    assert "path=/healthz" not in server.log()


def test_sighup_with_a_bad_file_changes_nothing(make_server):
    server = make_server(start=False)
    file = server.folder / "strata.conf"
    file.write_text("log_level = info\n")
    server.options["config"] = file
    server.start()
    file.write_text("log_level = loud\n")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "stays as it was" in server.log(), what="it has said so")
    assert f"{file}:1: " in server.log()
    server.anonymous().get("//healthz", expect=200)


def test_sigpipe_is_survived(server):
    os.kill(server.process.pid, signal.SIGPIPE)
    server.anonymous().get("//healthz", expect=200)
