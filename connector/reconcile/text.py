"""How two texts of different systems are held to be the same. Pure, and the only place that decides it."""

import unicodedata
from functools import lru_cache


@lru_cache(maxsize=1_000_000)
def fold(text: str) -> str:
    """Give a text for comparing: trimmed, inner white space as one blank, composed, case-folded."""
    if text.isascii():
        return " ".join(text.split()).lower() if " " in text or not text.isprintable() else text.lower()
    return unicodedata.normalize("NFC", " ".join(text.split())).casefold()
