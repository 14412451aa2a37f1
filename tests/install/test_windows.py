"""Windows: nothing is loaded that only POSIX has, and the recipe starts what there is. PowerShell itself is not run."""

import re
import subprocess
import sys
from pathlib import Path

from connector.cli import cli

RECIPE = Path(__file__).parents[2] / "deploy" / "windows" / "install.ps1"

# Hidden from our own modules alone: the libraries have wheels for Windows, which load what Windows has.
SCRIPT = """
import builtins, importlib, pkgutil
import connector

hidden = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}
real = builtins.__import__

def importing(name, globals=None, locals=None, fromlist=(), level=0):
    who = (globals or {}).get("__name__") or ""
    if name.partition(".")[0] in hidden and who.startswith("connector"):
        raise ModuleNotFoundError(f"{who} imports {name}, which Windows does not have")
    return real(name, globals, locals, fromlist, level)

builtins.__import__ = importing
names = [each.name for each in pkgutil.walk_packages(connector.__path__, "connector.")]
names = [each for each in names if not each.endswith("__main__") and ".migrations." not in each]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def test_every_module_loads_without_what_only_posix_has() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 300


def test_no_module_names_a_call_that_windows_lacks_where_it_is_loaded() -> None:
    words = r"fork|getuid|geteuid|setsid|SIGKILL|SIGHUP|SIGALRM|AF_UNIX"
    loaded = re.compile(rf"^(?:[A-Z_]+\s*=|from os import).*\b(?:{words})\b(?!\")", re.MULTILINE)
    folder = RECIPE.parents[2] / "connector"

    found = [path.name for path in folder.rglob("*.py") if loaded.search(path.read_text(encoding="utf-8"))]

    assert found == []


def test_the_recipe_starts_a_verb_with_options_that_it_has() -> None:
    text = RECIPE.read_text(encoding="utf-8")
    (arguments,) = re.findall(r"-Argument \"(.*)\"", text)
    words = re.findall(r"--[a-z]+|\b(?:daemon)\b", arguments)

    options = {option for command in (cli, cli.commands["daemon"]) for each in command.params for option in each.opts}

    assert "daemon" in words
    assert [word for word in words if word.startswith("--") and word not in options] == []


def test_the_recipe_takes_no_folder_that_another_user_made() -> None:
    text = RECIPE.read_text(encoding="ascii")

    looked, made = text.index("GetOwner"), text.index("New-Item -ItemType Directory")
    assert looked < made < text.index('"/setowner"') < text.index('"/inheritance:r"') < text.index('"init"')
    assert 'notin @("S-1-5-32-544", "S-1-5-18")' in text


def test_the_recipe_is_plain_ascii_stops_at_the_first_error_and_closes_what_it_opens() -> None:
    text = RECIPE.read_text(encoding="ascii")

    assert '$ErrorActionPreference = "Stop"' in text
    assert "Set-StrictMode" in text
    assert all(text.count(a) == text.count(b) for a, b in ("()", "{}", "[]"))
    assert text.count('"') % 2 == 0
    assert not re.search(r"password\s*=\s*['\"]|ConvertTo-SecureString|-AsPlainText", text, re.IGNORECASE)
