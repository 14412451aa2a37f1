"""What the daemon logs goes where nobody waits for it: a traceback drawn for a terminal takes seconds."""

from collections.abc import Iterator
from io import StringIO

import pytest
import structlog

from connector.log import configure


@pytest.fixture(autouse=True)
def logged() -> Iterator[StringIO]:
    """Give what is logged, as JSON lines."""
    stream = StringIO()
    configure(stream, json=True)
    yield stream
    structlog.reset_defaults()
