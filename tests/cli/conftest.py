"""The sample school, built once and copied for every test that changes it."""

from pathlib import Path

import pytest

from connector.demo import build
from tests.cli.builders import SAMPLE, School, copied


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> School:
    """Give the sample school, which no test may change."""
    folder = tmp_path_factory.mktemp("harbour") / "school"
    build(SAMPLE, folder)
    return School(folder)


@pytest.fixture
def school(built: School, tmp_path: Path) -> School:
    """Give the sample school in a folder of its own."""
    return copied(built, tmp_path / "school")


@pytest.fixture(scope="session")
def closed_once(built: School, tmp_path_factory: pytest.TempPathFactory) -> School:
    """Give the sample school after its first plan was approved and applied, which no test may change."""
    return copied(built, tmp_path_factory.mktemp("closed") / "school").applied()


@pytest.fixture
def closed(closed_once: School, tmp_path: Path) -> School:
    """Give the school after its first night in a folder of its own."""
    return copied(closed_once, tmp_path / "closed")
