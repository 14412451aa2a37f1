"""A digest of rows in any order: a database promises none, and the same rows give the same fingerprint tomorrow."""

import hashlib
from collections.abc import Iterable

_BITS = 256


class RowDigest:
    """Takes rows one by one. The order does not count; a row that comes twice does."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, cells: Iterable[str]) -> None:
        """Count one row in."""
        row = "\x1f".join(cells).encode("utf-8", "surrogatepass")
        self._sum += int.from_bytes(hashlib.blake2b(row, digest_size=_BITS // 8).digest(), "big")

    def hexadecimal(self) -> str:
        """Give the digest of what was counted in so far."""
        return f"{self._sum % (1 << _BITS):0{_BITS // 4}x}"
