from scim2_models import Error

from connector.scim import errors


def test_a_refusal_is_the_error_message_of_the_standard() -> None:
    refused = errors.invalid_value("userName is required.")

    assert refused.body() == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "status": "400",
        "scimType": "invalidValue",
        "detail": "userName is required.",
    }
    assert Error.model_validate(refused.body()).scim_type == "invalidValue"


def test_a_refusal_without_a_keyword_has_none() -> None:
    assert "scimType" not in errors.not_found("There is no such User.").body()


def test_a_rate_limit_says_when_to_come_back() -> None:
    refused = errors.too_many(17)

    assert (refused.status, refused.headers["Retry-After"]) == (429, "17")
    assert "17 seconds" in refused.detail


def test_a_missing_token_is_asked_for() -> None:
    assert errors.unauthorized("Send a token.").headers["WWW-Authenticate"].startswith("Bearer")


def test_a_name_that_is_taken_is_a_conflict() -> None:
    refused = errors.conflict("userName amy is taken.")

    assert (refused.status, refused.scim_type) == (409, "uniqueness")
