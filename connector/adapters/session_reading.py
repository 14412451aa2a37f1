"""One whole reading of a session store, in an order and with a fingerprint that depend on the sessions alone."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from connector.model import Provenance, Session, SessionKey, SessionsReading


def whole_reading(store: str, source: str, user_key: SessionKey, sessions: Iterable[Session]) -> SessionsReading:
    """Give the reading of these sessions, read from `source` just now."""
    ordered = tuple(sorted(sessions, key=lambda session: (session.user, session.portal, session.session_id)))
    provenance = Provenance(source, _fingerprint(ordered), datetime.now(UTC))
    return SessionsReading(store, provenance, user_key, ordered)


def _fingerprint(sessions: Sequence[Session]) -> str:
    """Digest them all at once; no single id can be told from it."""
    digest = hashlib.sha256()
    for session in sessions:
        line = f"{session.user}\0{session.portal}\0{session.session_id}\0{session.created_at}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def unlisted_reading(store: str, source: str, user_key: SessionKey) -> SessionsReading:
    """Give the reading of a store that cannot list sessions: empty, and its source says that this proves nothing."""
    return whole_reading(
        store, f"{source} (cannot list sessions: none here does not mean that nobody is signed in)", user_key, ()
    )
