"""Standard Webhooks, both ways: what is signed is believed, and nothing else."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from connector.daemon.webhook import Genuine, Refused, checked, key_of, signed
from connector.errors import ConfigError

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = datetime(2026, 11, 21, 2, 30, tzinfo=UTC)
BODY = b'{"type": "report"}'


def headers(**other: str) -> dict[str, str]:
    given = signed(SECRET, "msg_1", NOW, BODY)
    return given | {f"webhook-{name}": value for name, value in other.items()}


def refusal(given: dict[str, str], body: bytes = BODY, now: datetime = NOW) -> str:
    found = checked(SECRET, given, body, now)
    assert isinstance(found, Refused)
    return found.reason


def test_what_was_signed_is_believed() -> None:
    assert checked(SECRET, headers(), BODY, NOW) == Genuine("msg_1", NOW)


def test_the_signature_is_the_one_of_the_standard() -> None:
    """Standard Webhooks: HMAC-SHA256 of id.timestamp.body, with the key after whsec_ decoded."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    mac = hmac.new(key, b"msg_1.1795228200." + BODY, hashlib.sha256).digest()

    assert headers()["webhook-timestamp"] == "1795228200"
    assert headers()["webhook-signature"] == "v1," + base64.b64encode(mac).decode()


def test_header_names_are_in_any_case_and_a_secret_is_with_or_without_its_prefix() -> None:
    given = {name.title(): value for name, value in signed(SECRET, "msg_1", NOW, BODY).items()}

    assert isinstance(checked(SECRET.removeprefix("whsec_"), given, BODY, NOW), Genuine)


def test_one_signature_of_several_is_enough() -> None:
    given = headers()
    given["webhook-signature"] = f"v1,AAAA v2,what v1a,ever {given['webhook-signature']}"

    assert isinstance(checked(SECRET, given, BODY, NOW), Genuine)


@pytest.mark.parametrize("seconds", [-300, 300])
def test_five_minutes_are_tolerated_and_no_more(seconds: int) -> None:
    beside = NOW + timedelta(seconds=seconds)

    assert isinstance(checked(SECRET, headers(), BODY, beside), Genuine)
    assert "clocks" in refusal(headers(), now=beside + timedelta(seconds=seconds // 300))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", "msg_2"),
        ("id", ""),
        ("id", "msg_1.1795228200"),
        ("id", "m" * 300),
        ("id", "müsli"),
        ("timestamp", "1795228201"),
        ("timestamp", "now"),
        ("timestamp", "-1"),
        ("timestamp", "٣"),
        ("timestamp", "9" * 5000),
        ("signature", ""),
        ("signature", "v1,"),
        ("signature", "v1"),
        ("signature", "v1,☃"),
        ("signature", "v1,AAAA"),
    ],
)
def test_anything_else_is_refused(name: str, value: str) -> None:
    assert refusal(headers(**{name: value}))


def test_another_body_or_another_secret_is_refused() -> None:
    other = signed("whsec_" + base64.b64encode(b"x" * 32).decode(), "msg_1", NOW, BODY)

    assert refusal(headers(), body=BODY + b" ") == "webhook-signature does not fit"
    assert refusal(other) == "webhook-signature does not fit"


def test_a_version_that_is_not_ours_is_refused() -> None:
    given = headers()
    given["webhook-signature"] = given["webhook-signature"].replace("v1,", "v2,")

    assert refusal(given) == "webhook-signature does not fit"


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "correct horse battery", "ü" * 40])
def test_a_secret_that_is_none_is_never_used_nor_repeated(secret: str) -> None:
    with pytest.raises(ConfigError) as refused:
        key_of(secret)

    assert not secret or secret not in str(refused.value).replace("whsec_'", "")
