"""The sample school's expected outcomes, row by row, through the real command."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.cli.builders import AS_OF, SAMPLE, School

_ROOT = Path(__file__).parents[2]


def connector(school: School, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "connector", "--config", str(school.config), *words]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", check=False, env=environment, cwd=school.folder
    )


def test_every_row_of_the_sample_is_decided_as_expected(built: School, tmp_path: Path) -> None:
    status, memberships = tmp_path / "status.json", tmp_path / "memberships.json"
    status.write_text(connector(built, "status", "--format", "json", "--as-of", AS_OF).stdout, encoding="ascii")
    memberships.write_text(
        connector(built, "--as-of", AS_OF, "--format", "json", "memberships").stdout, encoding="ascii"
    )

    compared = subprocess.run(
        [sys.executable, str(SAMPLE / "compare.py"), str(SAMPLE), str(status), str(memberships)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert compared.stdout.strip() == "164 right, 0 wrong"
    assert compared.returncode == 0


def test_the_document_of_status_has_the_promised_shape(built: School) -> None:
    document = json.loads(connector(built, "status", "--format", "json", "--as-of", AS_OF).stdout)

    assert set(document) == {"as_of", "counts", "identities"}
    assert document["as_of"] == AS_OF
    wanted = [
        "person_id",
        "code",
        "name",
        "username",
        "status",
        "reasons",
        "holds",
        "legs",
        "open_outside_scope",
        "evidence",
    ]
    assert all(list(identity) == wanted for identity in document["identities"])
    legs = {frozenset(identity["legs"]) for identity in document["identities"]}
    assert legs == {frozenset(["disable_directory", "clear_credential", "disable_member", "end_sessions"])}
    orphans = [i for i in document["identities"] if i["person_id"] is None]
    assert orphans
    assert all(o["username"] for o in orphans)


def test_the_document_of_memberships_has_the_promised_shape(built: School) -> None:
    rows = json.loads(connector(built, "memberships", "--format", "json", "--as-of", AS_OF).stdout)

    wanted = ["portal", "person_id", "status", "membership_type", "strategy_match", "nightly"]
    assert all(list(row) == wanted for row in rows)
    would_be = [r for r in rows if r["nightly"] != "none"]
    assert would_be
    assert all(r["status"] is None and r["membership_type"] is None for r in would_be)


def test_a_module_call_ends_with_the_exit_code_of_the_verb(built: School) -> None:
    stopped = connector(built, "plan", "--check", "--as-of", AS_OF)
    mistyped = connector(built, "plan", "--chek")

    assert (stopped.returncode, mistyped.returncode) == (3, 1)
    assert "Traceback" not in mistyped.stderr
