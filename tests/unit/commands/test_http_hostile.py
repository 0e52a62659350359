"""A hostile web page in a browser that can reach `[web]`, with a token or without one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr
from yarl import URL

from callsteward.config import Web, load
from callsteward.daemon import logs
from callsteward.store.records import Store as Records
from callsteward.web.server import HttpDoor
from tests.unit.tags.desk import E164, FrontDesk

TOKEN = "a token nobody guesses"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@asynccontextmanager
async def served(store: Records) -> AsyncIterator[tuple[FrontDesk, TestClient[Any, Any]]]:
    desk = FrontDesk(store)
    await desk.talk()
    desk.config = desk.config.model_copy(update={"web": Web(enabled=True, token=SecretStr(TOKEN))})
    door = HttpDoor(desk.config, desk.commands, ready=desk.ready)
    async with TestClient(TestServer(door.application())) as client:
        yield desk, client


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Cookie": f"token={TOKEN}; Authorization=Bearer {TOKEN}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"X-Api-Key": TOKEN},
        # A form of another site can send this without a preflight request.
        {"Origin": "http://evil.invalid", "Content-Type": "text/plain"},
        {"Origin": "null", "Content-Type": "application/x-www-form-urlencoded"},
        # A host name that was made to point to loopback.
        {"Host": "evil.invalid", "Origin": "http://evil.invalid"},
    ],
)
async def test_a_page_of_another_site_commands_nothing(store: Records, headers: dict[str, str]) -> None:
    async with served(store) as (desk, client):
        body = json.dumps({"action": "add", "number": E164})
        for path in ("/api/v1/dnc", f"/api/v1/dnc?token={TOKEN}&access_token={TOKEN}"):
            answer = await client.post(path, data=body, headers=headers)
            assert answer.status == 401
            # No header lets the page read the answer.
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]
            assert TOKEN not in await answer.text()
        asked = await client.options(
            "/api/v1/dnc", headers={**headers, "Access-Control-Request-Method": "POST"}
        )
        assert asked.status == 401
        assert not [name for name in asked.headers if name.lower().startswith("access-control")]
        assert await desk.numbers() == []


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "//etc/passwd",
        "/../../../../etc/passwd",
        "/metrics/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/api/v1/calls/..%2f..%2fetc%2fpasswd",
        "/api/v1/calls/1.1/tags/../../../../etc/passwd",
        "/api/v1/calls//tags",
        "/static/../c.toml",
    ],
)
@pytest.mark.parametrize("headers", [{}, BEARER])
async def test_no_path_leads_to_a_file(store: Records, path: str, headers: dict[str, str]) -> None:
    async with served(store) as (_, client):
        url = URL(f"{client.make_url('/')}".rstrip("/") + path, encoded=True)
        for method in ("GET", "POST", "HEAD", "PUT", "DELETE", "TRACE"):
            async with client.session.request(method, url, headers=headers, data=b"{}") as answer:
                text = await answer.text()
                assert answer.status in ({401} if not headers else {400, 404, 405})
                assert "root:" not in text
                # The answer does not repeat the request's content either.
                assert "passwd" not in text


@pytest.mark.parametrize(
    "call_id",
    ["%0d%0aSet-Cookie:%20a=b", "%1b%5b2J", "%00", "a" * 3_000, "..%2f..%2fx", "%23%2f%2b", "%e2%80%ae"],
)
async def test_a_call_in_the_address_is_a_name_and_nothing_else(store: Records, call_id: str) -> None:
    with structlog.testing.capture_logs() as entries:
        async with served(store) as (desk, client):
            url = URL(f"{client.make_url('/')}".rstrip("/") + f"/api/v1/calls/{call_id}/tags", encoded=True)
            async with client.session.post(url, headers=BEARER, data=b'{"tag": "dropped"}') as answer:
                assert answer.status in {400, 404}
                assert answer.content_type == "application/json"
                assert "Set-Cookie" not in answer.headers
                raw = await answer.read()
                assert not [byte for byte in raw if byte < 0x20]
            assert await desk.states() == []
    assert TOKEN not in repr(entries)


def test_every_secret_of_the_configuration_is_taken_out_of_logs(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(
        '[asterisk]\npassword = "secret of ari"\n'
        f'[web]\nenabled = true\ntoken = "{TOKEN}"\n'
        '[store]\nurl = "postgresql://callsteward:s%3Acret%20of%20store@127.0.0.1/calls"\n'
    )
    file.chmod(0o600)
    load(file)
    said = logs.scrubbed(f"GET /?token={TOKEN} and s:cret of store, secret of ari")
    assert said == "GET /?token=*** and ***, ***"
