"""One sweep of a session store for a whole batch: which item names a session, and what came of each item.

Shared by the session stores so that all of them end exactly the same sessions. It never touches a store, and it never
shows a session id: ids are forgotten with the sweep, but for those watched until the next one.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, TypeVar

from connector.model import EndSessions, LegState, Outcome, Session, SessionKey

Key = TypeVar("Key", bound=Hashable)
"""What a store calls one session: the sweep only compares it."""

_CASELESS = frozenset({SessionKey.USERNAME, SessionKey.EMAIL})


def same_user_as(user: str, user_key: SessionKey) -> str:
    """Give what two user values share when they are the same user: names and mail without case, all else exactly."""
    return unicodedata.normalize("NFC", user.strip()).casefold() if user_key in _CASELESS else user


def means(item: EndSessions, session: Session) -> bool:
    """Whether `item`, which is for this session's user, means this session."""
    if item.portals and session.portal not in item.portals:
        return False
    return item.older_than is None or session.created_at is None or session.created_at < item.older_than


class Sweep(Generic[Key]):
    """The tally of one sweep: each session found belongs to the first item that names it."""

    def __init__(self, batch: Sequence[EndSessions], user_key: SessionKey) -> None:
        self._batch = tuple(batch)
        self._user_key = user_key
        self._items: dict[str, list[int]] = defaultdict(list)
        for index, item in enumerate(self._batch):
            self._items[same_user_as(item.user, user_key)].append(index)
        self._ended: dict[Key, int] = {}
        self._standing: dict[Key, int] = {}

    def names(self, user: str) -> bool:
        """Whether any item is for this user, in whatever portal."""
        return same_user_as(user, self._user_key) in self._items

    def item_for(self, session: Session) -> int | None:
        """Give the index of the item that names this session, if one does."""
        candidates = self._items.get(same_user_as(session.user, self._user_key), ())
        return next((index for index in candidates if means(self._batch[index], session)), None)

    def ended(self, key: Key, index: int) -> None:
        """Note that the session under this key, named by this item, was ended."""
        self._ended[key] = index
        self._standing.pop(key, None)

    def standing(self, key: Key, index: int) -> None:
        """Note that the session under this key still stands after all tries."""
        self._standing[key] = index
        self._ended.pop(key, None)

    @property
    def ended_keys(self) -> tuple[Key, ...]:
        """The keys ended so far, to be looked at once more."""
        return tuple(self._ended)

    @property
    def met(self) -> frozenset[EndSessions]:
        """The items for which a session was found."""
        return frozenset(self._batch[index] for index in (*self._ended.values(), *self._standing.values()))

    @property
    def ended_for(self) -> Mapping[Key, EndSessions]:
        """The keys ended so far, each with the item that named it."""
        return {key: self._batch[index] for key, index in self._ended.items()}

    def outcomes(self, remark: str = "") -> tuple[Outcome, ...]:
        """Give one outcome per item; `remark` is added to each detail."""
        counts = zip(self._counts(self._ended), self._counts(self._standing), strict=True)
        return tuple(_outcome(ended, standing, remark) for ended, standing in counts)

    def failed(self, state: LegState, detail: str) -> tuple[Outcome, ...]:
        """Give one outcome per item where the sweep broke off: nothing is proven, what was ended is still counted."""
        return tuple(Outcome(state, detail, ended=ended) for ended in self._counts(self._ended))

    def _counts(self, sessions: dict[Key, int]) -> list[int]:
        counts = [0] * len(self._batch)
        for index in sessions.values():
            counts[index] += 1
        return counts


class Watched(Generic[Key]):
    """What was ended and may be written back: keys by the item they were ended for. In memory only, and never shown."""

    def __init__(self) -> None:
        self._keys: dict[EndSessions, dict[Key, None]] = {}

    def note(self, sweep: Sweep[Key], batch: Sequence[EndSessions]) -> None:
        """Keep what this sweep ended, and what earlier ones ended for the same items; forget the rest."""
        kept = {item: self._keys[item] for item in batch if item in self._keys}
        for key, item in sweep.ended_for.items():
            kept.setdefault(item, {})[key] = None
        self._keys = kept

    def keys(self, batch: Sequence[EndSessions]) -> list[Key]:
        """Give the keys that were ended for these items."""
        return [key for item in batch for key in self._keys.get(item, ())]

    def forget(self) -> None:
        """Keep nothing any longer."""
        self._keys = {}


def _outcome(ended: int, standing: int, remark: str) -> Outcome:
    if standing:
        detail = f"{standing} of {ended + standing} sessions stand again after being ended: something writes them back."
        return Outcome(LegState.REFUSED, f"{detail} {remark}".strip(), ended=ended)
    return Outcome(LegState.CLOSED if ended else LegState.ALREADY_CLOSED, remark, ended=ended)
