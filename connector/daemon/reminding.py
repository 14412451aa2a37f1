"""Reminds whoever keeps somebody in, or out, some days before that ends: else a door opens or closes unseen.

Each is reminded once for each number of days. Must never say why somebody is kept out: mail is read by others too.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from connector.daemon.errand import Ran, Scene
from connector.daemon.letters import Notice, notice_letter
from connector.daemon.telling import audit_head, known, names_a, put_letter, remember, whose
from connector.post import is_address
from connector.reconcile.journal_values import Word
from connector.reconcile.plan import digest_of
from connector.reconcile.report import ReportLine, ReportSection
from connector.reconcile.wording import ACCESS_ENDED, Who, clean, counted, said

REMINDED = "reminded"
"""Under this name stands the day on which was looked last, and whom was reminded of what."""

_KEEP, _BLOCK = "keep", "block"


@dataclass(frozen=True, slots=True)
class Due:
    """A word that ends soon, and the number of days before its end of which its owner is reminded now."""

    word: Word
    until: date
    days: int

    @property
    def key(self) -> str:
        """The same for one reminder of one word."""
        word = self.word
        return digest_of([word.kind, word.key, word.owner, word.made_at.isoformat(), self.until.isoformat(), self.days])


class Reminders:
    """Looks once a day, at the time of the night or later."""

    def after(self, scene: Scene, ran: Ran) -> None:
        """Nothing: a keep ends with time."""

    def every_minute(self, scene: Scene) -> None:
        """Remind of what ends soon."""
        config = scene.connector.config
        local = scene.now.astimezone(config.site.zone)
        if config.reports.mail is None or not config.reports.remind_days or local.time() < config.nightly.at:
            return
        before = known(scene, REMINDED)
        if before.get("day") == local.date().isoformat():
            return
        told = before.get("told", [])
        words = scene.connector.journal.period(scene.now, scene.now + timedelta(seconds=1)).words
        soon = tuple(_due(words, config.reports.remind_days, local))
        due = [one for one in soon if one.key not in told]
        for owner in dict.fromkeys(one.word.owner for one in due):
            _remind(scene, owner, [one for one in due if one.word.owner == owner], local.date())
        remember(scene, REMINDED, {"day": local.date().isoformat(), "told": sorted(one.key for one in soon)})


def _due(words: Iterable[Word], remind_days: Sequence[int], now: datetime) -> Iterator[Due]:
    """Give what ends soon: of each word the latest reminder whose day has come, unless the word is younger than it."""
    for word in _last_words(words):
        if word.until is None or word.until < now.date():
            continue
        left = (word.until - now.date()).days
        days = min((d for d in remind_days if left <= d), default=None)
        made_on = word.made_at.astimezone(now.tzinfo).date()
        if days is not None and made_on <= word.until - timedelta(days=days):
            yield Due(word, word.until, days)


def _last_words(words: Iterable[Word]) -> Iterable[Word]:
    """Give, of each person, the keep and the block that hold longest: what ends under them ends nothing."""
    found: dict[tuple[str, str], Word] = {}
    for word in words:
        if word.kind in (_KEEP, _BLOCK) and word.lifted_at is None:
            place = (word.kind, word.key)
            if place not in found or _end(word) >= _end(found[place]):
                found[place] = word
    return found.values()


def _end(word: Word) -> date:
    return word.until or date.max


def _remind(scene: Scene, owner: str, due: Sequence[Due], today: date) -> None:
    config = scene.connector.config
    name = names_a(config, "remind", digest_of(sorted(one.key for one in due))[:32])
    whom = whose(scene)
    lines = tuple(_line(one, whom(one.word.key), today) for one in due)
    first, school = due[0], clean(config.school.name)
    many = f"{len(due):,} keeps and access-ended" if len({one.word.kind for one in due}) > 1 else _noun(due)
    subject = f"{many} will end by {max(one.until for one in due)} ({school})"
    to = _address(scene, owner)
    theirs = f"These are the words of {clean(owner)}, whose address is not known here: add it to [reports.people]."
    mine = "You gave these words." if to else theirs
    lead = (mine, "After its last day each of them ends by itself, and the next night decides without it.")
    title = "Ends soon" if len(due) > 1 else f"Ends on {first.until}"
    notice = Notice(subject, lead, (ReportSection("ends-soon", title, lines),), audit_head(scene))
    put_letter(scene, notice_letter(name, notice, to))


def _noun(due: Sequence[Due]) -> str:
    if due[0].word.kind == _KEEP:
        return counted(len(due), "keep")
    return f"{len(due):,} {ACCESS_ENDED}"


def _line(due: Due, whom: Who, today: date) -> ReportLine:
    ends, label = f"last day {due.until}, in {counted((due.until - today).days, 'day')}", clean(whom.label)
    look = f"connector explain {whom.typed}"
    if due.word.kind == _KEEP:
        reason = f": {said(due.word.reason, discreet=True)}" if due.word.reason else ""
        to_do = "Without a later day they are decided like everybody. To look, and to keep them in longer:"
        longer = f"connector keep {whom.typed} --reason TEXT --until DATE"
        return ReportLine(label, _KEEP, f"{ends}{reason}", to_do, (look, longer), key=due.word.key)
    to_do = "If it has to go on, say so before that day; the authority role knows more."
    return ReportLine(label, ACCESS_ENDED, ends, to_do, (look,), key=due.word.key)


def _address(scene: Scene, owner: str) -> tuple[str, ...]:
    """Give the owner's address: by user and host, or by user alone; nobody's where it is not known."""
    people = scene.connector.config.reports.people
    address = people.get(owner) or people.get(owner.partition("@")[0], "")
    return (address,) if address and is_address(address) else ()
