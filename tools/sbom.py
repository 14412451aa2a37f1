"""What an installation is made of, as CycloneDX: what requirements/runtime.txt locks, who needs it, and our own wheel.

Made from the lock alone, so that it names what was tested and not what happens to be installed here. The same lock and
the same wheel give the same bytes: no time and no serial number stands in it.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_LOCK = Path("requirements/runtime.txt")
_PROJECT = "pyproject.toml"
_PACKAGE = re.compile(r"^([a-z0-9][a-z0-9._-]*)==", re.MULTILINE)
_VIA = re.compile(r"^ +# +(?:via )?([a-z0-9][a-z0-9._-]*)(?:\[.*\])?(?: \(pyproject\.toml\))?$", re.MULTILINE)


def needed_by(lock: str) -> Mapping[str, frozenset[str]]:
    """Give, for each package of a lock, which others need it; `connector` where it is the project itself."""
    starts = [*_PACKAGE.finditer(lock)]
    ends = [*(found.start() for found in starts[1:]), len(lock)]
    return {
        found[1]: frozenset(_VIA.findall(lock, found.end(), end)) - {"via"}
        for found, end in zip(starts, ends, strict=True)
    }


def completed(document: dict[str, Any], lock: str, wheel: Path) -> dict[str, Any]:
    """Give the document with who needs what, and the wheel's own digest."""
    root = document["metadata"]["component"]
    root["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}]
    refs = {each["name"]: each["bom-ref"] for each in document["components"]} | {root["name"]: root["bom-ref"]}
    for each in document["components"]:
        del each["description"]  # the line of the lock once more, hashes and all
    document["dependencies"] = [{"ref": refs[name], **_on(name, refs, needed_by(lock))} for name in sorted(refs)]
    return document


def _on(name: str, refs: Mapping[str, str], needed: Mapping[str, frozenset[str]]) -> dict[str, list[str]]:
    found = sorted(refs[package] for package, by in needed.items() if name in by and package in refs)
    return {"dependsOn": found} if found else {}


def _described() -> dict[str, Any]:
    tool = Path(sys.executable).parent / "cyclonedx-py"
    words: Sequence[str | Path] = (
        tool, "requirements", _LOCK, "--pyproject", _PROJECT, "--mc-type", "application", "--output-reproducible",
        "--spec-version", "1.6", "--output-format", "JSON",
    )  # fmt: skip
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own words
    document: dict[str, Any] = json.loads(said)
    return document


def _said(document: Mapping[str, Any], out: Path) -> Iterator[str]:
    root = document["metadata"]["component"]
    yield f"{out}: {root['name']} {root['version']} and the {len(document['components'])} packages it is locked to."


def main() -> None:
    """Write the document."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--wheel", type=Path, required=True)
    words.add_argument("--out", type=Path, required=True)
    asked = words.parse_args()
    document = completed(_described(), _LOCK.read_text(encoding="utf-8"), asked.wheel)
    asked.out.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8", newline="\n")
    print("\n".join(_said(document, asked.out)))


if __name__ == "__main__":
    main()
