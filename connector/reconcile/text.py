"""How two texts of different systems are held to be the same. Pure, and the only place that decides it."""

import unicodedata

_NOT_DIGITS = bytes(set(range(128)) - set(b"0123456789"))


def fold(text: str) -> str:
    """Give a text for comparing: trimmed, inner white space as one blank, composed, case-folded, no hidden marks."""
    # Not cached: for the short ASCII texts schools have, a cache costs more than the work it saves.
    if text.isascii():
        if " " in text or not text.isprintable():
            text = " ".join(text.split())
        return text.lower()
    if not text.isprintable():
        # A mark of direction, which right-to-left systems write beside names, is no part of what anybody reads.
        text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFC", " ".join(text.split())).casefold()


def fold_id(text: str) -> str:
    """Give a contact code or employee id for comparing: what nobody can see does not make it another one."""
    if text.isascii() and text.isprintable():
        return fold(text)
    # RFC 4518 2.2, 2.3: directories map invisible characters to nothing and wide forms to plain ones.
    shown = (c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf"))
    return fold(unicodedata.normalize("NFKC", "".join(shown)))


def as_shown(text: str) -> str:
    """Give an id as it looks once a spreadsheet had it: leading zeros are lost, and 123 may have become 123.0."""
    folded = fold_id(text)
    number = folded.removesuffix(".0")
    return number.lstrip("0") or "0" if number.isascii() and number.isdigit() else folded


def digits(text: str) -> str:
    """Give a telephone number for comparing: its digits alone, in whatever script they are written."""
    if text.isascii():
        return text.encode("ascii").translate(None, _NOT_DIGITS).decode("ascii")
    return "".join(str(unicodedata.decimal(c)) for c in text if c.isdecimal())
