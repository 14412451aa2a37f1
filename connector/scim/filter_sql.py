"""A filter as a condition on the rows of `scim_users` or `scim_groups`, and an attribute as what rows are sorted by.

The condition is exact by itself, on the documents as they are searched; where a column has an index it is asked first,
by a key that is never finer than the comparison. Values are bound parameters, so statements are prepared once. Nothing
here reads or writes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    ColumnElement,
    FromClause,
    Table,
    Text,
    and_,
    case,
    exists,
    false,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    true,
)

from connector.reconcile.journal_scim_tables import scim_emails, scim_members, scim_users
from connector.reconcile.text import fold, fold_id
from connector.scim.attributes import RESOURCE_TYPES, Attribute, Path
from connector.scim.errors import invalid_path
from connector.scim.filter import And, Compare, Constant, Filter, Not, Or, Present, Value, ValuePath
from connector.scim.filter_dialects import DIALECTS, Dialect, Items, Words
from connector.scim.models import ENTERPRISE_SCHEMA
from connector.scim.search_document import LINKED

Condition = ColumnElement[bool]


def compile_filter(tree: Filter, table: Table, dialect_name: str) -> Condition:
    """Give the condition for a table's rows; `dialect_name` is SQLAlchemy's name of the database."""
    return _condition(tree, _Row(table, DIALECTS[dialect_name]))


def sort_key(path: Path, table: Table, dialect_name: str) -> ColumnElement[Any]:
    """Give what rows are sorted by: of several values the primary one's, else the first's (RFC 7644 3.4.2.3).

    Null where the attribute has no value. `ordering` puts those in their place.

    Raises:
        ScimError: invalidPath where the attribute has no order: complex ones without a `value`, and members.
    """
    attribute, dialect = path.attribute, DIALECTS[dialect_name]
    part = path.part or (attribute.part("value") if attribute and attribute.multi_valued else None)
    target = part or attribute
    hidden = any(each is not None and each.returned == "never" for each in (attribute, part))
    if attribute is None or target is None or target.kind == "complex" or attribute.name == LINKED or hidden:
        raise invalid_path(f"{path} cannot be sorted by: name a sub-attribute that has one value (RFC 7644 3.4.2.3).")
    if attribute.multi_valued:
        return dialect.ordered(_first_value(Path(path.extension, attribute, part), table, dialect))
    key = _SORTED_COLUMNS.get((table.name, *path.keys))
    text = table.c[key] if key else dialect.text(table.c.search, path.keys)
    return text if target.kind == "boolean" else dialect.ordered(text)


def ordering(path: Path, table: Table, dialect_name: str, *, descending: bool = False) -> ColumnElement[Any]:
    """Give an ORDER BY term: rows without a value come last, and first when descending (RFC 7644 3.4.2.3)."""
    key = sort_key(path, table, dialect_name)
    return key.desc().nulls_first() if descending else key.asc().nulls_last()


_SORTED_COLUMNS: Final[Mapping[tuple[str, ...], str]] = {
    ("scim_users", "id"): "id",
    ("scim_users", "userName"): "user_name_key",
    ("scim_groups", "id"): "id",
    ("scim_groups", "displayName"): "display_key",
}


def _first_value(path: Path, table: Table, dialect: Dialect) -> ColumnElement[Any]:
    items = dialect.items(table.c.search, path.keys, plain=path.part is None)
    chosen = select(dialect.text(items.value, (path.part.name,) if path.part else ())).select_from(items.rows)
    if path.attribute is not None and path.attribute.part("primary") is not None:
        is_primary = dialect.text(items.value, ("primary",)) == dialect.flag(value=True)
        chosen = chosen.order_by(case((is_primary, 0), else_=1))
    return chosen.order_by(items.place).limit(1).scalar_subquery()


@lru_cache(maxsize=1024)
def _document_text(table: Table, dialect: Dialect, keys: tuple[str, ...]) -> Words:
    """What a document says at a place: made once, there are no more places than the schema has names."""
    return dialect.text(table.c.search, keys)


# --- where a comparison looks ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    """A row's document."""

    table: Table
    dialect: Dialect

    def text(self, path: Path, part: Attribute | None = None) -> Words:
        """The one value of an attribute, or of one of its parts."""
        if path.keys == ("id",):
            return self.table.c.id
        return _document_text(self.table, self.dialect, (*path.keys, part.name) if part else path.keys)

    def several(self, path: Path) -> "_Values":
        """The values of an attribute that may have several."""
        if path.attribute is not None and path.attribute.name == LINKED:
            return self._members()
        plain = path.attribute is not None and not path.attribute.parts
        items = self.dialect.items(self.table.c.search, path.keys, plain=plain)
        return _Values(self.dialect, items.rows, (), items)

    def _members(self) -> "_Values":
        """Who is in a Group: rows of their own, shown by their names."""
        links, users = scim_members.alias(), scim_users.alias()
        name = select(self.dialect.text(users.c.search, ("userName",))).where(users.c.id == links.c.user_id)
        parts = {"value": links.c.user_id, "display": name.scalar_subquery(), "type": literal("user", Text())}
        return _Values(self.dialect, links, (links.c.group_id == self.table.c.id,), None, parts)


@dataclass(frozen=True, slots=True)
class _Values:
    """The values of one attribute of one row. `joined` ties them to it."""

    dialect: Dialect
    rows: FromClause
    joined: tuple[Condition, ...]
    items: Items | None
    parts: Mapping[str, ColumnElement[Any]] | None = None

    def text(self, path: Path, part: Attribute | None = None) -> Words:
        """One value, or the part of it that a path or `part` names."""
        part = part or path.part
        if self.items is None:
            # What the filter may name of a linked attribute is there; the rest of it has no value.
            return (self.parts or {}).get(part.name if part else "value", null())
        return self.dialect.text(self.items.value, (part.name,) if part else ())

    def any(self, *conditions: Condition) -> Condition:
        """Whether one of the values fulfils all the conditions."""
        return exists(select(literal(1)).select_from(self.rows).where(*self.joined, *conditions))


# --- conditions -----------------------------------------------------------------------------------------------------


def _condition(node: Filter, where: _Row | _Values) -> Condition:
    """The condition of any node. It may be null instead of false: only a negation has to care."""
    if isinstance(node, And):
        return and_(*(_condition(term, where) for term in node.terms))
    if isinstance(node, Or):
        return or_(*(_condition(term, where) for term in node.terms))
    if isinstance(node, Not):
        return not_(func.coalesce(_condition(node.term, where), false(), type_=Boolean()))
    if isinstance(node, Constant):
        return true() if node.holds else false()
    if isinstance(node, Compare):
        return _comparison(node, where)
    return _presence(node.path, where) if isinstance(node, Present) else _choice(node, where)


def _choice(node: ValuePath, where: _Row | _Values) -> Condition:
    if isinstance(where, _Values):
        raise TypeError("A value path cannot stand inside another.")
    values = where.several(node.path)
    chosen = values.any(_condition(node.term, values))
    terms = node.term.terms if isinstance(node.term, And) else (node.term,)
    hints = [_indexed(term, where) for term in terms if isinstance(term, Compare)]
    return and_(*(hint for hint in hints if hint is not None), chosen)


def _comparison(node: Compare, where: _Row | _Values) -> Condition:
    path, value = node.path, node.value
    if isinstance(where, _Values) or (path.attribute is not None and not path.attribute.multi_valued):
        exact = _compared(where.text(path), node.operator, value, where.dialect)
    else:
        exact = _compared_any(where.several(path), node)
    hint = _indexed(node, where) if isinstance(where, _Row) else None
    return exact if hint is None else and_(hint, exact)


def _compared_any(values: _Values, node: Compare) -> Condition:
    """Any value will do; for `ne` none may be equal, so that it says the opposite of `eq`."""
    text = values.text(node.path)
    if node.value is None and node.operator in {"eq", "ne"}:
        # No value at all is null as well (RFC 7643 2.5).
        missing = or_(not_(values.any()), values.any(text.is_(None)))
        return missing if node.operator == "eq" else not_(missing)
    if node.operator == "ne":
        return not_(values.any(_compared(text, "eq", node.value, values.dialect)))
    return values.any(_compared(text, node.operator, node.value, values.dialect))


def _compared(text: Words, operator: str, value: Value, dialect: Dialect) -> Condition:
    if value is None:
        return text.is_(None) if operator == "eq" else text.is_not(None) if operator == "ne" else false()
    if isinstance(value, bool):
        flag = dialect.flag(value=value)
        return text == flag if operator == "eq" else text.is_distinct_from(flag)
    return _OPERATORS[operator](dialect, text, value)


def _part_of(step: str) -> Callable[[Dialect, Words, str], Condition]:
    def compared(dialect: Dialect, text: Words, value: str) -> Condition:
        # Every text contains the empty one, at both ends.
        return getattr(dialect, step)(text, value) if value else text.is_not(None)

    return compared


_OPERATORS: Final[Mapping[str, Callable[[Dialect, Words, str], Condition]]] = {
    "eq": lambda _, text, value: text == value,
    # A missing value is not identical with any.
    "ne": lambda _, text, value: text.is_distinct_from(value),
    "gt": lambda dialect, text, value: dialect.ordered(text) > value,
    "ge": lambda dialect, text, value: dialect.ordered(text) >= value,
    "lt": lambda dialect, text, value: dialect.ordered(text) < value,
    "le": lambda dialect, text, value: dialect.ordered(text) <= value,
    "co": _part_of("contains"),
    "sw": _part_of("starts"),
    "ew": _part_of("ends"),
}


def _presence(path: Path, where: _Row | _Values) -> Condition:
    """RFC 7644 3.4.2.2: a value that is not empty; of a complex attribute any part of it."""
    if path.attribute is None:
        attributes = RESOURCE_TYPES["User"].extensions[path.extension].attributes
        return or_(*(_presence(Path(path.extension, each), where) for each in attributes))
    if isinstance(where, _Row) and path.attribute.multi_valued:
        values = where.several(path)
        return values.any() if values.items is None else values.any(_filled(path, values))
    return _filled(path, where)


def _filled(path: Path, where: _Row | _Values) -> Condition:
    target = path.target
    if target is not None and target.parts:
        return or_(*(_not_empty(part, where.text(path, part)) for part in target.parts.values()))
    return _not_empty(target, where.text(path))


def _not_empty(target: Attribute | None, text: Words) -> Condition:
    return text != "" if target is not None and target.kind in _TEXTS else text.is_not(None)


_TEXTS: Final = frozenset({"string", "reference", "binary"})


# --- indexes --------------------------------------------------------------------------------------------------------


def _indexed(node: Compare, row: _Row) -> Condition | None:
    """What an index can say about a comparison before the document is looked into: never less than what is equal."""
    if node.operator != "eq" or not isinstance(node.value, str):
        return None
    ask = _INDEXES.get((row.table.name, node.path.extension, str(node.path).rpartition(":")[2]))
    return None if ask is None else ask(row.table, node.value)


def _listed(key: ColumnElement[Any], owner: ColumnElement[Any]) -> Callable[[Table, str], Condition]:
    return lambda table, value: table.c.id.in_(select(owner).where(key == value))


_INDEXES: Final[Mapping[tuple[str, str, str], Callable[[Table, str], Condition]]] = {
    ("scim_users", "", "userName"): lambda users, value: users.c.user_name_key == fold(value),
    ("scim_users", "", "externalId"): lambda users, value: users.c.external_id == value,
    ("scim_users", ENTERPRISE_SCHEMA, "employeeNumber"): lambda users, value: users.c.code_key == fold_id(value),
    ("scim_users", "", "emails.value"): lambda users, value: _listed(scim_emails.c.value_key, scim_emails.c.user_id)(
        users, fold(value)
    ),
    ("scim_users", "", "groups.value"): _listed(scim_members.c.group_id, scim_members.c.user_id),
    ("scim_groups", "", "displayName"): lambda groups, value: groups.c.display_key == fold(value),
    ("scim_groups", "", "externalId"): lambda groups, value: groups.c.external_id == value,
    ("scim_groups", "", "members.value"): _listed(scim_members.c.user_id, scim_members.c.group_id),
}
