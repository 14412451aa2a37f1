"""Which column of a source is which of ours, as a school maps it: a word nobody reads is refused, never passed over."""

from collections.abc import Mapping

from connector.adapters.rows import DIMENSIONS
from connector.adapters.table import did_you_mean
from connector.errors import ConfigError


def refuse_unknown_columns(name: str, columns: Mapping[str, Mapping[str, str]]) -> None:
    """Raise ConfigError where a column of ours is mapped that no dimension has."""
    for dimension in DIMENSIONS:
        known = [each.name for each in dimension.columns]
        for column in columns.get(dimension.name, {}):
            if column not in known:
                raise ConfigError(
                    f"{name} maps the column {column!r} of {dimension.name}, which nobody reads. "
                    f"{did_you_mean(column, known)}",
                    f"Columns of {dimension.name} are {', '.join(known)}.",
                )
