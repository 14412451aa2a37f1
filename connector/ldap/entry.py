"""From an entry's raw attributes to an Account. Pure: bytes in, value out; every directory and the LDIF file pass here.

Must never guess whether a managed account is open: what cannot be told is an error naming the entry.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from connector.errors import SourceError
from connector.ldap.dialect import Dialect, Vocabulary, guid_text, is_enabled
from connector.ldap.names import DnKey, dn_key, is_below
from connector.ldap.protection import Protection, RawAttributes
from connector.model import Account

_FILETIME_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_LATEST_FILETIME = 2_650_467_743_999_999_999  # 9999-12-31; all that is later means never


@dataclass(frozen=True, slots=True)
class Lens:
    """How entries of one directory are seen: its name, its words, where we may write, whom never."""

    directory: str
    words: Vocabulary
    managed: tuple[DnKey, ...]
    protection: Protection


def to_account(dn: str, raw: RawAttributes, lens: Lens) -> Account:
    """Give the account this entry is. Raises SourceError naming the entry where it cannot be read as one."""
    try:
        key = dn_key(dn)
        guid = guid_text(lens.words.dialect, _first_raw(raw, lens.words.guid))
    except ValueError as error:
        raise _unreadable(dn, lens, f"its name or {lens.words.guid} cannot be read", lens.words.guid) from error
    managed = any(is_below(key, ou) for ou in lens.managed)
    state = _text(raw, (lens.words.state,))
    words = lens.words
    return Account(
        directory=lens.directory,
        guid=guid,
        dn=dn,
        username=_text(raw, (words.username,)),
        enabled=_enabled(dn, state, lens, managed=managed),
        employee_id=_text(raw, (words.employee_id,)),
        email=_text(raw, (words.email,)),
        name=_text(raw, words.names),
        managed=managed,
        protected=lens.protection.why(key, raw),
        state=state,
        expires_at=_when(raw, words.expires),
        last_login=_when(raw, words.last_login),
    )


def _enabled(dn: str, state: str, lens: Lens, *, managed: bool) -> bool:
    if lens.words.dialect is Dialect.AD and not state:
        if managed:
            raise _unreadable(dn, lens, f"it has no {lens.words.state}", lens.words.state)
        return True  # outside our scope an unknown door counts as open: it is shown, never written
    try:
        return is_enabled(lens.words.dialect, state)
    except ValueError as error:
        raise _unreadable(dn, lens, f"its {lens.words.state} is {state[:20]!r}", lens.words.state) from error


def _unreadable(dn: str, lens: Lens, what: str, attribute: str) -> SourceError:
    return SourceError(
        f"Directory {lens.directory}: the entry {dn!r} cannot be believed: {what}.",
        f"Let the connector's account read {attribute} there (or export it), then read again.",
    )


def _first_raw(raw: RawAttributes, name: str) -> bytes:
    return next(iter(raw.get(name.lower(), ())), b"")


def _text(raw: RawAttributes, names: Iterable[str]) -> str:
    for name in names:
        if value := _first_raw(raw, name):
            return value.decode("utf-8", "replace")
    return ""


def _when(raw: RawAttributes, names: Iterable[str]) -> datetime | None:
    text = _text(raw, names)
    if not text:
        return None
    return _generalized_time(text) if text.endswith("Z") else _filetime(text)


def _filetime(text: str) -> datetime | None:
    """Read a FILETIME (MS-DTYP 2.3.3): 100 ns since 1601. 0 and anything past the calendar mean never."""
    try:
        ticks = int(text)
    except ValueError:
        return None
    if not 0 < ticks <= _LATEST_FILETIME:
        return None
    return _FILETIME_EPOCH + timedelta(microseconds=ticks // 10)


def _generalized_time(text: str) -> datetime | None:
    """Read a generalized time in UTC (RFC 4517 3.3.13); a fraction of a second is dropped."""
    try:
        return datetime.strptime(text[:-1].partition(".")[0], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
