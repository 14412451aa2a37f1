"""A table of text with its place: what a file and a query look like to the row rules.

Every error about outside text is worded here: it names the table, the line, the column, what is wrong and what to write
instead, ten at once and then the count of the rest. Nothing here opens a file or a database.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from connector.errors import SourceError

SHOWN_FAULTS = 10
"""How many errors of one table are worded; the rest are counted."""

_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text below a header. `unit` says what a place is: a `line` of a file, a `row` of a query.

    `rows` can be walked once: it gives each row's place with its cells, in the order of `header`.
    """

    name: str
    unit: str
    header: tuple[str, ...]
    rows: Iterator[tuple[int, Sequence[str]]]


@dataclass(slots=True)
class Faults:
    """What is wrong with one table: collected, so that an administrator mends a file once and not ten times."""

    table: Table
    sentences: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, place: int, sentence: str, column: str = "") -> None:
        """Note one fault: the first ten in words, the rest in number."""
        self.count += 1
        if self.count <= SHOWN_FAULTS:
            where = f"{self.table.unit} {place}" + (f", column {column}" if column else "")
            self.sentences.append(f"{where}: {sentence}")

    def refuse(self) -> None:
        """Raise SourceError if anything was noted."""
        if not self.count:
            return
        rest = self.count - len(self.sentences)
        lines = [*self.sentences, *([f"and {rest:,} more"] if rest else [])]
        head = "1 error" if self.count == 1 else f"{self.count:,} errors"
        raise SourceError(
            f"{self.table.name} cannot be believed, {head}:\n  " + "\n  ".join(lines) + "\n",
            "Nothing was decided. Correct it where it comes from and export it again.",
        )


def shown(text: object) -> str:
    """Quote outside text for an error: on one line, printable, not endless."""
    words = str(text)
    return repr(words if len(words) <= _SHOWN_CHARACTERS else words[:_SHOWN_CHARACTERS] + "…")


def nearest(word: str, known: Collection[str]) -> str:
    """Give the known word nearest to this one, whatever its case, or the empty text."""
    folded = {name.casefold(): name for name in known}
    found = get_close_matches(word.casefold(), folded, n=1)
    return folded[found[0]] if found else ""


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Give the sentence that suggests the nearest known word, or lists what there is."""
    near = nearest(word, known)
    if near:
        return f"The nearest is {shown(near)}."
    return f"There are: {', '.join(sorted(known))}." if known else ""


def positions(table: Table, names: Mapping[str, str], optional: Collection[str] = ()) -> dict[str, int]:
    """Say where each of our columns stands. `names` maps ours to theirs; an absent optional one is left out."""
    seen = _header_places(table)
    found = {ours: seen[_folded(theirs)] for ours, theirs in names.items() if _folded(theirs) in seen}
    for ours, theirs in names.items():
        if ours not in found and ours not in optional:
            raise _no_column(table, theirs)
    return found


def _no_column(table: Table, column: str) -> SourceError:
    if len(table.header) == 1 and any(mark in table.header[0] for mark in ";\t|"):
        return SourceError(
            f"{table.name} has one single column, {shown(table.header[0])}: its columns are not separated by commas.",
            "Export it again with a comma as the separator (Excel takes the one of this machine's region settings).",
        )
    return SourceError(
        f"{table.name} has no column {column}. {did_you_mean(column, [name for name in table.header if name])}".strip(),
        f"Export it again with the column {column}, or map the column in the configuration.",
    )


def _header_places(table: Table) -> dict[str, int]:
    places: dict[str, int] = {}
    for index, name in enumerate(table.header):
        if name and places.setdefault(_folded(name), index) != index:
            raise SourceError(
                f"{table.name} has the column {name} twice, so nobody can say which one counts.",
                "Export it again with each column once.",
            )
    return places


def _folded(name: str) -> str:
    return name.strip().casefold()
