"""Distinguished names as keys that compare: whether an account may be written hangs on "below this OU".

Pure: no directory is asked. Must never say that a name is below an OU because its text happens to end like it.
"""

import re
import unicodedata
from functools import lru_cache

_TYPE = re.compile(r"^[A-Za-z0-9.-]+=")
_COMMA = re.compile(r"(?:[^\\,]|\\.)*", re.DOTALL)
_PLUS = re.compile(r"(?:[^\\+]|\\.)*", re.DOTALL)
_ESCAPED = re.compile(rb"\\([0-9A-Fa-f]{2}|.)", re.DOTALL)
_MAX_LENGTH = 32_768

DnKey = tuple[str, ...]
"""One text per RDN, the entry's own first. Equal keys name the same entry; a suffix names an ancestor."""


def dn_key(text: str) -> DnKey:
    """Give the comparable key of a DN (RFC 4514): unescaped, case-folded, insignificant spaces gone.

    Raises ValueError where the text is no DN. The empty text is the root, the empty key.
    """
    if not text.strip():
        return ()
    first, parent = _split_first(text)
    return (_rdn(first), *_parent_key(parent)) if parent is not None else (_rdn(first),)


def own_name(text: str) -> tuple[str, str]:
    """Give attribute and value of an entry's own name, as they are written in the entry itself.

    Raises ValueError where the text is no DN, or its own name is made of several attributes.
    """
    dn_key(text)
    first, _ = _split_first(text.lstrip())
    if len(list(filter(None, _PLUS.findall(first)))) != 1:
        raise ValueError("its own name has several parts")
    name, _, value = first.partition("=")
    return name.strip(), _ESCAPED.sub(_unescape, value.lstrip(" ").encode()).decode("utf-8")


def is_below(key: DnKey, ancestor: DnKey) -> bool:
    """Say whether an entry lies anywhere below another; nothing is below itself."""
    return len(key) > len(ancestor) and key[len(key) - len(ancestor) :] == ancestor


def is_at_or_below(key: DnKey, ancestor: DnKey) -> bool:
    """Say whether an entry is another or lies below it."""
    return key == ancestor or is_below(key, ancestor)


@lru_cache(maxsize=8192)  # a hundred thousand accounts share a few hundred parents
def _parent_key(text: str) -> DnKey:
    if len(text) > _MAX_LENGTH:
        raise ValueError("the name is longer than any directory allows")
    rest: str | None = text
    rdns = []
    while rest is not None:
        first, rest = _split_first(rest)
        rdns.append(_rdn(first))
    return tuple(rdns)


def _split_first(text: str) -> tuple[str, str | None]:
    match = _COMMA.match(text)
    end = match.end() if match else 0
    return text[:end], text[end + 1 :] if end < len(text) else None


def _rdn(text: str) -> str:
    stripped = text.lstrip()
    if "+" not in stripped:
        return _pair(stripped)
    # RFC 4514 2.2: the order of a multi-valued RDN means nothing.
    return "+".join(sorted(_pair(part.lstrip()) for part in _PLUS.findall(stripped) if part))


def _pair(text: str) -> str:
    if not _TYPE.match(text):
        name, equals, value = text.partition("=")
        text = f"{name.strip()}={value}" if equals else text
        if not _TYPE.match(text):
            raise ValueError(f"{text[:60]!r} is not of the form type=value")
    name, _, value = text.partition("=")
    return f"{name.casefold()}={_value(value)}"


def _value(text: str) -> str:
    if "\\" in text:
        text = _ESCAPED.sub(_unescape, text.encode()).decode(errors="replace")
    # RFC 4518 2.3, 2.6.1: caseIgnoreMatch; leading, trailing and doubled spaces are insignificant.
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _unescape(match: re.Match[bytes]) -> bytes:
    escaped = match.group(1)
    return bytes.fromhex(escaped.decode()) if len(escaped) > 1 else escaped
