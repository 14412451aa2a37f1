"""Sixty Users of every awkward kind, as documents, as rows and as the library's models; and filters made by chance."""

import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from scim2_models import ScimFilter
from sqlalchemy import Connection, Engine, insert

from connector.reconcile.journal_columns import metadata
from connector.reconcile.journal_scim_tables import scim_emails, scim_groups, scim_members, scim_users
from connector.scim.models import CONNECTOR_SCHEMA, ENTERPRISE_SCHEMA, USER_SCHEMA, User
from connector.scim.search_document import email_keys, group_columns, user_columns

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TABLES = [scim_users, scim_emails, scim_groups, scim_members]

WORDS = (
    *("ada", "Ada", "ADA LOVELACE", "lovelace", "Straße", "STRASSE", "strasse", "STRAẞE", "İstanbul", "istanbul"),
    *(
        "i\u0307stanbul",
        "ISTANBUL",
        "\u0131stanbul",
        "ΟΔΟΣ",
        "οδος",
        "οδοσ",
        "é",
        "e\u0301",
        "É",
        "ﬁn",
        "fin",
        "\u212aelvin",
    ),
    *("kelvin", "100%", "100", "%", "_", "a_b", "axb", "back\\slash", "\\", 'quo"te', '"', "O'Brien", "'", "''", ""),
    *(
        " ",
        " ada",
        "ada ",
        "a  b",
        "tab\there",
        "line\nbreak",
        "👩‍👩‍👧",
        "👩",
        "\U0001f600",
        "\ufffd",
        "\u02bc",
        "null",
        "true",
    ),
    *(
        "false",
        "{}",
        '{"a": 1}',
        "[1]",
        "0",
        "007",
        "7",
        "-1",
        "1e3",
        "$.x",
        "--",
        ";drop",
        "*",
        "?",
        "co",
        "and",
        "z",
        "Z",
    ),
)
TYPES = ("work", "home", "other", "Work", "WORK", "mobile", "school")
MOMENTS = (
    *("2026-11-20T12:00:00Z", "2026-11-20T12:00:00.000001Z", "2026-11-20T13:00:00+01:00", "2026-11-20T11:59:59.999Z"),
    *("2026-11-21T00:30:00+13:00", "2011-05-13T04:42:34Z", "1999-12-31T23:59:59-05:00", "2026-11-20T12:00:00.5+00:00"),
)
CERTIFICATES = ("AQID", "AQIDBA==", "/+8=")
GROUPS = {"g-1": "Portal A", "g-2": "straße", "g-3": "100%"}

ENTERPRISE, CONNECTOR = f"{ENTERPRISE_SCHEMA}:", f"{CONNECTOR_SCHEMA}:"
ONE_TEXT = (
    *("userName", "displayName", "nickName", "title", "userType", "name.familyName", "name.givenName", "id", "locale"),
    *(
        "externalId",
        "profileUrl",
        "meta.resourceType",
        "meta.version",
        f"{USER_SCHEMA}:userName",
        f"{USER_SCHEMA}:title",
    ),
    *(f"{ENTERPRISE}employeeNumber", f"{ENTERPRISE}department", f"{ENTERPRISE}manager.value"),
    *(f"{ENTERPRISE}manager.displayName", f"{CONNECTOR}status", f"{CONNECTOR}note"),
)
SEVERAL: Mapping[str, tuple[str, ...]] = {
    "emails": ("value", "type", "display", "primary"),
    "phoneNumbers": ("value", "type", "primary"),
    "addresses": ("locality", "type", "country", "primary"),
    "roles": ("value", "display", "primary"),
    "groups": ("value", "display", "$ref"),
    f"{CONNECTOR}legs": ("target", "state", "effectiveBy"),
}
SEVERAL_TEXTS = (
    *("schemas", "emails", "roles", "groups", "photos.value"),
    *(f"{name}.{part}" for name, parts in SEVERAL.items() for part in parts if part not in {"primary", "effectiveBy"}),
)
FLAGS = ("active", "emails.primary", "roles.primary", "addresses.primary")
DATES = ("meta.created", "meta.lastModified", f"{CONNECTOR}effectiveBy", f"{CONNECTOR}legs.effectiveBy")
WHOLE = ("name", "meta", "emails", "addresses", "roles", "groups", f"{ENTERPRISE}manager", f"{CONNECTOR}legs", "ims")
NAMED = (*ONE_TEXT, *SEVERAL_TEXTS, *FLAGS, *DATES, *WHOLE, "x509Certificates", "x509Certificates.value")


# --- Users ----------------------------------------------------------------------------------------------------------


def users(amount: int = 60, seed: int = 7643) -> list[dict[str, Any]]:
    """Make documents; the first is as bare as one can be."""
    chance = random.Random(seed)  # noqa: S311  # the same sixty every time
    bare = {"schemas": [USER_SCHEMA], "id": "u-0", "userName": "bare", "meta": {"resourceType": "User"}}
    return [bare, *(_user(number, chance) for number in range(1, amount))]


def _user(number: int, chance: random.Random) -> dict[str, Any]:
    meta = {"resourceType": "User", "created": chance.choice(MOMENTS), "lastModified": chance.choice(MOMENTS)}
    document: dict[str, Any] = {
        "schemas": [USER_SCHEMA],
        "id": f"u-{number}",
        "userName": f"{chance.choice(WORDS)}#{number}" if number > 20 else f"{number}{chance.choice(WORDS)}",
        "meta": {**meta, "version": f'W/"{number}"', "location": "@LOCATION@"},
        **_sometimes(chance, dict.fromkeys(("displayName", "nickName", "title", "userType", "locale"), _word)),
        **_sometimes(chance, {"externalId": _word, "profileUrl": _word, "active": _flag, "name": _name}),
        **_sometimes(chance, {"emails": _emails, "phoneNumbers": _emails, "addresses": _addresses, "roles": _roles}),
        **_sometimes(chance, {"photos": _roles, "x509Certificates": _certificates, "ims": lambda _: []}),
        **_sometimes(chance, {"groups": _groups}),
    }
    for urn, make in ((ENTERPRISE_SCHEMA, _enterprise), (CONNECTOR_SCHEMA, _connector)):
        if chance.random() < 0.7:
            document[urn] = make(chance)
            document["schemas"].append(urn)
    return document


def _sometimes(chance: random.Random, makers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: make(chance) for name, make in makers.items() if chance.random() < 0.7}


def _word(chance: random.Random) -> str:
    return chance.choice(WORDS)


def _flag(chance: random.Random) -> bool:
    return chance.random() < 0.5


def _name(chance: random.Random) -> dict[str, Any]:
    return _sometimes(chance, {"familyName": _word, "givenName": _word})


def _some(chance: random.Random, one: Any) -> list[dict[str, Any]]:
    return [one(chance) for _ in range(chance.choice((0, 1, 1, 2, 3)))]


def _kind(chance: random.Random) -> str:
    return chance.choice(TYPES)


def _emails(chance: random.Random) -> list[dict[str, Any]]:
    makers = {"value": _word, "type": _kind, "display": _word, "primary": _flag}
    return _some(chance, lambda luck: _sometimes(luck, makers))


def _addresses(chance: random.Random) -> list[dict[str, Any]]:
    return _some(chance, lambda luck: _sometimes(luck, {"locality": _word, "type": _kind, "primary": _flag}))


def _roles(chance: random.Random) -> list[dict[str, Any]]:
    return _some(chance, lambda luck: _sometimes(luck, {"value": _word, "display": _word, "primary": _flag}))


def _certificates(chance: random.Random) -> list[dict[str, Any]]:
    return _some(chance, lambda luck: {"value": luck.choice(CERTIFICATES)})


def _groups(chance: random.Random) -> list[dict[str, Any]]:
    chosen = chance.sample(sorted(GROUPS), chance.choice((0, 1, 2)))
    return [{"value": key, "$ref": f"../Groups/{key}", "display": GROUPS[key]} for key in chosen]


def _enterprise(chance: random.Random) -> dict[str, Any]:
    made = _sometimes(chance, {"employeeNumber": _word, "department": _word})
    return {**made, "manager": _sometimes(chance, {"value": _word, "displayName": _word})}


def _connector(chance: random.Random) -> dict[str, Any]:
    leg = {"target": _word, "state": _word, "effectiveBy": lambda luck: luck.choice(MOMENTS)}
    made = _sometimes(chance, {"status": _word, "note": _word, "effectiveBy": leg["effectiveBy"]})
    return {**made, "legs": _some(chance, lambda luck: _sometimes(luck, leg))}


# --- rows and models ------------------------------------------------------------------------------------------------


def store(engine: Engine, documents: list[dict[str, Any]]) -> None:
    """Make the tables and put the Users into them, with the Groups they are in."""
    metadata.create_all(engine, tables=TABLES)
    with engine.begin() as conn:
        for position, (key, name) in enumerate(GROUPS.items()):
            store_group(conn, position, {"id": key, "displayName": name})
        for position, document in enumerate(documents):
            store_user(conn, position, document)


def store_user(conn: Connection, position: int, document: Mapping[str, Any]) -> None:
    """Put one User with its e-mails and Groups into the tables."""
    key = document["id"]
    fixed = {"source": "scim", "client": "test", "pending": "", "document": "{}", "mirror_digest": "", "version": 1}
    times = {"created_at": NOW, "modified_at": NOW}
    own = {"id": key, "position": position, "person_id": key, "user_name": document["userName"]}
    values = {**user_columns(document), **own, **fixed, **times, "active": True, "wanted": True}
    conn.execute(insert(scim_users).values(values))
    if emails := email_keys(document):
        conn.execute(insert(scim_emails), [{"user_id": key, "value_key": email} for email in sorted(emails)])
    if groups := document.get("groups"):
        links = [{"group_id": group["value"], "user_id": key, "added_at": NOW} for group in groups]
        conn.execute(insert(scim_members), links)


def store_group(conn: Connection, position: int, document: Mapping[str, Any]) -> None:
    """Put one Group into the tables."""
    fixed = {"portal": "", "client": "test", "document": "{}", "version": 1, "created_at": NOW, "modified_at": NOW}
    own = {"id": document["id"], "position": position, "display_name": document["displayName"]}
    conn.execute(insert(scim_groups).values({**group_columns(document), **own, **fixed}))


def model_of(document: Mapping[str, Any]) -> Any:
    """The library's model of a document. Its evaluator takes [] for a value; RFC 7643 2.5 does not."""
    return User.model_validate(_without_empty_lists(document))


def _without_empty_lists(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_empty_lists(value) if isinstance(value, dict) else value
        for name, value in document.items()
        if value != []
    }


def matched_by_library(text: str, models: Mapping[str, Any]) -> set[str]:
    """The ids of whom the library's own filter selects."""
    chosen = ScimFilter[User](text)
    return {key for key, model in models.items() if chosen.match(model)}


# --- filters --------------------------------------------------------------------------------------------------------


def filters(amount: int, seed: int = 7644) -> Iterator[str]:
    """Make so many filters."""
    chance = random.Random(seed)  # noqa: S311  # the same ones every time: a failure can be looked into
    for _ in range(amount):
        yield _filter(chance, chance.choice((0, 0, 0, 0, 0, 1, 1, 2)))


def _filter(chance: random.Random, depth: int) -> str:
    if depth == 0:
        return chance.choice((_comparison, _comparison, _comparison, _presence, _choice))(chance)
    shape = chance.random()
    if shape < 0.2:
        return f"{_cased(chance, 'not')} ({_filter(chance, depth - 1)})"
    run = _filter(chance, depth - 1)
    for _ in range(chance.choice((1, 1, 2))):
        run = f"{run} {_cased(chance, chance.choice(('and', 'or')))} {_filter(chance, depth - 1)}"
    return f"({run})" if shape < 0.5 else run


def _comparison(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.55:
        return _on_text(chance, chance.choice(ONE_TEXT))
    if kind < 0.8:
        return _on_text(chance, chance.choice(SEVERAL_TEXTS))
    if kind < 0.9:
        return _on_flag(chance, chance.choice(FLAGS))
    if kind < 0.96:
        return _on_date(chance, chance.choice(DATES))
    word = ScimFilter.quote(chance.choice(CERTIFICATES))
    return f"{_cased(chance, 'x509Certificates.value')} {chance.choice(('eq', 'ne'))} {word}"


def _on_text(chance: random.Random, name: str) -> str:
    word = chance.choice((*WORDS, *TYPES, *GROUPS, "u-7", "USER", "user", USER_SCHEMA, ENTERPRISE_SCHEMA.upper(), None))
    if name.endswith("userName") and chance.random() < 0.5:
        word = chance.choice(_NAMES)
        word = chance.choice((word, word.upper(), word.lower()))
    elif word and chance.random() < 0.3:
        start = chance.randrange(len(word))
        word = word[start : start + 1 + chance.randrange(4)]
    return _compared(chance, name, ("eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"), word)


def _on_flag(chance: random.Random, name: str) -> str:
    return _compared(chance, name, ("eq", "ne"), chance.choice((True, False, "True", "False", "false", None)))


def _on_date(chance: random.Random, name: str) -> str:
    return _compared(chance, name, ("eq", "ne", "gt", "ge", "lt", "le"), chance.choice((*MOMENTS, None)))


def _compared(chance: random.Random, name: str, operators: tuple[str, ...], value: Any) -> str:
    return f"{_cased(chance, name)} {_cased(chance, chance.choice(operators))} {ScimFilter.quote(value)}"


def _presence(chance: random.Random) -> str:
    return f"{_cased(chance, chance.choice(NAMED))} {_cased(chance, 'pr')}"


def _choice(chance: random.Random) -> str:
    if chance.random() < 0.08:
        return f"schemas[{_on_text(chance, 'value')}]"
    name = chance.choice(sorted(SEVERAL))
    parts = [_on_part(chance, chance.choice(SEVERAL[name])) for _ in range(chance.choice((1, 2, 2, 3)))]
    inside = parts[0]
    for part in parts[1:]:
        inside = f"{inside} {chance.choice(('and', 'and', 'or'))} {part}"
    inside = f"not ({inside})" if chance.random() < 0.15 else inside
    if chance.random() < 0.25:
        last = chance.choice([part for part in SEVERAL[name] if part not in {"primary", "effectiveBy", "$ref"}])
        return f"{_cased(chance, name)}[{inside}].{_on_text(chance, last)}"
    return f"{_cased(chance, name)}[{inside}]"


def _on_part(chance: random.Random, part: str) -> str:
    if chance.random() < 0.12:
        return f"{part} pr"
    if part == "type" and chance.random() < 0.8:
        return f'type eq "{chance.choice(TYPES)}"'
    return {"primary": _on_flag, "effectiveBy": _on_date}.get(part, _on_text)(chance, part)


def _cased(chance: random.Random, name: str) -> str:
    kind = chance.random()
    return name.upper() if kind < 0.1 else name.lower() if kind < 0.2 else name


_NAMES = tuple(document["userName"] for document in users())
