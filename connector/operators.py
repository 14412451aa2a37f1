"""Enrolled operators: the second pair of eyes. A password hash and a TOTP seed, never shown again after enrolment.

Who acts is the operating system's user, asked of the system itself: an environment variable is a typed name. Who
seconds proves it with password and one-time code (RFC 6238), and no code is good twice.
"""

import base64
import hashlib
import hmac
import os
import re
import secrets
import socket
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyotp

from connector.errors import NotAllowed
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import Operator
from connector.reconcile.text import fold

_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**15, 8, 1
_MEMORY = 64 * 1024 * 1024
_SHORTEST = 10
_STEP_SECONDS = 30
_STEPS_OFF = (0, -1, 1)  # one step of tolerance either side, for a clock that is half a minute off
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LOGIN = Path("/proc/self/loginuid")


def who_acts() -> str:
    """Give the operating system's user and host: never a typed name."""
    return f"{_system_user()}@{socket.gethostname()}"


def _system_user() -> str:
    # Never getpass.getuser(): it believes LOGNAME and USER, which anybody can set.
    if sys.platform == "win32":
        return os.getlogin()  # GetUserName: the user of this process
    import pwd  # noqa: PLC0415 - there is none on Windows

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # an id without a passwd entry, as in a container
        return f"uid{os.getuid()}"


def who_signed_in() -> str:
    """Give whose sign-in on this machine this is, whatever user they have become since; empty where that is not known.

    It only ever speaks against somebody: where it was never set, a process may set it as it likes (audit(7)).
    """
    try:
        import pwd  # noqa: PLC0415 - there is none on Windows

        return pwd.getpwuid(int(_LOGIN.read_text(encoding="ascii"))).pw_name
    except (ImportError, OSError, ValueError, KeyError, OverflowError):  # not Linux, a service, a container
        return ""


def hash_password(password: str) -> str:
    """Hash a password with scrypt (RFC 7914) and a fresh salt. Raises NotAllowed where it is too short."""
    if len(password) < _SHORTEST:
        raise NotAllowed(f"A password of {len(password)} characters is too short.", f"Use {_SHORTEST} or more.")
    salt = secrets.token_bytes(16)
    return f"scrypt${base64.b64encode(salt).decode()}${base64.b64encode(_scrypt(password, salt)).decode()}"


def _scrypt(password: str, salt: bytes) -> bytes:
    # What a terminal sent that is no UTF-8 is wrong, and no reason to fail.
    typed = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(typed, salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P, maxmem=_MEMORY)


def is_same_person(name: str, acting: str) -> bool:
    """Say whether an operator's name is that of who acts (user@host), whatever its case and domain."""
    return _bare(name) == _bare(acting)


def _bare(name: str) -> str:
    return fold(name.rpartition("\\")[2].partition("@")[0])


def totp_uri(name: str, seed: str) -> str:
    """Give the address an authenticator app scans. It is a secret: shown once, on a terminal."""
    return pyotp.TOTP(seed).provisioning_uri(name=name, issuer_name="connector")


@dataclass(frozen=True, slots=True)
class Proof:
    """What a second operator says of themselves, and shows for it."""

    name: str
    password: str = field(repr=False)
    code: str = field(repr=False)


def second(journal: Journal, acting: str, proof: Proof, what: str) -> None:
    """Prove a second operator, once for `what`. Whoever is wrong too often has to wait.

    Raises NotAllowed: not enrolled, not somebody else, not proven, too often.
    """
    found = next((o for o in journal.operators() if o.name == proof.name), None)
    if found is None:
        raise NotAllowed(f"{proof.name} is not an enrolled operator.", "connector operator add NAME")
    # Several administrators may act as one user of the machine: whoever signed in is not somebody else either.
    if any(is_same_person(proof.name, here) for here in (acting, who_signed_in())):
        raise NotAllowed("A second pair of eyes is somebody else's.", "Ask another enrolled operator.")
    journal.refuse_tired(acting)
    try:
        step = prove(found, journal.totp_seed(found), proof.password, proof.code)
        journal.spend_code(proof.name, step, acting, what)
    except NotAllowed:
        journal.wrong_try(acting, f"{proof.name} to second: {what}")
        raise


def takes_two(journal: Journal, acting: str, leaving: str = "") -> bool:
    """Say whether enrolling (or removing `leaving`) needs a second: as soon as somebody else is enrolled.

    Otherwise whoever acts could enrol a second pair of eyes of their own.
    """
    others = (o.name for o in journal.operators() if not is_same_person(o.name, acting))
    return any(name != leaving for name in others)


def enrol(journal: Journal, acting: str, name: str, role: str, password: str) -> str:
    """Enrol an operator; give the TOTP seed. Raises NotAllowed where the name is taken or could be mistaken."""
    if not _NAME.fullmatch(name):
        raise NotAllowed("That is no name for an operator.", "Use their user name: letters, digits, dot, - and _ only.")
    if any(is_same_person(o.name, name) for o in journal.operators()):
        raise NotAllowed(f"{name} is enrolled already.", f"Remove them first: connector operator remove {name}")
    journal.add_operator(name, role, hash_password(password), secrets.token_hex(16), acting)
    return journal.totp_seed(next(o for o in journal.operators() if o.name == name))


def prove(operator: Operator, seed: str, password: str, code: str) -> int:
    """Check an operator's password and one-time code; give the code's time step, which the journal lets be used once.

    Raises NotAllowed, never saying which of the two was wrong.
    """
    _, salt, wanted = operator.secret_hash.split("$")
    right = hmac.compare_digest(_scrypt(password, base64.b64decode(salt)), base64.b64decode(wanted))
    step = _step_of(seed, code.strip())
    if not right or step is None:
        raise NotAllowed(f"{operator.name} could not be proven.", "Check password and one-time code, and the clock.")
    return step


def _step_of(seed: str, code: str) -> int | None:
    """Give the time step this code is of (RFC 6238 4.2), or none."""
    totp, now = pyotp.TOTP(seed, interval=_STEP_SECONDS), int(datetime.now(UTC).timestamp()) // _STEP_SECONDS
    known = {now + off: totp.generate_otp(now + off) for off in _STEPS_OFF}
    given = code.encode("utf-8", "surrogatepass")
    return next((step for step, wanted in known.items() if hmac.compare_digest(wanted.encode(), given)), None)
