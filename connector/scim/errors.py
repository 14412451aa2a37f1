"""Every way the SCIM endpoint says no, in the words of RFC 7644: one class, one body, a constructor per refusal.

A refusal names what was wrong with the request and never what the journal holds about somebody else. It never carries a
value that was sent as a password or a token.
"""

from collections.abc import Mapping

ERROR_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:Error"


class ScimError(Exception):
    """A request that is answered with an error and changed nothing.

    Attributes:
        status: The HTTP status.
        scim_type: The keyword of RFC 7644 3.12 (or RFC 9865), empty where none is defined.
        detail: One or two sentences for whoever configures the client.
        headers: What goes with the answer, such as Retry-After.
        audited_as: What the audit trail calls it, where it is audited at all.
    """

    audited_as = "scim-refused"

    def __init__(self, status: int, scim_type: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.scim_type = scim_type
        self.detail = detail
        self.headers: dict[str, str] = dict(headers or {})

    def body(self) -> dict[str, object]:
        """The document an answer carries. Source: RFC 7644 3.12."""
        document: dict[str, object] = {"schemas": [ERROR_SCHEMA], "status": str(self.status)}
        if self.scim_type:
            document["scimType"] = self.scim_type
        document["detail"] = self.detail
        return document


def bad_request(scim_type: str, detail: str) -> ScimError:
    """400 with one of the keywords of RFC 7644 3.12 or RFC 9865 2.1."""
    return ScimError(400, scim_type, detail)


def invalid_syntax(detail: str) -> ScimError:
    """The body is not the JSON, or not the message, that was asked for."""
    return bad_request("invalidSyntax", detail)


def invalid_value(detail: str) -> ScimError:
    """A value is missing or does not fit its attribute."""
    return bad_request("invalidValue", detail)


def invalid_path(detail: str) -> ScimError:
    """A PATCH path names nothing in the schema."""
    return bad_request("invalidPath", detail)


def invalid_filter(detail: str) -> ScimError:
    """A filter cannot be read, or asks for what is not searched."""
    return bad_request("invalidFilter", detail)


def no_target(detail: str) -> ScimError:
    """A PATCH path matches nothing it could change."""
    return bad_request("noTarget", detail)


def mutability(detail: str) -> ScimError:
    """A change to what a client may not write."""
    return bad_request("mutability", detail)


def too_many_results(detail: str) -> ScimError:
    """More than the service is willing to work on at once."""
    return bad_request("tooMany", detail)


def unauthorized(detail: str) -> ScimError:
    """No token, or one that is not known."""
    return ScimError(401, "", detail, {"WWW-Authenticate": 'Bearer realm="scim"'})


def forbidden(detail: str) -> ScimError:
    """Understood and refused: the reason is what to do next."""
    return ScimError(403, "", detail)


def not_found(detail: str) -> ScimError:
    """No such resource. Okta wants the body, not only the status."""
    return ScimError(404, "", detail)


def method_not_allowed(detail: str, allowed: str) -> ScimError:
    """The address is right and the verb is not."""
    return ScimError(405, "", detail, {"Allow": allowed})


def conflict(detail: str, scim_type: str = "uniqueness") -> ScimError:
    """Somebody else has that name already. Source: RFC 7644 3.3."""
    return ScimError(409, scim_type, detail)


def precondition_failed(detail: str) -> ScimError:
    """If-Match named a version that is not the newest. Source: RFC 7644 3.14."""
    return ScimError(412, "", detail)


def too_large(detail: str) -> ScimError:
    """The body, or a list in it, is over the limit."""
    return ScimError(413, "", detail)


def unsupported_type(detail: str) -> ScimError:
    """The body is not declared as SCIM or JSON."""
    return ScimError(415, "", detail)


def too_many(retry_after: int, detail: str = "") -> ScimError:
    """Over the rate limit: `retry_after` whole seconds until the next request counts. Source: RFC 6585 4."""
    detail = detail or f"Too many requests. Try again in {retry_after} seconds."
    return ScimError(429, "", detail, {"Retry-After": str(retry_after)})


def not_implemented(detail: str) -> ScimError:
    """Defined by the standard and not offered here."""
    return ScimError(501, "", detail)


def unavailable(retry_after: int, detail: str) -> ScimError:
    """Nothing could be stored: the request changed nothing and may be sent again."""
    return ScimError(503, "", detail, {"Retry-After": str(retry_after)})
