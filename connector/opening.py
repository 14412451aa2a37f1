"""What keeps somebody out today is not outrun by deciding as of a later day.

Every verb that opens something passes here before it does. Must never open because of a day that has not come.
"""

from collections.abc import Callable, Iterable
from datetime import date

from connector.errors import NotAllowed
from connector.reconcile.judge import Judgement


def refuse_outrun(look: Callable[[date], Judgement], today: date, as_of: date, people: Iterable[str | None]) -> None:
    """Raise NotAllowed where a block or a court order stands today and only a later day lifts it."""
    wanted = frozenset(people) - {None}
    if as_of <= today or not wanted:
        return
    now, then = look(today).decisions.school, look(as_of).decisions.school
    lifted = (now.blocked | now.barred.keys()) - (then.blocked | then.barred.keys())
    if outrun := sorted(p for p in wanted if p in lifted):
        raise NotAllowed(
            f"What keeps {', '.join(outrun)} out still stands today, {today}. Nothing was opened.",
            "Open it on the day, or lift it first: connector unblock",
        )
