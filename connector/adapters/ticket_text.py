"""What a ticket says: everything a vendor asks for before it ends a session by hand, and nothing else. Pure.

Never a reason: why somebody loses access is the school's business, and a custody order nobody else's.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

from connector.model import EndSessions

_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Wording:
    """What is the same in every ticket of one portal."""

    portal: str
    authoriser_role: str
    what_to_do: str
    confirmed_folder: str


def ticket_name(item: EndSessions, portal: str) -> str:
    """Give the name of a request: for people, and the same however often one intent is driven."""
    facts = f"{portal}\0{item.user}\0{item.code}\0{item.reference}".encode("utf-8", "surrogatepass")
    return f"{ticket_prefix(portal)}{_plain(item.code or item.user)}-{hashlib.sha256(facts).hexdigest()[:12]}"


def ticket_prefix(portal: str) -> str:
    """Give what the names of all requests of one portal begin with."""
    return f"{_plain(portal)}-"


def ticket_subject(item: EndSessions, name: str, portal: str) -> str:
    """Give one line that says what is asked."""
    return f"End live sessions in {portal}: {_line(item.code or item.user)} [{name}]"


def ticket_text(item: EndSessions, name: str, wording: Wording, asked_at: datetime) -> str:
    """Give the whole request, `asked_at` in the school's time."""
    facts = {
        "Portal": wording.portal,
        "Contact type": _line(item.contact_type) or "not in the admin system: ask the school",
        "Code": _line(item.code) or "not in the admin system: ask the school",
        "Name": _line(item.name) or "not in the admin system: ask the school",
        "Signs in as": _line(item.user),
        "Asked for": f"{asked_at:%Y-%m-%d %H:%M %z}" + (f" by {_line(item.requested_by)}" if item.requested_by else ""),
        "Authorised by": _line(item.authorised_by) or f"____________________ ({wording.authoriser_role}: name, date)",
        "Reference": name,
    }
    lines = [f"{label + ':':<15}{value}" for label, value in facts.items()]
    return "\n".join((
        "Please end the live sessions of one person.",
        "",
        *lines,
        "",
        "What to do",
        wording.what_to_do,
        "",
        "For the school",
        f"The vendor acts on the word of {wording.authoriser_role} only: {_authorising(item)}.",
        f"When the vendor has confirmed, put a file named {name}.txt (this one, or the confirmation) into",
        f"{wording.confirmed_folder}. Until then this request counts as open.",
        "",
    ))  # fmt: skip


def _authorising(item: EndSessions) -> str:
    return "it is authorised, hand it in" if item.authorised_by else "have it authorised, then hand it in"


def _plain(text: str) -> str:
    """Give a text from outside as part of a file's name, on any system."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text)[:40].strip("-") or "x"


def _line(text: str) -> str:
    """Give a text from outside as part of one line."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()[:_LONGEST]
