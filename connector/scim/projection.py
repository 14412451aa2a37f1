"""Which attributes an answer shows: `attributes` and `excludedAttributes` over a stored document.

Pure. `id` and `schemas` are always there (RFC 7643 7, returned "always"). A name nobody declared selects nothing and is
no error (RFC 7644 3.9); names match in any case.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from connector.scim.errors import ScimError, invalid_value
from connector.scim.operations import targeted
from connector.scim.shapes import Shape

MOST_NAMES: Final = 200

_ALWAYS: Final = frozenset({"id", "schemas"})

# A name to what is named below it; None is all of it.
Tree = dict[str, "Tree | None"]


@dataclass(frozen=True, slots=True)
class Projection:
    """What is shown. `shown` None is everything, but for what is `hidden`. `named` is what was named itself."""

    shown: Tree | None
    hidden: Tree
    named: frozenset[tuple[str, ...]] = frozenset()

    @property
    def is_everything(self) -> bool:
        """Whether the stored document is the answer as it stands."""
        return self.shown is None and not self.hidden

    def wants(self, name: str) -> bool:
        """Whether a top-level attribute is in the answer at all: Group members are only read when they are."""
        return (self.shown is None or name in self.shown) and self.hidden.get(name, {}) is not None

    def asks_for(self, *steps: str) -> bool:
        """Whether somebody named it: what is returned on request only is in no other answer (RFC 7643 7)."""
        return steps in self.named


EVERYTHING: Final = Projection(None, {})


def projection(attributes: str | Iterable[str] | None, excluded: str | Iterable[str] | None, root: Shape) -> Projection:
    """Read both parameters: comma-separated in a query, lists in a `/.search` body.

    Args:
        attributes: What to show; empty or None is everything.
        excluded: What to leave out.
        root: The shape of the resource: `shapes.USER` or `shapes.GROUP`.

    Raises:
        ScimError: invalidValue for more than `MOST_NAMES` names.
    """
    shown, hidden = _names(attributes), _names(excluded)
    if not shown and not hidden:
        return EVERYTHING
    asked = [_steps(name, root) for name in shown]
    left_out = [_steps(name, root) for name in hidden]
    return Projection(_tree(asked) if shown else None, _tree(left_out), frozenset(asked))


def projected(document: Mapping[str, Any], wanted: Projection) -> dict[str, Any]:
    """The document with only what is wanted; the one given is left as it is."""
    always = {name: document[name] for name in document if name in _ALWAYS}
    shown = document if wanted.shown is None else {**_kept(document, wanted.shown), **always}
    left = {**_left(shown, wanted.hidden), **always}
    return {name: left[name] for name in document if name in left}


def _names(given: str | Iterable[str] | None) -> list[str]:
    parts = given.split(",") if isinstance(given, str) else list(given or ())
    names = [name.strip() for name in parts if name.strip()]
    if len(names) > MOST_NAMES:
        raise invalid_value(f"{len(names)} attributes are named; at most {MOST_NAMES} are read.")
    return names


def _tree(several: Iterable[tuple[str, ...]]) -> Tree:
    tree: Tree = {}
    for steps in several:
        _plant(tree, steps)
    return tree


def _steps(name: str, root: Shape) -> tuple[str, ...]:
    """The keys from the top of a document down to what is named; none where nothing is."""
    if name.lower() == "schemas":
        return ("schemas",)
    try:
        target = targeted(name, root, strict=False)
    except ScimError:
        return ()
    if target is None:
        return ()
    attribute = target.attribute.name if target.attribute else ""
    part = target.part.name if target.part else ""
    return tuple(step for step in (target.extension, attribute, part) if step)


def _plant(tree: Tree, steps: tuple[str, ...]) -> None:
    for at, step in enumerate(steps):
        if at == len(steps) - 1:
            tree[step] = None
            return
        below = tree.setdefault(step, {})
        if below is None:
            return
        tree = below


def _kept(value: Any, tree: Tree) -> Any:
    if isinstance(value, list):
        return [kept for kept in (_kept(one, tree) for one in value) if kept]
    if not isinstance(value, Mapping):
        return value
    kept = {
        name: one if tree[name] is None else _kept(one, tree[name] or {}) for name, one in value.items() if name in tree
    }
    return {name: one for name, one in kept.items() if one not in ({}, [])}


def _left(value: Any, tree: Tree) -> Any:
    if isinstance(value, list):
        return [left for left in (_left(one, tree) for one in value) if left]
    if not isinstance(value, Mapping):
        return value
    left: dict[str, Any] = {}
    for name, one in value.items():
        below = tree.get(name, {})
        if below is not None:
            rest = _left(one, below) if below else one
            if rest not in ({}, []):
                left[name] = rest
    return left
