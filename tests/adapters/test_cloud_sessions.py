"""Keycloak, Microsoft Graph and Okta, from the shapes their documentation gives."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import pytest
import requests
import responses
from responses import matchers

from connector.adapters.graph import GraphSessionStore, GraphSettings
from connector.adapters.keycloak import KeycloakSessionStore, KeycloakSettings
from connector.adapters.okta import OktaSessionStore, OktaSettings
from connector.errors import ConfigError, SourceError, TargetUnreachable
from connector.interfaces import Secret, SessionStore, Site
from connector.model import EndSessions, LegState, Level, SessionKey

NOW = datetime.now(UTC)
SSO = "https://sso.school.example"
ADMIN = f"{SSO}/admin/realms/school"
TOKEN = f"{SSO}/realms/school/protocol/openid-connect/token"
LOGIN, GRAPH = "https://login.microsoftonline.com", "https://graph.microsoft.com"
OKTA = "https://school.okta.com"
ANY_URL = re.compile("https://.*")
ID = "7f3a0c1e-2222-4444-8888-0123456789ab"

Store = KeycloakSessionStore | GraphSessionStore | OktaSessionStore


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("CLOUD_SECRET", "s3cret-of-ours")
    return Site(tmp_path, tmp_path, ZoneInfo("Australia/Adelaide"))


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        yield mocked


@pytest.fixture
def keycloak(web: responses.RequestsMock, site: Site) -> KeycloakSessionStore:
    web.post(TOKEN, json={"access_token": "t0ken", "expires_in": 60, "token_type": "Bearer"})
    return KeycloakSessionStore("web", KEYCLOAK, site)


@pytest.fixture
def graph(web: responses.RequestsMock, site: Site) -> GraphSessionStore:
    url = f"{LOGIN}/school.example/oauth2/v2.0/token"
    web.post(url, json={"token_type": "Bearer", "expires_in": 3599, "access_token": "t0ken"})
    return GraphSessionStore("web", ENTRA, site)


@pytest.fixture
def okta(site: Site) -> OktaSessionStore:
    return OktaSessionStore("web", OKTA_SETTINGS, site)


SECRET = Secret(env="CLOUD_SECRET")
KEYCLOAK = KeycloakSettings(SSO, "school", "connector", SECRET, "engage")
ENTRA = GraphSettings("school.example", "app", SECRET, "engage", LOGIN, GRAPH, user_suffix="@school.example")
OKTA_SETTINGS = OktaSettings(OKTA, SECRET, "engage", user_suffix="@school.example")


def calls(web: responses.RequestsMock) -> list[str]:
    """Give what was asked, in order, without the tokens."""
    return [f"{call.request.method} {call.request.url}" for call in web.calls if "token" not in str(call.request.url)]


def header(web: responses.RequestsMock, part: str) -> set[str]:
    return {call.request.headers.get("Authorization", "") for call in web.calls if part in str(call.request.url)}


# --- Keycloak ---------------------------------------------------------------------------------------------------


def session(number: int, user: str = "u1003", started: datetime = NOW) -> dict[str, Any]:
    """A UserSessionRepresentation."""
    milliseconds = int(started.timestamp() * 1000)
    return {
        "id": f"s{number}-9f8e7d6c",
        "username": user,
        "userId": ID,
        "ipAddress": "203.0.113.7",
        "start": milliseconds,
        "lastAccess": milliseconds,
        "clients": {"c1": "portal"},
    }


def offline(client: str) -> dict[str, Any]:
    return {
        "clientId": client,
        "grantedClientScopes": [],
        "additionalGrants": [{"client": "c1", "key": "Offline Token"}],
    }


def known_user(web: responses.RequestsMock, *, sessions: list[list[dict[str, Any]]], consents: list[Any]) -> None:
    """Let Keycloak know one user; each list is one answer, the last one stays."""
    query = matchers.query_param_matcher({"username": "u1003", "exact": "true"})
    web.get(f"{ADMIN}/users", json=[{"id": ID, "username": "u1003", "enabled": True}], match=[query])
    for found in sessions:
        web.get(f"{ADMIN}/users/{ID}/sessions", json=found)
    for found in consents:
        web.get(f"{ADMIN}/users/{ID}/consents", json=found)
    web.post(f"{ADMIN}/users/{ID}/logout", status=204)


def test_keycloak_logs_out_deletes_offline_tokens_and_reads_back(
    web: responses.RequestsMock, keycloak: KeycloakSessionStore
) -> None:
    known_user(
        web,
        sessions=[[session(1), session(2)], []],
        consents=[[offline("mobile/app"), {"clientId": "portal", "additionalGrants": []}], []],
    )
    web.delete(f"{ADMIN}/users/{ID}/consents/mobile%2Fapp", status=204)

    outcome = keycloak.close([EndSessions("u1003", ("engage",))])[0]

    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 3)
    assert calls(web) == [
        f"GET {ADMIN}/users?username=u1003&exact=true",
        f"GET {ADMIN}/users/{ID}/sessions",
        f"POST {ADMIN}/users/{ID}/logout",
        f"GET {ADMIN}/users/{ID}/consents",
        f"DELETE {ADMIN}/users/{ID}/consents/mobile%2Fapp",
        f"GET {ADMIN}/users/{ID}/sessions",
        f"GET {ADMIN}/users/{ID}/consents",
    ]
    assert header(web, "/admin/") == {"Bearer t0ken"}


def test_keycloak_sets_the_mark_also_where_no_session_is_seen(
    web: responses.RequestsMock, keycloak: KeycloakSessionStore
) -> None:
    known_user(web, sessions=[[]], consents=[[]])

    outcome = keycloak.close([EndSessions("u1003")])[0]

    assert (outcome.state, outcome.ended) == (LegState.ALREADY_CLOSED, 0)
    assert f"POST {ADMIN}/users/{ID}/logout" in calls(web)


def test_keycloak_that_keeps_a_session_is_refused_and_not_called_closed(
    web: responses.RequestsMock, keycloak: KeycloakSessionStore
) -> None:
    known_user(web, sessions=[[session(1), session(2)], [session(2)]], consents=[[]])

    outcome = keycloak.close([EndSessions("u1003")])[0]

    assert (outcome.state, outcome.ended) == (LegState.REFUSED, 1)
    assert "9f8e7d6c" not in repr(outcome)


def test_keycloak_ends_only_older_sessions_one_by_one_where_a_time_is_given(
    web: responses.RequestsMock, keycloak: KeycloakSessionStore
) -> None:
    old, new = session(1, started=NOW - timedelta(hours=1)), session(2, started=NOW + timedelta(hours=1))
    known_user(web, sessions=[[old, new], [new]], consents=[])
    web.delete(f"{ADMIN}/sessions/s1-9f8e7d6c", status=204)

    outcome = keycloak.close([EndSessions("u1003", older_than=NOW)])[0]

    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 1)
    assert not [call for call in calls(web) if "logout" in call or "s2-" in call]


def test_keycloak_never_believes_a_user_it_was_not_asked_for(
    web: responses.RequestsMock, keycloak: KeycloakSessionStore
) -> None:
    web.get(f"{ADMIN}/users", json=[{"id": ID, "username": "u10033"}])

    outcome = keycloak.close([EndSessions("u1003")])[0]

    assert outcome.state is LegState.ALREADY_CLOSED
    assert len(calls(web)) == 1


def test_keycloak_users_who_share_a_mailbox_are_nobodys_to_end(web: responses.RequestsMock, site: Site) -> None:
    web.post(TOKEN, json={"access_token": "t0ken", "expires_in": 60, "token_type": "Bearer"})
    web.get(f"{ADMIN}/users", json=[{"id": str(n), "email": "Family@school.example"} for n in (1, 2)])
    store = KeycloakSessionStore("web", replace(KEYCLOAK, lookup="email", user_key=SessionKey.EMAIL), site)

    outcome = store.close([EndSessions("family@school.example")])[0]

    assert outcome.state is LegState.REFUSED
    assert "2 users" in outcome.detail


def test_keycloak_finds_a_user_by_id(web: responses.RequestsMock, site: Site) -> None:
    web.post(TOKEN, json={"access_token": "t0ken", "expires_in": 60, "token_type": "Bearer"})
    web.get(f"{ADMIN}/users/{ID}", json={"id": ID, "username": "u1003"})
    web.get(f"{ADMIN}/users/nobody", status=404, json={"error": "User not found"})
    known_user(web, sessions=[[session(1)], []], consents=[[]])
    store = KeycloakSessionStore("web", replace(KEYCLOAK, lookup="id", user_key=SessionKey.NATIVE_ID), site)

    outcomes = store.close([EndSessions(ID), EndSessions("nobody")])

    assert [(o.state, o.ended) for o in outcomes] == [(LegState.CLOSED, 1), (LegState.ALREADY_CLOSED, 0)]


def test_keycloak_sessions_of_all_clients_are_read_page_by_page_and_each_once(
    web: responses.RequestsMock, keycloak: KeycloakSessionStore
) -> None:
    web.get(
        f"{ADMIN}/client-session-stats",
        json=[
            {"id": "c1", "clientId": "portal", "active": "501", "offline": "0"},
            {"id": "c2", "clientId": "mobile", "active": "0", "offline": "1"},
        ],
    )
    everybody = [session(number, f"u{number}") for number in range(501)]
    for first, page in ((0, everybody[:500]), (500, everybody[500:])):
        query = matchers.query_param_matcher({"first": str(first), "max": "500"})
        web.get(f"{ADMIN}/clients/c1/user-sessions", json=page, match=[query])
    web.get(f"{ADMIN}/clients/c2/offline-sessions", json=[everybody[7]])

    reading = keycloak.read_all()

    assert len(reading.sessions) == 501
    assert {s.portal for s in reading.sessions} == {"engage"}
    assert reading.sessions[0].created_at is not None
    assert "9f8e7d6c" not in repr(reading)


def test_a_token_that_is_refused_is_fetched_anew_once(
    web: responses.RequestsMock, keycloak: KeycloakSessionStore
) -> None:
    web.get(f"{ADMIN}/users", status=401, json={"error": "HTTP 401 Unauthorized"})
    known_user(web, sessions=[[]], consents=[[]])

    outcome = keycloak.close([EndSessions("u1003")])[0]

    assert outcome.state is LegState.ALREADY_CLOSED
    assert len([call for call in web.calls if call.request.url == TOKEN]) == 2


def test_the_client_secret_goes_to_the_token_endpoint_and_nowhere_else(
    web: responses.RequestsMock, keycloak: KeycloakSessionStore
) -> None:
    known_user(web, sessions=[[]], consents=[[]])

    keycloak.close([EndSessions("u1003"), EndSessions("u1003")])

    sent = [(call.request.url, str(call.request.body), str(call.request.headers)) for call in web.calls]
    assert [url for url, body, headers in sent if "s3cret" in body + headers + str(url)] == [TOKEN]
    assert parse_qs(sent[0][1])["grant_type"] == ["client_credentials"]


# --- Microsoft Graph --------------------------------------------------------------------------------------------


def entra_user(web: responses.RequestsMock, **more: Any) -> None:
    user = {"id": ID, "userPrincipalName": "U1003@school.example", "mail": None, "userType": "Member"}
    marked = {"signInSessionsValidFromDateTime": "2026-01-05T08:00:00Z"}
    web.get(f"{GRAPH}/v1.0/users/u1003%40school.example", json={**user, **marked, **more})


def revoking(web: responses.RequestsMock, body: object = None) -> None:
    answer = {"@odata.context": f"{GRAPH}/v1.0/$metadata#Edm.Boolean", "value": True} if body is None else body
    web.post(f"{GRAPH}/v1.0/users/{ID}/revokeSignInSessions", json=answer)


def test_graph_revokes_by_object_id_and_is_effective_by_a_time(
    web: responses.RequestsMock, graph: GraphSessionStore
) -> None:
    entra_user(web)
    revoking(web)
    asked_at = datetime.now(UTC)

    outcome = graph.close([EndSessions("u1003", ("engage",))])[0]

    assert outcome.state is LegState.EFFECTIVE_BY
    assert outcome.effective_by is not None
    assert timedelta(minutes=59) < outcome.effective_by - asked_at < timedelta(minutes=61)
    assert calls(web)[-1] == f"POST {GRAPH}/v1.0/users/{ID}/revokeSignInSessions"


def test_a_token_of_graph_goes_to_graph_and_the_secret_to_the_login_host_only(
    web: responses.RequestsMock, graph: GraphSessionStore
) -> None:
    entra_user(web)
    revoking(web)

    graph.close([EndSessions("u1003")])

    assert header(web, LOGIN) == {""}
    assert header(web, GRAPH) == {"Bearer t0ken"}
    bodies = {str(call.request.body) for call in web.calls if "s3cret" in str(call.request.body)}
    assert [parse_qs(body)["scope"] for body in bodies] == [[f"{GRAPH}/.default"]]


@pytest.mark.parametrize("body", [{"value": False}, {}, [], "yes"])
def test_graph_that_does_not_confirm_is_asked_again(
    web: responses.RequestsMock, graph: GraphSessionStore, body: object
) -> None:
    entra_user(web)
    revoking(web, body)

    assert graph.close([EndSessions("u1003")])[0].state is LegState.REFUSED


def test_a_guest_signs_in_elsewhere_and_that_is_said(web: responses.RequestsMock, graph: GraphSessionStore) -> None:
    entra_user(web, userType="Guest")

    outcome = graph.close([EndSessions("u1003")])[0]

    assert outcome.state is LegState.REFUSED
    assert "another tenant" in outcome.detail


def test_a_resumed_revocation_that_already_took_effect_is_not_sent_again(
    web: responses.RequestsMock, graph: GraphSessionStore
) -> None:
    entra_user(web, signInSessionsValidFromDateTime=NOW.isoformat())

    outcome = graph.close([EndSessions("u1003", older_than=NOW - timedelta(minutes=5))])[0]

    assert (outcome.state, outcome.effective_by) == (LegState.EFFECTIVE_BY, NOW + timedelta(minutes=60))
    assert len(calls(web)) == 1


def test_graph_without_such_a_user_has_nothing_to_end(web: responses.RequestsMock, graph: GraphSessionStore) -> None:
    missing = {"error": {"code": "Request_ResourceNotFound", "message": "Resource does not exist."}}
    web.get(f"{GRAPH}/v1.0/users/u1003%40school.example", status=404, json=missing)

    assert graph.close([EndSessions("u1003")])[0].state is LegState.ALREADY_CLOSED


def test_graph_never_believes_a_user_it_was_not_asked_for(
    web: responses.RequestsMock, graph: GraphSessionStore
) -> None:
    entra_user(web, userPrincipalName="u2000@school.example")

    outcome = graph.close([EndSessions("u1003")])[0]

    assert outcome.state is LegState.REFUSED
    assert "another user" in outcome.detail


def test_graph_without_the_permission_is_refused_with_graphs_own_code(
    web: responses.RequestsMock, graph: GraphSessionStore
) -> None:
    denied = {"error": {"code": "Authorization_RequestDenied", "message": "Insufficient privileges."}}
    web.get(f"{GRAPH}/v1.0/users/u1003%40school.example", status=403, json=denied)
    web.get(f"{GRAPH}/v1.0/users", status=403, json=denied)

    outcome, findings = graph.close([EndSessions("u1003")])[0], graph.check()

    assert outcome.state is LegState.REFUSED
    assert "Authorization_RequestDenied" in outcome.detail
    assert [finding.level for finding in findings] == [Level.ERROR]


# --- Okta -------------------------------------------------------------------------------------------------------


def okta_user(web: responses.RequestsMock, login: str = "U1003@school.example") -> None:
    user = {"id": "00ub0oNGTSWTBKOLGLNR", "status": "ACTIVE", "profile": {"login": login, "email": login}}
    web.get(f"{OKTA}/api/v1/users/u1003%40school.example", json=user)


SESSIONS = f"{OKTA}/api/v1/users/00ub0oNGTSWTBKOLGLNR/sessions"


def test_okta_clears_sessions_and_tokens_and_is_effective_by_a_time(
    web: responses.RequestsMock, okta: OktaSessionStore
) -> None:
    okta_user(web)
    web.delete(SESSIONS, status=204, match=[matchers.query_param_matcher({"oauthTokens": "true"})])

    outcome = okta.close([EndSessions("u1003")])[0]

    assert outcome.state is LegState.EFFECTIVE_BY
    assert outcome.effective_by is not None
    assert header(web, OKTA) == {"SSWS s3cret-of-ours"}


def test_okta_that_is_busy_is_asked_again_and_left_alone_in_the_end(
    web: responses.RequestsMock, okta: OktaSessionStore
) -> None:
    waits: list[float] = []
    okta._edge._sleep = waits.append
    okta_user(web)
    web.delete(SESSIONS, status=429, headers={"Retry-After": "3"}, json={"errorCode": "E0000047"})

    outcomes = okta.close([EndSessions("u1003"), EndSessions("u1004")])

    assert [outcome.state for outcome in outcomes] == [LegState.UNREACHABLE] * 2
    assert waits == [3.0, 3.0]


def test_okta_that_was_busy_for_a_moment_is_effective(web: responses.RequestsMock, okta: OktaSessionStore) -> None:
    waits: list[float] = []
    okta._edge._sleep = waits.append
    okta_user(web)
    web.delete(SESSIONS, status=429, headers={"X-Rate-Limit-Reset": str(int(time.time()) + 5)})
    web.delete(SESSIONS, status=204)

    outcome = okta.close([EndSessions("u1003")])[0]

    assert outcome.state is LegState.EFFECTIVE_BY
    assert 0 < waits[0] <= 6


def test_okta_never_ends_the_sessions_of_whom_it_takes_for_meant(web: responses.RequestsMock, site: Site) -> None:
    owner = {"id": "00uOWNER", "profile": {"login": "connector@school.example"}}
    web.get(f"{OKTA}/api/v1/users/me", json=owner)
    store = OktaSessionStore("web", replace(OKTA_SETTINGS, user_suffix=""), site)

    outcome = store.close([EndSessions("me")])[0]

    assert outcome.state is LegState.REFUSED
    assert len(calls(web)) == 1


def test_okta_without_such_a_user_has_nothing_to_end(web: responses.RequestsMock, okta: OktaSessionStore) -> None:
    web.get(f"{OKTA}/api/v1/users/u1003%40school.example", status=404, json={"errorCode": "E0000007"})

    assert okta.close([EndSessions("u1003")])[0].state is LegState.ALREADY_CLOSED


# --- all of them ------------------------------------------------------------------------------------------------


@pytest.fixture(params=["keycloak", "graph", "okta"])
def cloud(request: pytest.FixtureRequest) -> Store:
    store: Store = request.getfixturevalue(request.param)
    return store


def test_it_is_a_session_store(cloud: Store) -> None:
    assert isinstance(cloud, SessionStore)
    assert cloud.user_key is SessionKey.USERNAME


def test_nobody_and_other_portals_are_never_asked_about(web: responses.RequestsMock, cloud: Store) -> None:
    outcomes = cloud.close([EndSessions(""), EndSessions("u1003", ("staff", "library"))])

    assert [outcome.state for outcome in outcomes] == [LegState.ALREADY_CLOSED] * 2
    assert len(web.calls) == 0


def test_a_cloud_that_does_not_answer_is_unreachable_for_every_item(web: responses.RequestsMock, cloud: Store) -> None:
    web.reset()

    outcomes, findings = cloud.close([EndSessions("u1003"), EndSessions("u1004")]), cloud.check()

    assert [outcome.state for outcome in outcomes] == [LegState.UNREACHABLE] * 2
    assert [finding.level for finding in findings] == [Level.ERROR]


def test_an_empty_batch_asks_nothing(web: responses.RequestsMock, cloud: Store) -> None:
    assert cloud.close([]) == ()
    assert len(web.calls) == 0


@pytest.mark.parametrize("name", ["graph", "okta"])
def test_a_store_that_cannot_list_says_so_in_its_reading(
    request: pytest.FixtureRequest, web: responses.RequestsMock, name: str
) -> None:
    reading = request.getfixturevalue(name).read_all()

    assert reading.sessions == ()
    assert "cannot list sessions" in reading.provenance.source
    assert len(web.calls) == 0


def test_keycloak_that_cannot_be_read_is_an_error_and_never_no_sessions(
    web: responses.RequestsMock, keycloak: KeycloakSessionStore
) -> None:
    web.get(f"{ADMIN}/client-session-stats", status=404, json={"error": "Realm not found."})

    with pytest.raises(SourceError, match="no list"):
        keycloak.read_all()

    web.reset()
    keycloak.disconnect()
    with pytest.raises(TargetUnreachable):
        keycloak.read_all()


def test_no_secret_and_no_token_is_in_any_outcome_finding_or_error(web: responses.RequestsMock, cloud: Store) -> None:
    web.reset()
    quoting = json.dumps({"error": "denied", "error_description": "s3cret-of-ours t0ken"})
    for method in ("GET", "POST", "DELETE"):
        web.add_callback(method, ANY_URL, lambda _: (403, {}, quoting))

    said = repr(cloud.close([EndSessions("u1003")])) + repr(cloud.check())

    assert "s3cret" not in said
    assert "t0ken" not in said


@pytest.mark.parametrize("token", ["t0ken\r\nX-Evil: 1", "", None, 7, "tökn"])
def test_a_token_that_is_no_header_is_no_token(web: responses.RequestsMock, site: Site, token: object) -> None:
    web.post(TOKEN, json={"access_token": token, "expires_in": 60, "token_type": "Bearer"})

    outcome = KeycloakSessionStore("web", KEYCLOAK, site).close([EndSessions("u1003")])[0]

    assert outcome.state is LegState.REFUSED
    assert "gave no token" in outcome.detail


def test_clear_text_is_refused(site: Site) -> None:
    with pytest.raises(ConfigError, match=r"\[session_stores.web\] graph_url"):
        GraphSessionStore("web", replace(ENTRA, graph_url="http://graph.microsoft.com"), site)


def test_a_broken_connection_is_unreachable(web: responses.RequestsMock, okta: OktaSessionStore) -> None:
    okta_user(web)
    web.delete(SESSIONS, body=requests.exceptions.ChunkedEncodingError("cut off"))

    assert okta.close([EndSessions("u1003")])[0].state is LegState.UNREACHABLE
