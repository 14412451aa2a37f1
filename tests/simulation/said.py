"""Where a test leaves a sentence that is printed at the end of the session."""

import pytest

SAID = pytest.StashKey[list[str]]()
