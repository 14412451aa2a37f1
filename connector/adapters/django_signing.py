"""Django's signed text, read without Django: nothing in it is believed before its signature is proven.

The format is that of `django.core.signing.dumps` (Django 3.1 and later): `[.]BASE64URL:TIME:SIGNATURE`, the dot for
zlib, the time in base 62. Only JSON is read; pickles never are.
"""

import base64
import binascii
import hashlib
import hmac
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from connector.adapters.session_values import LARGEST_VALUE

SESSION_SALT = "django.contrib.sessions.SessionStore"
"""What the database and cached-database backends sign with."""

_BASE62 = {
    letter: number for number, letter in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
}
_LONGEST_TIME = 8


@dataclass(frozen=True, slots=True, repr=False)
class Signed:
    """What was signed, and when: for a session that is when it was last saved, not when it began."""

    value: Mapping[object, object]
    signed_at: datetime | None


def unsigned(text: str, keys: Sequence[str], salt: str = SESSION_SALT) -> Signed | None:
    """Give what a text holds that one of these keys signed; none for anything else."""
    body, _, signature = text.rpartition(":")
    if len(text) > LARGEST_VALUE or not any(_signed(body, signature, key, salt) for key in keys):
        return None
    payload, _, signed_at = body.rpartition(":")
    try:
        value = json.loads(_inflated(payload).decode("latin-1"))  # as Django's JSONSerializer writes it
    except (ValueError, RecursionError, zlib.error):
        return None
    return Signed(value, _moment(signed_at)) if isinstance(value, dict) else None


def _signed(body: str, signature: str, key: str, salt: str) -> bool:
    # django.utils.crypto.salted_hmac with the key salt of django.core.signing.Signer
    derived = hashlib.sha256(f"{salt}signer{key}".encode()).digest()
    mac = hmac.new(derived, body.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    wanted = base64.urlsafe_b64encode(mac).rstrip(b"=")
    return hmac.compare_digest(wanted, signature.encode("utf-8", "surrogatepass"))


def _inflated(payload: str) -> bytes:
    """Give the bytes of a payload. Raises ValueError where they are too many: a small text may hold a huge one."""
    squeezed = payload.startswith(".")
    packed = payload.removeprefix(".")
    try:
        content = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
    except binascii.Error as error:
        raise ValueError(payload) from error
    if not squeezed:
        return content
    inflating = zlib.decompressobj()
    content = inflating.decompress(content, LARGEST_VALUE)
    if not inflating.eof:
        raise ValueError(len(content))
    return content


def _moment(text: str) -> datetime | None:
    if not text or len(text) > _LONGEST_TIME or any(letter not in _BASE62 for letter in text):
        return None
    seconds = 0
    for letter in text:
        seconds = seconds * 62 + _BASE62[letter]
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
