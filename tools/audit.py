"""Are there known vulnerabilities in what requirements/runtime.txt locks? Asked of a database, package by package.

Exit 0 only where every locked package was looked up and none was found. What could not be looked up is never taken for
good: without the database's answer it ends with 2 and says that nothing was audited.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FOUND, _UNKNOWN = 1, 2
_LOCK = Path("requirements/runtime.txt")


def main(lock: Path = _LOCK) -> int:
    """Audit, say what came of it, and give the exit code."""
    locked = set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", lock.read_text(encoding="utf-8"), re.MULTILINE))
    answer, why = _asked(lock)
    checked = {each["name"].lower(): each for each in answer.get("dependencies", ()) if "vulns" in each}
    if not locked or locked - checked.keys():
        print(f"NOT AUDITED: {len(locked - checked.keys())} of {len(locked)} packages could not be looked up. {why}")
        print("Run it on a machine that reaches the database of vulnerabilities (pypi.org, or a proxy: HTTPS_PROXY).")
        return _UNKNOWN
    found = [f"{name} {each['version']}: {_words(v)}" for name, each in checked.items() for v in each["vulns"]]
    print("\n".join(found) or f"{len(locked)} packages were looked up: no known vulnerability.")
    return _FOUND if found else 0


def _asked(lock: Path) -> tuple[Mapping[str, Any], str]:
    with tempfile.TemporaryDirectory() as fresh:  # an answer of last month is no answer
        words = (
            sys.executable, "-m", "pip_audit", "--requirement", lock, "--require-hashes", "--disable-pip", "--strict",
            "--format", "json", "--progress-spinner", "off", "--cache-dir", fresh,
        )  # fmt: skip
        ran = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    said = ran.stderr.strip().splitlines()
    try:
        answer = json.loads(ran.stdout)
    except ValueError:
        answer = {}
    return answer if isinstance(answer, dict) else {}, said[-1] if said else ""


def _words(vulnerability: Mapping[str, Any]) -> str:
    mended = ", ".join(vulnerability["fix_versions"]) or "no version yet"
    return f"{vulnerability['id']}, mended in {mended}"


if __name__ == "__main__":
    sys.exit(main())
