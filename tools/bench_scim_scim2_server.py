"""scim2-server in memory, filled, behind a token: what granian runs in that library's own environment.

It knows nothing of the connector.
"""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from tools.bench_scim_people import user


def application() -> Any:
    """Give the WSGI application, with `BENCH_COUNT` Users whose ids are written to `BENCH_IDS`."""
    # Looked up by name: it is not installed where this file is checked.
    library = {name: import_module(f"scim2_server.{name}") for name in ("memory", "service", "utils")}
    provider, storage = library["utils"].load_default_provider(), library["memory"].InMemoryStorage()
    kind = next(one for one in provider.resource_types if one.name == "User")
    model = provider.model_for(kind)
    made = [storage.create(kind, model.model_validate(user(n))) for n in range(int(os.environ["BENCH_COUNT"]))]
    Path(os.environ["BENCH_IDS"]).write_text("\n".join(one.id for one in made) + "\n", encoding="ascii")
    behind_a_token = import_module("scim2_server.testserver.application").BearerTokenApplication
    service = library["service"].ScimService(provider)
    served = behind_a_token(storage, provider, service=service, bearer_tokens=[os.environ["BENCH_TOKEN"]])

    def sized(environ: dict[str, Any], start_response: Any) -> Any:
        # With this key it reads "up to the end" by a size of -1, which granian's input does not take.
        environ.pop("wsgi.input_terminated", None)
        return served(environ, start_response)

    return sized
