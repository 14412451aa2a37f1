import json

import pytest
from scim2_models import Context, ResourceType, Schema, ServiceProviderConfig

from connector.scim.discovery import Offer, resource_type, resource_types, schema, schemas, service_provider_config
from connector.scim.errors import ScimError
from connector.scim.resources import CONNECTOR_SCHEMA, ENTERPRISE_SCHEMA, GROUP_SCHEMA, USER_SCHEMA

BASE = "https://school.example/scim/v2"


def test_the_service_says_what_it_can_do_with_the_figures_in_force() -> None:
    config = service_provider_config(
        Offer(bulk_operations=7, bulk_bytes=99, most_results=50, page_size=20, cursor_seconds=60), BASE
    )

    assert config["patch"] == {"supported": True}
    assert config["bulk"] == {"supported": True, "maxOperations": 7, "maxPayloadSize": 99}
    assert config["filter"] == {"supported": True, "maxResults": 50}
    assert config["changePassword"] == {"supported": False}
    assert config["sort"] == config["etag"] == {"supported": True}
    assert [scheme["type"] for scheme in config["authenticationSchemes"]] == ["oauthbearertoken"]
    assert config["pagination"] == {
        "cursor": True,
        "index": True,
        "defaultPaginationMethod": "index",
        "defaultPageSize": 20,
        "maxPageSize": 50,
        "cursorTimeout": 60,
    }


def test_every_schema_a_resource_may_name_can_be_fetched_alone() -> None:
    listed = schemas(BASE)

    assert [one["id"] for one in listed] == [USER_SCHEMA, GROUP_SCHEMA, ENTERPRISE_SCHEMA, CONNECTOR_SCHEMA]
    for one in listed:
        assert schema(one["id"].upper(), BASE) == one
        assert one["meta"] == {"resourceType": "Schema", "location": f"{BASE}/Schemas/{one['id']}"}


def test_of_our_own_extension_a_client_writes_the_note_alone() -> None:
    attributes = schema(CONNECTOR_SCHEMA, BASE)["attributes"]

    assert [one["name"] for one in attributes] == ["status", "legs", "effectiveBy", "reason", "source", "note"]
    assert [one["mutability"] for one in attributes] == ["readOnly"] * 5 + ["readWrite"]
    assert {one["mutability"] for one in attributes[1]["subAttributes"]} == {"readOnly"}


def test_a_user_always_has_active_and_a_member_the_name_of_its_user() -> None:
    active = next(one for one in schema(USER_SCHEMA, BASE)["attributes"] if one["name"] == "active")
    members = next(one for one in schema(GROUP_SCHEMA, BASE)["attributes"] if one["name"] == "members")
    display = next(one for one in members["subAttributes"] if one["name"] == "display")

    assert active["required"] is True
    assert (display["mutability"], display["returned"]) == ("readOnly", "request")


def test_the_resource_types_name_their_schemas_and_where_they_are() -> None:
    users, groups = resource_types(BASE)

    assert (users["id"], users["endpoint"], users["schema"]) == ("User", "/Users", USER_SCHEMA)
    assert users["schemaExtensions"] == [
        {"schema": ENTERPRISE_SCHEMA, "required": False},
        {"schema": CONNECTOR_SCHEMA, "required": False},
    ]
    assert (groups["id"], groups["endpoint"], groups["schema"]) == ("Group", "/Groups", GROUP_SCHEMA)
    assert resource_type("user", BASE) == users


def test_the_documents_are_what_the_standard_asks_for() -> None:
    for document in schemas(BASE):
        Schema.model_validate(document, scim_ctx=Context.RESOURCE_QUERY_RESPONSE)
    for document in resource_types(BASE):
        ResourceType.model_validate({"schemaExtensions": [], **document}, scim_ctx=Context.RESOURCE_QUERY_RESPONSE)
    config = service_provider_config(Offer(), BASE)
    assert ServiceProviderConfig.model_validate(config, scim_ctx=Context.RESOURCE_QUERY_RESPONSE)


def test_a_document_can_be_changed_without_changing_the_next_answer() -> None:
    schema(USER_SCHEMA, BASE)["meta"]["location"] = "elsewhere"

    assert schema(USER_SCHEMA, BASE)["meta"]["location"].startswith(BASE)
    assert json.dumps(schemas("a")) != json.dumps(schemas("b"))


def test_what_is_not_there_is_a_404_with_a_body() -> None:
    for asked, name in ((schema, "urn:acme:User"), (resource_type, "Device")):
        with pytest.raises(ScimError) as caught:
            asked(name, BASE)
        assert caught.value.body()["status"] == "404"
        assert caught.value.body()["detail"]
