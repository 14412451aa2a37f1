"""Watch the sessions that were ended while the settle time runs, and end at once what an application writes back.

A browser that asks without pause meets a session written back before the next sweep does, and carries it on for ever.
Looked at as often as here, only a request that began in the moment between can. Never a scan, and never a session that
was not ended before: who has been let in meanwhile and signed in anew is not met.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from time import monotonic

from connector.errors import ConnectorError
from connector.interfaces import Returning
from connector.model import EndSessions

CALM_SECONDS = 0.25
BUSY_SECONDS = 0.002
"""How long between two looks: at everything that was ended, and at what has come back once."""

_REST = 4  # times as long as a look took: a store is never asked more than a fifth of the time


@dataclass(slots=True)
class Watch:
    """Looks at what was ended in each store, for the legs it was ended for. `returned` are those that came back.

    A store that fails is not looked at any more: the next sweep says what is wrong with it.
    """

    stores: Mapping[str, Returning]
    items: Mapping[str, Mapping[EndSessions, int]]
    check: Callable[[], None]
    sleep: Callable[[float], None]
    returned: set[int] = field(default_factory=set)
    _busy: dict[str, set[EndSessions]] = field(default_factory=dict)
    _failed: set[str] = field(default_factory=set)

    def for_seconds(self, seconds: float) -> bool:
        """Watch for so long; say whether anything came back."""
        left, calm_in, some = seconds, 0.0, False
        while left > 0:
            everything = calm_in <= 0
            began = monotonic()
            some |= self._look_at_all(everything=everything)
            took = monotonic() - began
            if everything:
                calm_in = max(CALM_SECONDS, _REST * took)
            pause = min(left, max(BUSY_SECONDS, _REST * took) if self._busy else calm_in)
            self.sleep(pause)
            left -= pause + took
            calm_in -= pause + took
        return some

    def _look_at_all(self, *, everything: bool) -> bool:
        if everything:
            # Whoever lost the lease ends nothing more.
            self.check()
        found = False
        for name, items in self.items.items():
            among = items if everything else self._busy.get(name, ())
            if among and name not in self._failed:
                found |= self._look(name, among)
        return found

    def _look(self, name: str, among: Collection[EndSessions]) -> bool:
        try:
            back = self.stores[name].end_again(tuple(among))
        except ConnectorError:
            self._failed.add(name)
            return False
        if back:
            self._busy.setdefault(name, set()).update(back)
            self.returned.update(self.items[name][item] for item in back)
        return bool(back)
