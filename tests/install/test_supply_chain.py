"""What an installation is made of is written down the same each time, and no audit passes that did not take place."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tools import audit
from tools.sbom import needed_by

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8")
PACKAGES = dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^ \\]+)", LOCK, re.MULTILINE))
HASHES = re.findall(r"--hash=sha256:([0-9a-f]{64})", LOCK)

VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1], encoding="utf-8").read()))
"""


@pytest.fixture(scope="module")
def python() -> Path:
    """Give the Python of the tools' own environment, made from their lock."""
    subprocess.run(["make", "--silent", ".venv-tools/.tools", f"PYTHON={sys.executable}"], cwd=ROOT, check=True)
    return ROOT / ".venv-tools" / "bin" / "python"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dist") / "connector-0-py3-none-any.whl"
    path.write_bytes(b"a wheel")
    return path


def sbom(python: Path, wheel: Path, out: Path) -> bytes:
    words = (python, "-m", "tools.sbom", "--wheel", wheel, "--out", out)
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    return out.read_bytes()


@pytest.fixture(scope="module")
def document(python: Path, wheel: Path) -> Any:
    return json.loads(sbom(python, wheel, wheel.with_name("first.json")))


def test_the_sbom_names_ourselves_and_every_locked_package_with_version_and_digests(document: Any, wheel: Path) -> None:
    said = {each["name"]: each["version"] for each in document["components"]}
    digests = [
        found["content"]
        for each in document["components"]
        for reference in each["externalReferences"]
        for found in reference["hashes"]
    ]

    assert said == PACKAGES
    assert sorted(digests) == sorted(HASHES)
    own = document["metadata"]["component"]
    assert own["name"] == "connector"
    assert own["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}]


def test_the_sbom_says_who_needs_what(document: Any) -> None:
    names = {each["bom-ref"]: each["name"] for each in document["components"]}
    needs = {each["ref"]: {names[ref] for ref in each.get("dependsOn", ())} for each in document["dependencies"]}
    by_name = {names[ref]: found for ref, found in needs.items() if ref in names}

    own = needs[document["metadata"]["component"]["bom-ref"]]

    assert {"ldap3", "sqlalchemy", "flask", "psycopg"} <= own
    assert {"werkzeug", "jinja2"} <= by_name["flask"]
    assert needed_by(LOCK)["pyasn1"] == {"ldap3"}


def test_the_sbom_is_the_same_bytes_each_time_and_what_cyclonedx_asks_for(
    python: Path, wheel: Path, document: Any, tmp_path: Path
) -> None:
    again = sbom(python, wheel, tmp_path / "again.json")

    valid = subprocess.run(
        [python, "-c", VALIDATE, tmp_path / "again.json"], capture_output=True, text=True, check=True
    )
    assert again == wheel.with_name("first.json").read_bytes()
    assert valid.stdout.strip() == "None"
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert "timestamp" not in document["metadata"]
    assert "serialNumber" not in document


def test_an_audit_that_reaches_no_database_fails_and_says_that_nothing_was_audited(python: Path) -> None:
    nowhere = f"http://127.0.0.1:{servers.free_port()}"
    environment = {**os.environ, "HTTPS_PROXY": nowhere, "HTTP_PROXY": nowhere, "ALL_PROXY": nowhere, "NO_PROXY": ""}

    ran = subprocess.run(
        [python, "-m", "tools.audit"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 2
    assert f"NOT AUDITED: {len(PACKAGES)} of {len(PACKAGES)} packages could not be looked up." in ran.stdout
    assert "Run it on a machine that reaches the database of vulnerabilities" in ran.stdout
    assert "no known vulnerability" not in ran.stdout


@pytest.mark.parametrize(
    ("looked_up", "code", "said"),
    [
        ({"ldap3": []}, 2, "NOT AUDITED: 1 of 2 packages could not be looked up."),
        ({"ldap3": [], "flask": []}, 0, "2 packages were looked up: no known vulnerability."),
        ({"ldap3": [], "flask": [{"id": "CVE-1", "fix_versions": ["4"]}]}, 1, "flask 3: CVE-1, mended in 4"),
    ],
)
def test_an_audit_is_good_only_where_every_package_was_looked_up_and_none_is_known(
    looked_up: dict[str, Any],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = {"dependencies": [{"name": name, "version": "3", "vulns": found} for name, found in looked_up.items()]}
    monkeypatch.setattr(audit, "_asked", lambda _: (answer, ""))
    (tmp_path / "lock.txt").write_text("flask==3\nldap3==3\n", encoding="utf-8")

    ended = audit.main(tmp_path / "lock.txt")

    assert ended == code
    assert said in capsys.readouterr().out
