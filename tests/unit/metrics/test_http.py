"""Metrics over HTTP: with the token, and never without."""

from __future__ import annotations

from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from callsteward.config import Config, Web
from callsteward.metrics.scrape import Metrics
from callsteward.web.server import HttpDoor
from tests.unit.tags.desk import FrontDesk

TOKEN = "a token that nobody guesses"


async def test_the_token_allows_scraping(store, metrics: Metrics) -> None:
    desk = FrontDesk(store)
    config: Config = desk.config.model_copy(update={"web": Web(enabled=True, token=SecretStr(TOKEN))})
    application = HttpDoor(config, desk.commands, metrics, ready=desk.ready).application()
    async with TestClient(TestServer(application)) as client:
        assert (await client.get("/metrics")).status == 401
        answer = await client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert "callsteward_open_calls 4.0" in await answer.text()


async def test_without_metrics_there_is_nothing_to_scrape(store) -> None:
    desk = FrontDesk(store)
    config = desk.config.model_copy(update={"web": Web(enabled=True, token=SecretStr(TOKEN))})
    async with TestClient(
        TestServer(HttpDoor(config, desk.commands, ready=desk.ready).application())
    ) as client:
        answer = await client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status == 404
