"""Enrolled operators: the second pair of eyes. A password hash and a TOTP seed, never shown again after enrolment.

Who acts is the operating system's user; who seconds proves it with password and one-time code (RFC 6238).
"""

import base64
import getpass
import hashlib
import hmac
import os
import secrets
import socket

import pyotp

from connector.errors import NotAllowed
from connector.reconcile.journal_values import Operator

_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**15, 8, 1
_MEMORY = 64 * 1024 * 1024
_SHORTEST = 10


def who_acts() -> str:
    """Give the operating system's user and host: never a typed name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # an id without a passwd entry, as in a container
        user = f"uid{os.getuid()}" if hasattr(os, "getuid") else "unknown"
    return f"{user}@{socket.gethostname()}"


def hash_password(password: str) -> str:
    """Hash a password with scrypt (RFC 7914) and a fresh salt. Raises NotAllowed where it is too short."""
    if len(password) < _SHORTEST:
        raise NotAllowed(f"A password of {len(password)} characters is too short.", f"Use {_SHORTEST} or more.")
    salt = secrets.token_bytes(16)
    return f"scrypt${base64.b64encode(salt).decode()}${base64.b64encode(_scrypt(password, salt)).decode()}"


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P, maxmem=_MEMORY)


def new_totp_seed() -> str:
    """Make a TOTP seed for an authenticator app."""
    return pyotp.random_base32()


def totp_uri(name: str, seed: str) -> str:
    """Give the address an authenticator app scans. It is a secret: shown once, on a terminal."""
    return pyotp.TOTP(seed).provisioning_uri(name=name, issuer_name="connector")


def prove(operator: Operator, password: str, code: str) -> None:
    """Check an operator's password and one-time code. Raises NotAllowed, never saying which of the two was wrong."""
    _, salt, wanted = operator.secret_hash.split("$")
    right = hmac.compare_digest(_scrypt(password, base64.b64decode(salt)), base64.b64decode(wanted))
    # One step of tolerance either side, for a clock that is half a minute off.
    fresh = pyotp.TOTP(operator.totp_secret).verify(code.strip(), valid_window=1)
    if not (right and fresh):
        raise NotAllowed(f"{operator.name} could not be proven.", "Check password and one-time code, and the clock.")
