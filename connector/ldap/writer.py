"""Changes accounts one conditional modify at a time, and believes only what it reads back.

Must never send a modify again without having read the entry again first: after a broken connection it reconnects once,
reads, and decides from what is there. Every item gets an outcome, whatever happens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from connector.errors import ConnectorError
from connector.ldap.connection import DirectoryConnection
from connector.ldap.dialect import Dialect, Vocabulary
from connector.ldap.entry import Lens
from connector.ldap.modify import Change, Result
from connector.ldap.reader import ConnectionLost, SearchRefused
from connector.ldap.verdict import Write, judge, lost_race, prove
from connector.ldap.view import AccountView, Found
from connector.model import Account, CloseAccount, LegState, OpenAccount, Outcome
from connector.permission import before_send

Item = CloseAccount | OpenAccount

# RFC 4511 4.1.9, RFC 4528 3: the entry is not as the modify said it must be.
_CHANGED_MEANWHILE = {16: "noSuchAttribute", 20: "attributeOrValueExists", 32: "noSuchObject", 122: "assertionFailed"}
_INSUFFICIENT_ACCESS = 50
_TRY_LATER = {51, 52}


@dataclass(slots=True)
class _Batch:
    """How far a batch has come. `writes` are to go out, each on the entry's version; `sent` may have gone out.

    `answered` was taken by the server, `raced` was not.
    """

    items: Sequence[Item]
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    writes: dict[int, tuple[Write, str]] = field(default_factory=dict)
    sent: dict[int, Write] = field(default_factory=dict)
    answered: set[int] = field(default_factory=set)
    raced: set[int] = field(default_factory=set)

    def open_items(self) -> list[int]:
        return [index for index in range(len(self.items)) if index not in self.outcomes]


class Writer:
    """Drives a batch of changes through one connection. `window` is how many modifies are under way at once.

    More than a few bring nothing: a server writes one after another. All that are under way when a connection breaks
    may have arrived; each is conditional, and is read again before anything else.
    """

    window = 16

    def __init__(self, words: Vocabulary, view: AccountView, connection: DirectoryConnection) -> None:
        self._words = words
        self._view = view
        self._connection = connection

    def change(self, items: Sequence[Item]) -> tuple[Outcome, ...]:
        """Change what may be changed; give one outcome per item, in their order."""
        batch = _Batch(items)
        trouble = self._try(batch) and self._try(batch)
        for index in batch.open_items():
            batch.outcomes[index] = _unknown(items[index], index in batch.sent, trouble)
        return tuple(batch.outcomes[index] for index in range(len(items)))

    def _try(self, batch: _Batch) -> str:
        """Bring the batch on as far as it goes; say what stopped it."""
        try:
            self._round(batch)
        except (ConnectionLost, SearchRefused, ConnectorError) as error:
            self._connection.drop()
            return str(error)
        return ""

    def _round(self, batch: _Batch) -> None:
        waiting = batch.open_items()
        if not waiting:
            return
        lens = self._view.lens()
        found = self._find(batch, waiting, lens)
        judged = [index for index in waiting if not self._settle(batch, index, found)]
        writes = [index for index in judged if self._judge(batch, index, found)]
        for start in range(0, len(writes), self.window):
            self._write(batch, writes[start : start + self.window])
        unproven = [index for index in batch.open_items() if index in batch.sent]
        found = self._find(batch, unproven, lens)
        for index in unproven:
            self._settle(batch, index, found)

    def _find(self, batch: _Batch, indexes: Sequence[int], lens: Lens) -> dict[str, Found]:
        return self._view.find([_planned(batch.items[index]).guid for index in indexes], lens)

    def _settle(self, batch: _Batch, index: int, found: dict[str, Found]) -> bool:
        """Give the outcome of what was sent, from what was read since. False: it must be judged (again)."""
        write = batch.sent.get(index)
        if write is None:
            return False
        item, now = batch.items[index], found.get(write.before.guid)
        account = now.account if now else None
        if index in batch.raced:
            batch.outcomes[index] = lost_race(item, write, account)
        elif index not in batch.answered and account is not None and account.state == write.before.state:
            del batch.sent[index]  # it never arrived; the entry was read again, so it may be tried again
            return False
        else:
            batch.outcomes[index] = prove(item, write, account)
        return True

    def _judge(self, batch: _Batch, index: int, found: dict[str, Found]) -> bool:
        """Give the outcome of what is not to be written. True: it is."""
        item = batch.items[index]
        now = found.get(_planned(item).guid)
        verdict = judge(item, now.account if now else None, self._words.dialect)
        if isinstance(verdict, Outcome):
            batch.outcomes[index] = verdict
            return False
        batch.writes[index] = (verdict, now.version if now else "")
        return True

    def _write(self, batch: _Batch, indexes: Sequence[int]) -> None:
        before_send()
        for index in indexes:  # before the sending: what may have gone out is never forgotten
            batch.sent[index] = batch.writes[index][0]
        results = self._connection.modify([self._change(*batch.writes[index]) for index in indexes])
        for index, result in zip(indexes, results, strict=True):
            if result.code == 0:
                batch.answered.add(index)
            elif result.code in _CHANGED_MEANWHILE:
                batch.raced.add(index)
            else:
                batch.outcomes[index] = _refused(batch.sent[index], result)

    def _change(self, write: Write, version: str) -> Change:
        account, state = write.before, self._words.state
        if self._words.dialect is Dialect.AD:
            # MS-ADTS 3.1.1.3.1.2.4: named by GUID, a renamed or moved entry is still the one that was judged.
            return Change(f"<GUID={account.guid}>", state, account.state, write.new)
        # RFC 4528: the whole entry must still be as it was read; an entry of the same name has another CSN. Where we
        # may not read the CSN nothing matches, and nothing is written.
        return Change(account.dn, state, account.state, write.new, ("entryCSN", version))


def _planned(item: Item) -> Account:
    return item.before if isinstance(item, CloseAccount) else item.now


def _refused(write: Write, result: Result) -> Outcome:
    state = LegState.UNREACHABLE if result.code in _TRY_LATER else LegState.REFUSED
    said = f"{result.description} ({result.code}) {result.message}".strip()
    remedy = ""
    if result.code == _INSUFFICIENT_ACCESS:
        remedy = " Give the connector's account the right to write the attribute in the managed OUs."
    return Outcome(state, f"The server would not write {write.before.dn}: {said}.{remedy}", before=write.before)


def _unknown(item: Item, was_sent: bool, trouble: str) -> Outcome:
    planned = _planned(item)
    what = "was sent a change and could not be read back" if was_sent else "was not written"
    return Outcome(LegState.UNREACHABLE, f"{planned.dn} {what}: {trouble}", before=planned)
