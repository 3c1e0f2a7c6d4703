"""Sessions are as the frameworks' own after whatever apps do to them. `./fuzz` tries more."""

from __future__ import annotations

import os

from django.test import override_settings

from latchkey_client import Client

from . import django_project  # noqa: F401 # It sets Django up.
from .django_sequences import check_django
from .flask_sequences import check_flask
from .servers import Servers

# Set LATCHKEY_SEQUENCES as ./fuzz does, and others than the first are played.
COUNT = int(os.environ.get("LATCHKEY_SEQUENCES", "150"))
FIRST = int(os.environ.get("LATCHKEY_FIRST_SEED", "1"))


def test_any_sequence_in_flask_ends_as_with_its_own_session(client: Client, app_name: str) -> None:
    for seed in range(FIRST, FIRST + COUNT):
        check_flask(client, app_name, seed)


def test_any_sequence_in_django_ends_as_with_its_database(servers: Servers, app_name: str) -> None:
    with override_settings(LATCHKEY={"address": servers.grpc["open"], "app": app_name}):
        for seed in range(FIRST, FIRST + COUNT):
            check_django(seed)
