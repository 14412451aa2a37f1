"""Signs what is posted and checks what is asked for, as Standard Webhooks says: one rule for both ways. Pure.

A message that is not signed, not fresh or not whole is refused, always with a reason and never with the secret in it.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from connector.errors import ConfigError

TOLERANCE_SECONDS = 300
"""How far the clocks of both sides may be apart, and how long a message that was overheard can be sent again."""

_PREFIX = "whsec_"
_LEAST_BYTES = 24  # Standard Webhooks, "Signature scheme": between 24 and 64 bytes
_LONGEST = 256
_MOST_SIGNATURES = 16


@dataclass(frozen=True, slots=True)
class Genuine:
    """A message that is what its sender signed. One with an `id` that was taken before is the same message again."""

    id: str
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that must not be believed, and why."""

    reason: str


def signed(secret: str, webhook_id: str, sent_at: datetime, body: bytes) -> dict[str, str]:
    """Give the headers that sign a body. `webhook_id` stays the same however often the message is sent.

    Raises ConfigError where the secret is none.
    """
    timestamp = str(int(sent_at.timestamp()))
    signature = base64.b64encode(_mac(key_of(secret), webhook_id, timestamp, body)).decode("ascii")
    return {"webhook-id": webhook_id, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{signature}"}


def checked(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> Genuine | Refused:
    """Say whether a message is what its sender signed, and fresh. Header names may be in any case (RFC 9110 5.1).

    Raises ConfigError where the secret is none.
    """
    key = key_of(secret)
    given = {name.lower(): value for name, value in headers.items()}
    webhook_id, timestamp = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    signatures = given.get("webhook-signature", "")
    if not (webhook_id and timestamp and signatures):
        return Refused("webhook-id, webhook-timestamp and webhook-signature have to be there")
    # A dot would let the end of the id and the beginning of the body change places under one signature.
    if len(webhook_id) > _LONGEST or "." in webhook_id or not webhook_id.isascii():
        return Refused("webhook-id is none")
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):  # noqa: PLR2004 - far beyond us
        return Refused("webhook-timestamp is no number of seconds")
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE_SECONDS:
        return Refused("webhook-timestamp is too old or ahead: check the clocks of both sides")
    if not _is_among(_mac(key, webhook_id, timestamp, body), signatures):
        return Refused("webhook-signature does not fit")
    return Genuine(webhook_id, datetime.fromtimestamp(int(timestamp), UTC))


def key_of(secret: str) -> bytes:
    """Give the key a secret stands for: base64, with or without whsec_ in front. Raises ConfigError where it is not."""
    text = secret.strip().removeprefix(_PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < _LEAST_BYTES:
        raise ConfigError(
            f"A webhook's secret is no base64 of {_LEAST_BYTES} bytes or more.",
            'Make one: python -c "import base64, secrets; '
            "print('whsec_' + base64.b64encode(secrets.token_bytes(32)).decode())\"",
        )
    return key


def _mac(key: bytes, webhook_id: str, timestamp: str, body: bytes) -> bytes:
    return hmac.new(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()


def _is_among(mac: bytes, signatures: str) -> bool:
    """Look at every signature that is given, in a time that tells nothing: a secret may be on its way to a new one."""
    found = False
    for one in signatures.split()[:_MOST_SIGNATURES]:
        version, _, text = one.partition(",")
        given = _decoded(text) if version == "v1" else b""
        found |= hmac.compare_digest(given, mac)
    return found


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
