"""The way out over HTTP, against a real server on loopback: where it goes, what it never does, how long it waits."""

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from connector.adapters import http_edge
from connector.adapters.http_edge import HttpEdge, Origin, one_by_one, segment
from connector.errors import ConfigError, SourceError, TargetUnreachable
from connector.model import EndSessions, LegState, Outcome
from tests.servers import free_port
from tests.servers.certificates import make_authority, make_leaf

Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Server:
    """A web server that answers with what a test tells it, and remembers what it was asked."""

    url: str
    replies: list[Reply] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def edge(self, path: str = "", **more: Any) -> HttpEdge:
        return HttpEdge("Store web", Origin.parse("[x]", "url", self.url + path), **more)


def started(folder: Path | None = None) -> tuple[Server, http.server.ThreadingHTTPServer]:
    class Answering(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            made.asked.append((self.command, self.path, dict(self.headers)))
            status, headers, body = made.replies.pop(0) if made.replies else (200, {}, b"{}")
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    scheme = "http"
    if folder:
        leaf = make_leaf(make_authority(folder), "web")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(leaf.certificate, leaf.key)
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        scheme = "https"
    made = Server(f"{scheme}://127.0.0.1:{listening.server_port}")
    threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return made, listening


@pytest.fixture
def server() -> Iterator[Server]:
    made, listening = started()
    yield made
    listening.shutdown()
    listening.server_close()


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[Server]:
    made, listening = started(tmp_path)
    yield made
    listening.shutdown()
    listening.server_close()


@pytest.fixture
def waits() -> list[float]:
    return []


# --- where it goes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://sso.school.example", "clear text"),
        ("ftp://sso.school.example", "not the address of a server"),
        ("https://", "not the address of a server"),
        ("https://a:b@sso.school.example", "user name or password"),
        ("https://sso.school.example/?token=x", "not the address of a server"),
        ("https://sso.school.example:port", "not an address"),
        ("sso.school.example", "not the address of a server"),
    ],
)
def test_an_address_that_is_unsafe_or_none_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Origin.parse("[session_stores.sso]", "url", url)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("https://sso.school.example/next?page=2", True),
        ("https://SSO.school.example:443/next", True),
        ("http://sso.school.example/next", False),
        ("https://sso.school.example:8443/next", False),
        ("https://sso.school.example.evil.example/next", False),
        ("https://evil.example/https://sso.school.example", False),
        ("https://sso.school.example@evil.example/", False),
        ("https://sso.school.example:x/", False),
        ("https://evil.example\\@sso.school.example/", False),
        ("https://somebody:else@sso.school.example/", False),
        ("https://sso.school.example/a\nb", False),
    ],
)
def test_an_address_a_server_hands_out_is_of_the_same_origin_or_not_followed(other: str, *, same: bool) -> None:
    assert Origin.parse("[x]", "url", "https://sso.school.example/auth").has(other) is same


def test_a_page_on_another_server_is_never_asked_for(server: Server) -> None:
    with pytest.raises(SourceError, match="another server"):
        server.edge().send("GET", "https://evil.example/next", headers={"Authorization": "Bearer t0ken"})

    assert server.asked == []


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:{evil}\\@127.0.0.1:{port}/next", "http://evil[@127.0.0.1:{port}/"]
)
def test_an_address_that_two_readers_take_for_two_servers_gets_no_token(server: Server, address: str) -> None:
    elsewhere, listening = started()
    ports = {"port": urlsplit(server.url).port, "evil": urlsplit(elsewhere.url).port}

    with pytest.raises(SourceError, match="another server"):
        server.edge().send("GET", address.format(**ports), headers={"Authorization": "Bearer t0ken"})

    assert (server.asked, elsewhere.asked) == ([], [])
    listening.shutdown()
    listening.server_close()


def test_what_http_cannot_send_is_a_slip_in_the_config_and_not_repeated(server: Server) -> None:
    edge = HttpEdge("Store web", Origin.parse("[x]", "url", "https://sso..example"))

    with pytest.raises(ConfigError, match="cannot be asked"):
        edge.send("GET", "/")
    with pytest.raises(ConfigError, match="odd characters") as refused:
        server.edge().send("GET", "/", headers={"Authorization": "Bearer s3cr3t\u2014"})
    assert "s3cr3t" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_page_on_the_same_server_is_asked_for(server: Server) -> None:
    server.edge("/auth").send("GET", f"{server.url}/auth/next?page=2")

    assert server.asked[0][1] == "/auth/next?page=2"


def test_a_path_begins_where_the_config_says(server: Server) -> None:
    server.edge("/auth/").send("GET", "/admin", params={"q": "a&b"})

    assert server.asked[0][1] == "/auth/admin?q=a%26b"


@pytest.mark.parametrize("user", ["..", ".", "a/../b", "a?b#c", "ü@x", "%2e%2e", "a b\r\nHost: x"])
def test_a_hostile_name_stays_one_segment_of_its_path(server: Server, user: str) -> None:
    server.edge().send("GET", f"/users/{segment(user)}/sessions")

    path = server.asked[0][1]
    assert path.startswith("/users/")
    assert path.endswith("/sessions")
    assert path.count("/") == 3


def test_a_redirect_is_never_followed_and_said(server: Server) -> None:
    server.replies = [(302, {"Location": f"{server.url}/elsewhere"}, b"")]

    with pytest.raises(SourceError, match="redirects"):
        server.edge().send("GET", "/users", headers={"Authorization": "Bearer t0ken"})

    assert len(server.asked) == 1


def test_proxies_and_netrc_of_the_environment_count_for_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login eve password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

    server.edge().send("GET", "/users")

    assert "Authorization" not in server.asked[0][2]


# --- what comes back --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "sentence"),
    [
        (400, SourceError, r"refused the request \(400, invalid_grant\)"),
        (401, SourceError, r"refused the login or the right \(401, invalid_grant\)"),
        (403, SourceError, "refused the login or the right"),
        (500, TargetUnreachable, "failed"),
        (502, TargetUnreachable, "failed"),
    ],
)
def test_an_answer_nobody_expects_is_an_error_with_its_code_and_no_more(
    server: Server, status: int, error: type[Exception], sentence: str
) -> None:
    body = {"error": "invalid_grant", "error_description": "the token t0ken of eve"}
    server.replies = [(status, {}, json.dumps(body).encode())]

    with pytest.raises(error, match=sentence) as caught:
        server.edge().send("GET", "/users", headers={"Authorization": "Bearer t0ken"})

    assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000, b"\xff", b""])
def test_a_body_that_is_no_json_is_nothing(server: Server, body: bytes) -> None:
    server.replies = [(200, {}, body)]

    assert server.edge().send("GET", "/users").body is None


def test_an_answer_without_end_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_edge, "_LARGEST_BODY", 1000)
    server.replies = [(200, {}, b"x" * 200_000)]

    with pytest.raises(SourceError, match="without end"):
        server.edge().send("GET", "/users")


def test_a_server_that_is_not_there_is_unreachable() -> None:
    gone = HttpEdge("Store web", Origin.parse("[x]", "url", f"http://127.0.0.1:{free_port()}"))

    with pytest.raises(TargetUnreachable, match="does not answer"):
        gone.send("GET", "/users")


# --- waiting ----------------------------------------------------------------------------------------------------


def test_a_busy_server_is_asked_again_after_the_time_it_names(server: Server, waits: list[float]) -> None:
    server.replies = [(429, {"Retry-After": "7"}, b""), (503, {}, b""), (200, {}, b"[1]")]

    answer = server.edge(sleep=waits.append).send("DELETE", "/sessions")

    assert answer.body == [1]
    assert waits == [7.0, 1.0]


def test_a_server_that_stays_busy_is_unreachable_after_three_tries(server: Server, waits: list[float]) -> None:
    server.replies = [(429, {"Retry-After": "1"}, b"")] * 5

    with pytest.raises(TargetUnreachable, match="too busy"):
        server.edge(sleep=waits.append).send("GET", "/users")

    assert (len(server.asked), waits) == (3, [1.0, 1.0])


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "86400"},
        {"Retry-After": "Fri, 31 Dec 2999 23:59:59 GMT"},
        {"X-Rate-Limit-Reset": "99999999999"},
    ],
)
def test_nobody_waits_for_a_server_that_asks_for_a_day(
    server: Server, waits: list[float], headers: dict[str, str]
) -> None:
    server.replies = [(429, headers, b"")]

    with pytest.raises(TargetUnreachable):
        server.edge(sleep=waits.append).send("GET", "/users")

    assert waits == []


@pytest.mark.parametrize("header", ["soon", "-5", "Fri, 99 Foo 2026", "1e9"])
def test_a_waiting_time_that_is_none_is_a_second(server: Server, waits: list[float], header: str) -> None:
    server.replies = [(429, {"Retry-After": header}, b"")]

    server.edge(sleep=waits.append).send("GET", "/users")

    assert waits == [1.0]


# --- TLS --------------------------------------------------------------------------------------------------------


def test_a_certificate_of_the_named_authority_is_believed(tls: Server, tmp_path: Path) -> None:
    assert tls.edge(ca_file=str(tmp_path / "ca.pem")).send("GET", "/users").status == 200


def test_a_certificate_nobody_vouches_for_is_no_connection(tls: Server) -> None:
    with pytest.raises(TargetUnreachable, match="cannot be verified"):
        tls.edge().send("GET", "/users", headers={"Authorization": "Bearer t0ken"})

    assert tls.asked == []


def test_an_authority_that_cannot_be_read_is_an_error_of_the_configuration(tls: Server) -> None:
    with pytest.raises(ConfigError, match="ca_file"):
        tls.edge(ca_file="missing.pem").send("GET", "/users")


# --- batches ----------------------------------------------------------------------------------------------------


def test_once_a_server_is_gone_the_rest_of_the_batch_is_unreachable_without_trying() -> None:
    tried: list[str] = []

    def end(item: EndSessions) -> Outcome:
        tried.append(item.user)
        errors = {"refused": SourceError("no right"), "gone": TargetUnreachable("gone")}
        if item.user in errors:
            raise errors[item.user]
        return Outcome(LegState.CLOSED)

    outcomes = one_by_one([EndSessions(user) for user in ("a", "refused", "b", "gone", "c")], end)

    assert tried == ["a", "refused", "b", "gone"]
    assert [outcome.state for outcome in outcomes] == [
        LegState.CLOSED,
        LegState.REFUSED,
        LegState.CLOSED,
        LegState.UNREACHABLE,
        LegState.UNREACHABLE,
    ]
