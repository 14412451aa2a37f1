"""Puts what is to be told into the journal's outbox. Nothing is sent from here.

Must never put anything where nobody is configured to be told: it would wait, and stand in `check`, for ever.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from connector.config import Config
from connector.daemon.errand import Scene
from connector.daemon.letters import content_of, name_of
from connector.post import Letter
from connector.reconcile.report_json import plain
from connector.reconcile.wording import Who, clean

MAIL, WEBHOOK, PING = "mail", "webhook", "ping"
"""The channels of the outbox."""


def put_letter(scene: Scene, letter: Letter) -> tuple[str, ...]:
    """Put a letter; give its name, or nothing where no mail is configured."""
    if scene.connector.config.reports.mail is None:
        return ()
    scene.connector.journal.duties.put(scene.claim, MAIL, [(letter.name, content_of(letter))])
    return (letter.name,)


def put_event(scene: Scene, name: str, kind: str, at: datetime, content: object) -> tuple[str, ...]:
    """Put an event for the webhook, in the shape Standard Webhooks recommends; give its name, or nothing."""
    if scene.connector.config.reports.webhook is None:
        return ()
    body = {"type": kind, "timestamp": plain(at), "data": plain(content)}
    duties = scene.connector.journal.duties
    duties.put(scene.claim, WEBHOOK, [(f"hook-{name}", json.dumps(body, ensure_ascii=False))])
    return (f"hook-{name}",)


def put_ping(scene: Scene, name: str, waits_for: tuple[str, ...]) -> None:
    """Put a sign of life, to be given once these messages have left."""
    content = json.dumps({"waits_for": list(waits_for)})
    scene.connector.journal.duties.put(scene.claim, PING, [(f"ping-{name}", content)])


def names_a(config: Config, what: str, *parts: str) -> str:
    """Make the name of a message of this school."""
    return name_of(what, config.school.name, *parts)


def stamp(at: datetime) -> str:
    """Give a time as a part of a name."""
    return f"{at:%Y%m%dT%H%M%S}"


def known(scene: Scene, duty: str) -> Mapping[str, Any]:
    """Give what is remembered under a name; nothing where it cannot be read: at worst something is told once more."""
    found = scene.connector.journal.duties.find(duty).get(duty)
    try:
        value = json.loads(found.value) if found else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def remember(scene: Scene, duty: str, value: Mapping[str, Any]) -> None:
    """Remember something under a name."""
    scene.connector.journal.duties.done(scene.claim, duty, json.dumps(value, ensure_ascii=False))


def audit_head(scene: Scene) -> str:
    """Give the head of the audit trail: it leaves the machine with every mail."""
    return scene.connector.journal.verify_audit().head


def whose(scene: Scene) -> Callable[[str], Who]:
    """Give what names people, as they were accepted last; who is not known goes by the id."""
    accepted = scene.connector.running().accepting.baseline()
    people = accepted.school.people if accepted else {}

    def named(person_id: str) -> Who:
        person = people.get(person_id)
        code, name = (clean(person.code), clean(person.name)) if person else ("", "")
        return Who(clean(person_id), clean(person_id), code, name, "")

    return named
