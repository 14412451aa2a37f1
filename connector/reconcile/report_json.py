"""A report, or any of our values, as JSON for machines. Pure. One way only: nothing is read back from it."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from enum import Enum

from connector.reconcile.report import Report


def plain(value: object) -> object:
    """Turn frozen values into what JSON knows: field names, lists, ISO dates, the words of enums."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        # People read times in the school's zone, machines always in the same one.
        same = value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value
        return same.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [plain(item) for item in value]
    return value


def json_text(value: object) -> str:
    """Write a value as indented JSON, letters as they are."""
    return json.dumps(plain(value), ensure_ascii=False, indent=2)


def report_json(report: Report) -> str:
    """Write a whole report."""
    return json_text(report)
