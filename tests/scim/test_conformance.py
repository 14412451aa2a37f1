"""Two conformance suites that others wrote, against the endpoint as a real process, with nothing failing.

Of scim-sanity the phases about Agent resources do not run: those are a draft's, and this service does not offer them.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from httpx2 import Client as HttpClient
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server
from scim_sanity.probe.runner import run_probe_api  # type: ignore[import-untyped] # it has no types

from connector.reconcile.journal_store import Store
from connector.scim import user_store
from connector.scim.committing import turn
from connector.scim.seam import Ruling
from tests.scim.endpoint import USER
from tests.scim.served import STRICT_TOKEN, TOKEN, served

NOT_OFFERED = {"Agent CRUD Lifecycle", "AgenticApplication CRUD Lifecycle", "Agent Rapid Lifecycle"}
"""Resources of a draft (draft-abbey-scim-agent-extension) that have nothing to do with a school."""


@pytest.fixture
def base(store: Store, journal_url: str, tmp_path: Path) -> Iterator[str]:
    """Give the URL of an endpoint that runs as a process of its own."""
    del store  # it is there before anybody serves it
    with served(journal_url, tmp_path) as url:
        yield url


def test_scim2_tester_finds_nothing_wrong(base: str) -> None:
    with HttpClient(base_url=base, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
        results = check_server(SyncSCIMClient(http))

    assert [(one.title, one.reason) for one in results if one.status is not Status.SUCCESS] == []
    assert len(results) > 100


def test_scim_sanity_finds_nothing_wrong(base: str, store: Store) -> None:
    # The probe adds a member of this id and wants to hear 200: there has to be such a User.
    with turn(store) as now:
        owner = user_store.Owner("", Ruling("p-1", "scim", active=True, wanted=True))
        user_store.add(now, "fake-member-id", {"schemas": [USER], "userName": "member", "active": True}, owner)

    found = run_probe_api(base, token=STRICT_TOKEN)

    checks = [(check["name"], check["status"], check.get("message")) for check in found["results"]]
    assert [check for check in checks if check[1] not in ("pass", "skip")] == []
    assert {name for name, status, _ in checks if status == "skip"} == NOT_OFFERED
    assert found["exit_code"] == 0
