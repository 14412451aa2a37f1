"""Who may call: a client with its scopes, limits and networks."""

from dataclasses import dataclass

SCOPES = frozenset({"users:read", "users:write", "groups:read", "groups:write"})
"""Everything a client may be allowed."""


@dataclass(frozen=True, slots=True)
class Client:
    """One identity provider. `per_hour` limits deactivations, `per_minute` requests; 0 is without a limit.

    `networks` are those it may call from; none given: any.
    """

    name: str
    strict: bool = False
    scopes: frozenset[str] = SCOPES
    per_minute: int = 0
    per_hour: int = 0
    networks: tuple[str, ...] = ()

    @property
    def operator(self) -> str:
        """How audit records name it."""
        return f"scim:{self.name}"
