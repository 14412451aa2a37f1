"""Opens a secret where its name says: environment, file, systemd credential or keyring, at the moment it is needed.

What it reads is never kept, logged or repeated in an error. A file that somebody else could have read or written is
refused, not warned of: whoever could change the secret could stand in for the system behind it.
"""

import os
import stat
import sys
from pathlib import Path
from types import ModuleType

from connector.errors import ConfigError

CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""Where systemd says in which folder a unit's credentials are (systemd.exec, LoadCredential=)."""

_OTHERS = stat.S_IRWXO | stat.S_IWGRP
_GROUP_READS = stat.S_IRGRP | stat.S_IXGRP
_ROOT = 0


def from_environment(name: str) -> str:
    """Read an environment variable. Raises ConfigError where it is not set."""
    value = os.environ.get(name)
    if value is None:
        raise ConfigError(f"The environment variable {name} is not set.", "Set it where the connector starts.")
    return value


def from_file(path: Path) -> str:
    """Read a file that only its owner can read. Raises ConfigError where there is none, or others can get at it."""
    try:
        with path.open(encoding="utf-8") as file:
            # Of the open file, not of its name: between two looks at a name it can become another file.
            if found := exposed(path, os.fstat(file.fileno())):
                raise ConfigError(*found)
            return file.read().rstrip("\r\n")
    except OSError as error:
        raise ConfigError(
            f"The secret file {path} cannot be read: {error.strerror}.", "Check path and owner."
        ) from error
    except UnicodeDecodeError:
        raise ConfigError(f"The secret file {path} is not UTF-8 text.", "Write the secret alone into it.") from None


def from_credential(name: str) -> str:
    """Read a credential that systemd gave to this unit. Raises ConfigError where it gave none of that name."""
    folder = os.environ.get(CREDENTIALS)
    if not folder:
        raise ConfigError(
            f"The systemd credential {name} is not there: the connector was not started by systemd with credentials.",
            f"Start it as a unit with LoadCredential={name}:FILE, or name the secret as {{ file = PATH }}.",
        )
    try:
        # systemd guards the folder itself; what stands in it may belong to the unit's user or to root.
        return (Path(folder) / name).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"systemd gave this unit no readable credential {name}.", f"Add LoadCredential={name}:FILE to its unit."
        ) from error


def from_keyring(service: str, user: str) -> str:
    """Read a password of the system's keyring. Raises ConfigError where there is no keyring, or nothing in it."""
    keyring = _keyring()
    _refuse_plain(keyring)
    whose = f"{user} of {service}"
    try:
        value = keyring.get_password(service, user)
    except keyring.errors.NoKeyringError:
        raise ConfigError(
            f"This machine has no keyring to look up {whose} in.",
            "Name the secret as { file = PATH } or { env = NAME }.",
        ) from None
    except keyring.errors.KeyringError:  # never its text: a backend may put anything into it
        raise ConfigError(
            f"The keyring did not give the password of {whose}.", "Unlock it for the user the connector runs as."
        ) from None
    if not isinstance(value, str):
        raise ConfigError(
            f"The keyring holds no password of {whose}.", f"As the connector's user: keyring set {service} {user}"
        )
    return value


def _refuse_plain(keyring: ModuleType) -> None:
    """Refuse a backend that writes passwords into a file as they are: it looks safe, and nobody looks at its mode."""
    chosen = keyring.get_keyring()
    for backend in getattr(chosen, "backends", (chosen,)):
        if "plaintext" in type(backend).__name__.lower():
            raise ConfigError(
                f"The keyring of this machine ({type(backend).__name__}) writes passwords down as they are.",
                "Uninstall keyrings.alt, or name the secret as { file = PATH }, whose mode is looked at.",
            )


def _keyring() -> ModuleType:
    try:
        import keyring  # noqa: PLC0415 - an optional extra
        import keyring.errors  # noqa: PLC0415 - as above
    except ImportError:
        raise ConfigError(
            "A secret is in a keyring, and the library that reads it is not installed.",
            'Install it: pip install "connector[keyring]"',
        ) from None
    return keyring


def exposed(path: Path, standing: os.stat_result) -> tuple[str, str] | None:
    """Say who else can get at a secret file, and the mend; None where nobody can, and on Windows, which has no modes.

    A group may read a file of root's: whoever gave it to that group had the right to.
    """
    if sys.platform == "win32":
        return None
    mode, owner = stat.S_IMODE(standing.st_mode), standing.st_uid
    if owner not in (_ROOT, os.geteuid()):
        return (
            f"The secret file {path} belongs to another user (id {owner}), who can change it.",
            f"Start the connector as that user, or run: chown {os.geteuid()} {path}",
        )
    if mode & _OTHERS or (mode & _GROUP_READS and owner != _ROOT):
        # Root's file that we read through its group: 600 would lock us out.
        wanted = "640" if owner == _ROOT != os.geteuid() else "600"
        return f"The secret file {path} is open to other users of this machine.", f"Run: chmod {wanted} {path}"
    return None
