"""`make demo`: one night of a sample school, shown command by command, from its data to a proven joint revocation.

Everything happens in one folder that this script makes anew each time; it never touches another system. Each command
must end the way it is told here, or the demo stops and says so.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SCHOOL = "sample/harbour-college"
OUT = "demo"
AS_OF = ("--as-of", "2026-11-21")  # the day the sample school is written for: the same plan on any day
CONNECTOR = Path(sys.executable).with_name("connector")

MEANING = {
    0: "nothing to do, or done",
    1: "an error",
    2: "changes are pending",
    3: "stopped by an objection, nothing was written",
    4: "finished, with revocations still open",
}

NEXT = """
What to look at next
  export CONNECTOR_CONFIG={out}/config.toml PATH="$PWD/.venv/bin:$PATH"
  connector report                        the night on one page
  connector status --as-of 2026-11-21     everybody, with reasons and holds
  connector explain CODE                  one person: can they log in now, and why
  connector history                       what was done, by whom
  {out}/config.toml                        every rule with its comment: change one, plan again
Your own school: export the files that {school}/README.md lists, then
  connector demo --school YOUR-FOLDER --out trial
"""


def main() -> None:
    """Tell the night in order."""
    make_school()
    say("What would be closed, and why. A plan never writes.")
    show("plan", *AS_OF)
    say("The nightly run. It has nothing to compare with yet, so it objects and stops: a person looks first.")
    show("run", "--apply", *AS_OF, ends=3)
    say("Somebody has looked at the plan and approves this one, naming the objection.")
    show("approve", plan_id(), "--waive", "first-run")
    show("run", "--apply", *AS_OF)
    say("The proof: the connector reads everything again and finds nothing left to do.")
    show("run", "--apply", *AS_OF)
    show("plan", "--check", *AS_OF)
    print(NEXT.format(out=OUT, school=SCHOOL))


def make_school() -> None:
    """Build the folder: a config, a portal and a session database, a directory in an LDIF file."""
    folder = ROOT / OUT
    if folder.exists() and not (folder / "config.toml").exists():
        sys.exit(f"{folder} is there and was not made by this demo. Move it away, then try again.")
    shutil.rmtree(folder, ignore_errors=True)
    say("A sample school on embedded parts: people in CSV files, portal and sessions in SQLite, the directory in LDIF.")
    show("demo", "--school", SCHOOL, "--out", OUT)


def say(sentence: str) -> None:
    """Say what comes next."""
    print(f"\n# {sentence}", flush=True)


def show(*words: str, ends: int = 0) -> None:
    """Show a command, run it, and stop the demo where it does not end as told."""
    print(f"\n$ connector {' '.join(words)}\n", flush=True)
    code = connector(*words).returncode
    print(f"\n  exit {code}: {MEANING.get(code, 'no exit code of the connector')}", flush=True)
    if code != ends:
        sys.exit(f"\nThe demo stops here: exit {ends} was expected ({MEANING[ends]}).")


def plan_id() -> str:
    """Give the name of the plan that waits for approval."""
    shown = connector("plan", *AS_OF, "--format", "json", stdout=subprocess.PIPE)
    return str(json.loads(shown.stdout)["plan_id"])


def connector(*words: str, stdout: Any = None) -> subprocess.CompletedProcess[bytes]:
    """Run the connector on the demo's own config."""
    environment = {**os.environ, "CONNECTOR_CONFIG": f"{OUT}/config.toml"}
    command = [str(CONNECTOR), *words]
    return subprocess.run(command, check=False, cwd=ROOT, env=environment, stdout=stdout)  # noqa: S603 - our own program


if __name__ == "__main__":
    main()
