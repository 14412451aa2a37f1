"""A filter, read and checked: every name found in the schema, every value as its attribute's type is compared.

The library's parser reads the grammar; precedence is mended here, because it gives `and` and `or` the same. A filter
that is not understood is refused with invalidFilter: an ignored condition would answer with everybody. Pure.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from scim2_filter_parser import ast
from scim2_filter_parser.parser import SCIMParser, SCIMParserError

from connector.scim.attributes import Attribute, Path, find, short
from connector.scim.errors import invalid_filter
from connector.scim.filter_tokens import tokens
from connector.scim.search_document import LINKED, binary_key, comparison_key, moment_key

Value = str | bool | None
"""What is compared with: the key of a text, moment or base64; true or false; null."""


@dataclass(frozen=True, slots=True)
class And:
    """All of the terms."""

    terms: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of the terms."""

    terms: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Not this comparison, presence or choice: never of anything larger."""

    term: "Compare | Present | ValuePath"


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison. Of several values any may match; for `ne` none may be equal."""

    path: Path
    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class Present:
    """The attribute, or any part of it, has a value that is not empty."""

    path: Path


@dataclass(frozen=True, slots=True)
class ValuePath:
    """One and the same value of the attribute fulfils the whole term."""

    path: Path
    term: "Filter"


@dataclass(frozen=True, slots=True)
class Constant:
    """What does not depend on the resource."""

    holds: bool


Filter = And | Or | Not | Compare | Present | ValuePath | Constant

_EQUALITY: Final = frozenset({"eq", "ne"})
_SUBSTRING: Final = frozenset({"co", "sw", "ew"})
_BOOLEANS: Final = {"true": True, "false": False}
_CACHED_CHARACTERS = 512

# What the library's parser raises for texts that are no filters.
_REFUSALS = (SCIMParserError, ValueError, IndexError, RecursionError, AttributeError)


def parse(text: str, resource_type: str, among: tuple[str, ...] = ()) -> Filter:
    """Read a filter for a resource type (User, Group).

    `among` names the resource types that one request searches together: there an attribute that only another one has
    is an attribute without a value (RFC 7644 3.4.2.1).

    Raises:
        ScimError: invalidFilter for whatever is not understood, in syntax or in meaning.
    """
    read = _remembered if len(text) <= _CACHED_CHARACTERS else _read
    return read(text, resource_type, among)


def _read(text: str, resource_type: str, among: tuple[str, ...]) -> Filter:
    try:
        tree = SCIMParser().parse(tokens(text))
    except _REFUSALS as error:
        raise invalid_filter("The filter cannot be read. See RFC 7644 3.4.2.2.") from error
    if tree is None:
        raise invalid_filter("The filter is empty. Leave the parameter out to ask for everything.")
    return _Reader(resource_type, among).filter(tree)


_remembered = lru_cache(maxsize=1024)(_read)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the library's tree. Inside the brackets of a value path `chosen` is the attribute before them."""

    resource_type: str
    among: tuple[str, ...]
    chosen: Path | None = None

    def filter(self, node: ast.Filter) -> Filter:
        """Read any node of the tree."""
        if node.namespace is not None:
            read = self._value_path(node)
        elif isinstance(node.expr, ast.LogExpr):
            read = self._run(node.expr)
        elif isinstance(node.expr, ast.AttrExpr):
            read = self._term(node.expr)
        else:
            read = self.filter(node.expr)
        return _negated(read) if node.negated else read

    def _run(self, node: ast.LogExpr) -> Filter:
        """Regroup what stands between two parentheses: `and` binds closer than `or`."""
        groups: list[list[Filter]] = [[]]
        for operator, operand in _operands(node):
            if operator == "or":
                groups.append([])
            groups[-1].append(self.filter(operand))
        return _joined(Or, [_joined(And, group) for group in groups])

    def _term(self, node: ast.AttrExpr) -> Filter:
        operator = node.value.lower()
        where = node.attr_path.attr_name
        if isinstance(where, ast.Filter):
            # emails[type eq "work"].value eq "x": not in the grammar of RFC 7644, and what Entra ID sends.
            if where.namespace is None or where.namespace.sub_attr is None:
                raise invalid_filter("A comparison cannot follow [...]. Write the condition inside the brackets.")
            return self._value_path(where, (operator, node.comp_value))
        return self._compared(_written(node.attr_path), operator, node.comp_value)

    def _value_path(self, node: ast.Filter, last: tuple[str, ast.CompValue | None] | None = None) -> Filter:
        named = node.namespace
        if self.chosen is not None or (last is None and named.sub_attr is not None):
            raise invalid_filter("[...] stands behind an attribute with several values, and not inside another [...].")
        path, ours = self._found(_written(ast.AttrPath(named.attr_name, None, named.uri)))
        if path.attribute is None or path.part is not None or not path.attribute.multi_valued:
            raise invalid_filter(f"{path} has not several values to choose from with [...].")
        inside = _Reader(self.resource_type, (), path)
        term = inside.filter(node.expr)
        if last is not None:
            term = _joined(And, [term, inside._compared(named.sub_attr.value, *last)])
        return ValuePath(path, term) if ours else Constant(holds=False)

    def _compared(self, name: str, operator: str, literal: ast.CompValue | None) -> Filter:
        path, ours = self._found(name)
        if literal is None:
            return Present(_searched(path)) if ours else Constant(holds=False)
        path = _searched(_value_of(path))
        value = _typed(path, operator, literal.value)
        if ours:
            return Compare(path, operator, value)
        # An attribute without a value: equal to null, and not equal to anything else.
        return Constant(holds=(operator, value is None) in {("eq", True), ("ne", False)})

    def _found(self, name: str) -> tuple[Path, bool]:
        """The attribute of that name, and whether it is this resource type's: another searched one may have it."""
        if self.chosen is not None:
            return self._found_inside(name, self.chosen), True
        for resource_type in (self.resource_type, *self.among):
            if (path := find(resource_type, name)) is not None:
                return path, resource_type == self.resource_type
        raise invalid_filter(f"{short(name)} is not an attribute of {self.resource_type}. See /Schemas.")

    @staticmethod
    def _found_inside(name: str, chosen: Path) -> Path:
        attribute = chosen.attribute
        if attribute is not None and not attribute.parts and name.lower() == "value":
            return chosen
        part = attribute and attribute.part(name)
        if part is None:
            raise invalid_filter(f"{short(name)} is not a sub-attribute of {chosen}. See /Schemas.")
        return Path(chosen.extension, attribute, part)


def _operands(node: ast.LogExpr) -> Iterator[tuple[str, ast.Filter]]:
    """The operands of a run from left to right, each with the operator before it; the first counts as one of `and`."""
    backwards = []
    while True:
        backwards.append((node.op.lower(), node.expr2))
        left = node.expr1
        # Only what stood in parentheses is a filter in a filter; a run leans to the left.
        if not isinstance(left.expr, ast.LogExpr) or left.negated:
            break
        node = left.expr
    yield "and", left
    yield from reversed(backwards)


def _joined(kind: type[And] | type[Or], terms: list[Filter]) -> Filter:
    """Join terms flatly: a run in needless parentheses costs no level."""
    if len(terms) == 1:
        return terms[0]
    flat = (inner for term in terms for inner in (term.terms if isinstance(term, kind) else (term,)))
    return kind(tuple(flat))


def _negated(term: Filter) -> Filter:
    """Carry a negation down to the comparisons: there it is one step, however deep the filter."""
    if isinstance(term, And):
        return Or(tuple(map(_negated, term.terms)))
    if isinstance(term, Or):
        return And(tuple(map(_negated, term.terms)))
    if isinstance(term, Not):
        return term.term
    return Constant(not term.holds) if isinstance(term, Constant) else Not(term)


def _written(path: ast.AttrPath) -> str:
    if not isinstance(path.attr_name, str):
        raise invalid_filter("[...] cannot follow [...]. Write one condition inside the first brackets.")
    name = path.attr_name if path.sub_attr is None else f"{path.attr_name}.{path.sub_attr.value}"
    return name if path.uri is None else f"{path.uri}:{name}"


def _value_of(path: Path) -> Path:
    """RFC 7644 3.4.2.2: `emails co "x"` compares the values of the e-mails. Entra ID asks the same of the manager."""
    attribute = path.attribute
    if attribute is None or path.part is not None or not attribute.parts:
        return path
    value = attribute.part("value")
    return Path(path.extension, attribute, value) if value is not None or attribute.multi_valued else path


def _searched(path: Path) -> Path:
    """Refuse what is never searched: what is never shown, and addresses that depend on who asks."""
    names = tuple(each.name for each in (path.attribute, path.part) if each is not None)
    hidden = any(each is not None and each.returned == "never" for each in (path.attribute, path.part))
    if hidden or names in {(LINKED, "$ref"), ("meta", "location")}:
        raise invalid_filter(f"{path} is not searched.")
    return path


# --- values ---------------------------------------------------------------------------------------------------------


def _typed(path: Path, operator: str, literal: Any) -> Value:
    """The value as it is compared with the attribute; RFC 7644 3.4.2.2 says which operators a type has."""
    target = path.target
    if target is None or target.kind == "complex":
        raise invalid_filter(f"{path} is complex: name one of its sub-attributes (RFC 7644 3.4.2.2).")
    if target.kind in _WITHOUT_ORDER and operator not in _EQUALITY:
        raise invalid_filter(f"{path} is {target.kind}: it has eq, ne and pr, and no {operator}.")
    if literal is None:
        return None
    value = _TYPED[target.kind](target, operator, literal)
    if value is None:
        raise invalid_filter(f"{path} is {target.kind}: it cannot be compared like this ({operator}).")
    return value


def _text(target: Attribute, _operator: str, literal: Any) -> str | None:
    return comparison_key(literal, case_exact=target.case_exact) if isinstance(literal, str) else None


def _flag(_target: Attribute, _operator: str, literal: Any) -> bool | None:
    if isinstance(literal, str):
        # Entra ID spells its booleans "True" and "False".
        return _BOOLEANS.get(literal.lower())
    return literal if isinstance(literal, bool) else None


def _moment(_target: Attribute, operator: str, literal: Any) -> str | None:
    return moment_key(literal) if isinstance(literal, str) and operator not in _SUBSTRING else None


def _binary(_target: Attribute, _operator: str, literal: Any) -> str | None:
    return binary_key(literal) if isinstance(literal, str) else None


_WITHOUT_ORDER: Final = frozenset({"boolean", "binary"})
_TYPED: Final[dict[str, Callable[[Attribute, str, Any], Value]]] = {
    "string": _text,
    "reference": _text,
    "boolean": _flag,
    "dateTime": _moment,
    "binary": _binary,
}
