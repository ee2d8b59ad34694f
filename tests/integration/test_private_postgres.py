# SPDX-License-Identifier: Apache-2.0
"""The private PostgreSQL: made, adopted, restarted, stopped; clear words where it
cannot be."""
import os
import pathlib
import signal
import stat
import subprocess

import pytest

from support.private import lives, private_servers
from support.stratad import wait_until


@pytest.fixture(scope="module")
def make_shared():
    with private_servers() as make:
        yield make


@pytest.fixture
def make():
    with private_servers() as make:
        yield make


@pytest.fixture(scope="module")
def shared(make_shared):
    return make_shared().start()


@pytest.fixture
def private(shared):
    """One cluster for all tests that leave it running."""
    if shared.process is None:
        shared.start()
    return shared


def fails_to_start(server):
    assert server.spawn().wait() == 1
    return server.log()


def test_first_start(private):
    assert stat.S_IMODE((private.data / "admin.token").stat().st_mode) == 0o600
    assert stat.S_IMODE(private.cluster.stat().st_mode) == 0o700
    private.api("admin").get("/whoami", expect=200)
    lines = private.postmaster_file()
    run = pathlib.Path(lines[4])
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert lines[5] == "", "it listens on a TCP address"
    if os.geteuid() == 0:
        assert private.cluster.stat().st_uid != 0


def test_no_tcp_socket(private):
    """Neither listening nor connected: the cluster knows its Unix socket alone."""
    inodes = set()
    for descriptor in pathlib.Path(f"/proc/{private.postmaster()}/fd").iterdir():
        try:
            inodes.add(os.readlink(descriptor))
        except FileNotFoundError:
            pass
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path("/proc/net", table).read_text().splitlines()[1:]:
            assert f"socket:[{line.split()[9]}]" not in inodes


def test_its_own_session(private):
    """Ctrl-C at the terminal reaches stratad, which then stops PostgreSQL."""
    assert os.getsid(private.postmaster()) != os.getsid(private.process.pid)


def test_killed_stratad_leaves_a_postmaster_that_is_adopted(private):
    pid = private.postmaster()
    token = private.api("admin").create_token("kept", "reader")["token"]
    private.kill()
    assert lives(pid)
    private.start()
    assert private.postmaster() == pid and "adopted" in private.log()
    private.api("admin").clone(token).get("/whoami", expect=200)


def test_stop_stops_it_and_restart_keeps_the_data(private):
    pid = private.postmaster()
    token = private.api("admin").create_token("stays", "reader")["token"]
    private.stop()
    assert not lives(pid) and private.postmaster_file() == []
    private.start()
    assert private.postmaster() != pid
    private.api("admin").clone(token).get("/whoami", expect=200)


def test_other_settings_restart_an_adopted_one(private):
    pid = private.postmaster()
    private.kill()
    private.options["database_connections"] = 40
    private.start()
    assert private.postmaster() != pid
    private.api("admin").get("/whoami", expect=200)


def test_killed_postmaster_comes_back(private):
    """Service resumes by itself, with everything that was acknowledged."""
    api = private.api("admin")
    token = api.create_token("survivor", "reader")["token"]
    pid = private.postmaster()
    private.kill_postmaster()
    wait_until(lambda: api.clone().get("//readyz").status_code == 200 and
               private.postmaster() not in (None, pid), what="it is back")
    api.clone(token).get("/whoami", expect=200)
    wait_until(lambda: "strata_database_restarts_total 1" in api.get("//metrics").text,
               what="the restart is counted")


def test_hung_postgresql_counts_as_away(make):
    server = make(database_timeout="500ms", acquire_timeout="500ms").start()
    api = server.api("admin")
    api.get("/tokens", expect=200)
    with server.frozen():
        answer = api.get("/tokens", timeout=15)
        assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0
        api.get("//metrics", expect=200)
        api.get("//healthz", expect=200)
    wait_until(lambda: api.get("//readyz").status_code == 200, what="it is ready")
    api.get("/tokens", expect=200)


def test_both_killed(private):
    token = private.api("admin").create_token("both", "reader")["token"]
    pid = private.postmaster()
    private.kill()
    os.kill(pid, signal.SIGKILL)
    private.start()
    assert private.postmaster() != pid
    private.api("admin").clone(token).get("/whoami", expect=200)


def test_stale_pid_file(private):
    """The number in postmaster.pid was given out again, to somebody else."""
    private.stop()
    lines = ["1", str(private.cluster), "1600000000", "5432", "", "", "", "ready   "]
    (private.cluster / "postmaster.pid").write_text("\n".join(lines) + "\n")
    private.start()
    private.api("admin").get("/whoami", expect=200)


def test_logs_lie_beside_the_data(private):
    logs = list((private.cluster / "log").glob("postgresql-*.log"))
    assert logs and "ready to accept connections" in logs[0].read_text()


def test_another_major_version(private):
    private.stop()
    file = private.cluster / "PG_VERSION"
    text = file.read_text()
    try:
        file.write_text("9\n")
        log = fails_to_start(private)
    finally:
        file.write_text(text)
    assert "PostgreSQL 9" in log and "install" in log
    private.start()


def test_half_made_cluster_is_made_again(make):
    """A kill in the middle of the first start."""
    server = make()
    left = server.data / "postgres.new"
    left.mkdir(parents=True)
    server.data.chmod(0o711)
    (left / "PG_VERSION").write_text("15\n")
    server.start()
    assert not left.exists()
    server.api("admin").get("/whoami", expect=200)


def test_first_start_survives_kills(make):
    """Killed again and again at other moments of the very first start."""
    server = make()
    for milliseconds in (30, 150, 300, 450, 600, 750, 900, 1100):
        server.spawn()
        try:
            server.process.wait(milliseconds / 1000)
        except subprocess.TimeoutExpired:
            pass
        assert server.process.poll() is None, server.log()
        server.kill()
    server.start()
    server.api("admin").get("/whoami", expect=200)
    assert not (server.data / "postgres.new").exists()
    assert not (server.data / "admin.token.new").exists()


def test_long_path_takes_a_short_socket(make):
    server = make(name="/".join(["deep" * 10] * 3)).start()
    run = pathlib.Path(server.postmaster_file()[4])
    try:
        assert run.parent in (pathlib.Path("/run"), pathlib.Path("/tmp"))
        assert stat.S_IMODE(run.stat().st_mode) == 0o700
        server.api("admin").get("/whoami", expect=200)
        server.stop()
    finally:
        if run.parent.name in ("run", "tmp") and run.name.startswith("strata-"):
            for path in run.iterdir():
                path.unlink()
            run.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user run it")
def test_folder_that_postgresql_cannot_enter(make):
    server = make()
    server.folder.chmod(0o700)
    log = fails_to_start(server)
    assert f"chmod o+x {server.folder}" in log
    server.folder.chmod(0o755)
    server.start()
