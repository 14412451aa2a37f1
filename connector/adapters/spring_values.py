"""Values as Spring Session writes them into Redis: Java's own serialization of a String or a Long, JSON, or plain text.

Everything here is written by whoever can reach the store: a value that is none of these is none, never an exception.
No object is ever deserialized, only these two fixed forms are recognised.
"""

import json

# Java Object Serialization Specification 6.4: magic, version, TC_STRING and two bytes of length; a Long is always this
# class description and eight bytes.
_JAVA_STRING = bytes.fromhex("aced000574")
_JAVA_LONG = bytes.fromhex(
    "aced00057372000e6a6176612e6c616e672e4c6f6e673b8be490cc8f23df0200014a000576616c7565"
    "787200106a6176612e6c616e672e4e756d62657286ac951d0b94e08b0200007870"
)
_JAVA_INTEGER = bytes.fromhex(
    "aced0005737200116a6176612e6c616e672e496e746567657212e2a0a4f781873802000149000576616c7565"
    "787200106a6176612e6c616e672e4e756d62657286ac951d0b94e08b0200007870"
)
_LONGEST = 512


def spring_text(raw: bytes | None) -> str:
    """Give the text a stored value holds; empty for anything else."""
    if raw is None or len(raw) > _LONGEST:
        return ""
    try:
        if raw.startswith(_JAVA_STRING):
            return _java_string(raw[len(_JAVA_STRING) :])
        text = raw.decode("utf-8")
        found = json.loads(text) if text.startswith('"') else text
    except ValueError:
        return ""
    return found if isinstance(found, str) and found.isprintable() else ""


def spring_number(raw: bytes | None) -> int | None:
    """Give the whole number a stored value holds, or none."""
    if raw is None:
        return None
    for head, size in ((_JAVA_LONG, 8), (_JAVA_INTEGER, 4)):
        if raw.startswith(head) and len(raw) == len(head) + size:
            return int.from_bytes(raw[len(head) :], "big", signed=True)
    # Jackson with type information writes a Long as ["java.lang.Long",17].
    text = raw.removeprefix(b'["java.lang.Long",').removesuffix(b"]")
    return int(text) if len(text) <= 19 and text.removeprefix(b"-").isdigit() else None  # noqa: PLR2004 - digits of a Long


def _java_string(rest: bytes) -> str:
    length, text = int.from_bytes(rest[:2], "big"), rest[2:]
    return text.decode("utf-8") if len(text) == length else ""
