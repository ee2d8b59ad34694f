# SPDX-License-Identifier: Apache-2.0
"""More clients than there is room for: told so at once, and served as soon as there is."""
import pytest

from support.rawhttp import Closed, Connection
from support.stratad import wait_until

CONNECTIONS = 40


@pytest.fixture
def server(make_server):
    return make_server(connections=CONNECTIONS, idle_timeout="5s")


def ask(connection, path, token=None):
    headers = [f"Authorization: Bearer {token}"] if token else []
    connection.request("GET", path, headers)
    return connection.answer()


def test_connections_run_out(server, api):
    token = server.admin_token()
    api.session.close()
    held = []
    try:
        answers = []
        while len(held) < CONNECTIONS - 1:
            connection = Connection(server.address)
            held.append(connection)
            answers.append(ask(connection, "/api/v1/whoami", token))
        # 503 before exhaustion: the last few are kept for those who watch the server.
        statuses = [answer.status for answer in answers]
        full = statuses.index(503)
        assert statuses[:full] == [200] * full and full > CONNECTIONS // 2
        assert set(statuses[full:]) == {503}
        assert answers[-1].slug() == "unavailable"
        assert int(answers[-1].header("retry-after")) >= 1
        assert ask(held[-1], "/healthz").status == 200
    finally:
        for connection in held:
            connection.socket.close()

    def recovered():
        try:
            with Connection(server.address) as connection:
                return ask(connection, "/api/v1/whoami", token).status == 200
        except (Closed, ConnectionError):
            return False

    wait_until(recovered, what="there is room again")


def test_idle_connections_are_closed(server):
    with Connection(server.address) as silent, Connection(server.address) as half:
        half.send("GET /healthz HTTP/1.1\r\nHost:")
        assert silent.is_closed()
        half.rest()  # an answer or none: it ends


def test_more_clients_than_connections_go_on(server, api):
    """Past the limit connections are refused or wait; none gets a wrong answer, and the
    server is there when they are gone."""
    crowd = []
    for _ in range(3 * CONNECTIONS):
        try:
            crowd.append(Connection(server.address))
        except ConnectionError:
            continue
    for connection in crowd:
        connection.socket.close()
    wait_until(lambda: is_served(server), what="it serves again")


def is_served(server):
    try:
        with Connection(server.address) as connection:
            return ask(connection, "/readyz").status == 200
    except (Closed, ConnectionError):
        return False
