"""Batches that go out by several requests ask before each of them, and nothing in between takes it for trouble."""

import pytest

from connector.errors import ConnectorError, RunInProgress
from connector.permission import asked_before_each_send, before_send


def overtaken() -> None:
    raise RunInProgress("The run was taken over.", "Let that one end.")


def test_whoever_sends_without_being_asked_for_may() -> None:
    before_send()


def test_what_takes_the_permission_away_comes_out_although_an_adapter_handles_errors() -> None:
    sent: list[int] = []

    def adapter() -> None:
        for number in range(3):
            try:
                before_send()
                sent.append(number)
            except (ConnectorError, Exception):  # noqa: BLE001 - what an adapter does with a target's trouble
                sent.append(-1)

    with pytest.raises(RunInProgress, match="taken over"), asked_before_each_send(overtaken):
        adapter()

    assert sent == []


def test_the_permission_ends_with_the_batch() -> None:
    with asked_before_each_send(lambda: None):
        before_send()
    with pytest.raises(RunInProgress), asked_before_each_send(overtaken):
        before_send()

    before_send()
