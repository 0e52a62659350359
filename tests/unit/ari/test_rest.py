import asyncio
from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec
import pytest
from pydantic import SecretStr

from callsteward.ari.rest import Answer, HttpTransport, Rest, SocketTransport, open_session
from callsteward.config import Asterisk
from callsteward.demo.ari_server import FakeAri
from callsteward.exceptions import AriError, AriUnauthorizedError, ConfigError

SECRET = "s3cret"


def settings(url: str, password: str = SECRET) -> Asterisk:
    return Asterisk(url=url, password=SecretStr(password))


async def test_version_lists_and_modules_are_typed():
    async with FakeAri(password=SECRET) as ari:
        ari.channels["1.1"] = {"id": "1.1", "name": "PJSIP/101-1", "new_field": 1}
        config = settings(ari.url)
        async with open_session(config) as session:
            rest = Rest(HttpTransport(session, config))
            assert (await rest.info()).version == "22.10.1"
            assert [channel.id for channel in await rest.channels()] == ["1.1"]
            assert await rest.bridges() == ()
            assert "res_ari.so" in {module.name for module in await rest.modules()}
            assert await rest.application("callsteward") is None
            subscribed = await rest.subscribe("callsteward", ["channel:", "bridge:"])
            assert subscribed.hears_all_channels
            assert subscribed.hears_all_bridges


async def test_the_state_of_a_phone_is_asked_for_by_its_device():
    async with FakeAri(password=SECRET) as ari:
        ari.device_states["PJSIP/101"] = "INUSE"
        config = settings(ari.url)
        async with open_session(config) as session:
            rest = Rest(HttpTransport(session, config))
            assert await rest.device_state("PJSIP/101") == "INUSE"
            assert await rest.device_state("PJSIP/nobody/else?") == "INVALID"


async def test_a_wrong_password_names_the_two_places_to_compare():
    async with FakeAri(password=SECRET) as ari:
        config = settings(ari.url, "wrong")
        async with open_session(config) as session:
            with pytest.raises(AriUnauthorizedError, match=r"asterisk\.password with ari\.conf") as caught:
                await Rest(HttpTransport(session, config)).info()
    assert "wrong" not in str(caught.value)


async def test_an_asterisk_without_an_event_filter_is_no_error():
    async with FakeAri(password=SECRET) as ari:
        ari.has_event_filter = False
        config = settings(ari.url)
        async with open_session(config) as session:
            assert not await Rest(HttpTransport(session, config)).set_event_filter("callsteward", ["X"])


async def test_a_refusal_carries_asterisks_own_words():
    async with FakeAri(password=SECRET) as ari:
        ari.refuse_status = 503
        config = settings(ari.url)
        async with open_session(config) as session:
            with pytest.raises(AriError, match="503 to GET channels: refused"):
                await Rest(HttpTransport(session, config)).channels()


async def test_an_asterisk_that_is_not_there_is_named():
    config = settings("http://127.0.0.1:9")
    async with open_session(config) as session:
        with pytest.raises(AriError, match=r"does not answer at http://127\.0\.0\.1:9 .*http\.conf"):
            await Rest(HttpTransport(session, config)).info()


def test_a_file_that_is_no_ca_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match="ca_file"):
        open_session(Asterisk(ca_file=tmp_path / "none.pem"))


class Wire:
    """A websocket's sending half."""

    def __init__(self) -> None:
        self.sent: list[dict[str, object]] = []

    async def send_str(self, data: str, compress: int | None = None) -> None:
        self.sent.append(msgspec.json.decode(data))


async def test_a_request_over_the_websocket_is_matched_with_its_answer():
    wire = Wire()
    transport = SocketTransport(wire)
    first = asyncio.create_task(Rest(transport).subscribe("callsteward", ["channel:", "bridge:"]))
    second = asyncio.create_task(Rest(transport).channels())
    await asyncio.sleep(0)
    assert wire.sent[0]["method"] == "POST"
    assert wire.sent[0]["uri"] == "applications/callsteward/subscription"
    assert wire.sent[0]["query_strings"] == [{"name": "eventSource", "value": "channel:,bridge:"}]

    def answer(number: int, body: str) -> bytes:
        return msgspec.json.encode(
            {
                "type": "RESTResponse",
                "transaction_id": wire.sent[number]["transaction_id"],
                "status_code": 200,
                "message_body": body,
            }
        )

    transport.answer(answer(1, "[]"))
    transport.answer(b"nonsense")
    transport.answer(answer(0, '{"name":"callsteward"}'))
    assert (await first).name == "callsteward"
    assert await second == ()


async def test_a_socket_that_closes_ends_the_requests_on_it():
    transport = SocketTransport(Wire())
    request = asyncio.create_task(Rest(transport).channels())
    await asyncio.sleep(0)
    transport.close()
    with pytest.raises(AriError, match="no answer over the websocket"):
        await request


class Says:
    """A transport that has one answer."""

    def __init__(self, status: int, body: bytes = b"") -> None:
        self.answer = Answer(status, body)
        self.asked = ""

    async def request(self, method: str, path: str, query: object = None, body: object = None) -> Answer:
        del query, body
        self.asked = f"{method} {path}"
        return self.answer


@pytest.mark.parametrize(("status", "body", "there"), [(204, b"", True), (404, b"Recording", False)])
async def test_a_recording_that_is_not_there_is_as_good_as_deleted(status, body, there):
    transport = Says(status, b'{"message": "%s not found"}' % body if body else b"")
    assert await Rest(transport).delete_recording("callsteward-rating-1.1") is there
    assert transport.asked == "DELETE recordings/stored/callsteward-rating-1.1"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b'{"message": "Resource not found"}'),
        (404, b"<html>Not Found</html>"),
        (500, b'{"message": "Failed to delete"}'),
    ],
)
async def test_an_asterisk_that_knows_no_recordings_has_deleted_none(status, body):
    with pytest.raises(AriError):
        await Rest(Says(status, body)).delete_recording("callsteward-rating-1.1")


class Listing:
    """Answers each subscription, and keeps how long its address was."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.lengths: list[int] = []

    async def request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: object | None = None
    ) -> Answer:
        source = (query or {})["eventSource"]
        self.names += source.split(",")
        self.lengths.append(len(f"{method} /ari/{path}?{urlencode({'eventSource': source})} HTTP/1.1\r\n"))
        return Answer(200, b'{"name": "callsteward"}')


async def test_very_many_subscriptions_go_in_requests_that_asterisk_can_read():
    transport = Listing()
    names = [f"deviceState:Queue:support_pause_Local/{number}@from-queue/n" for number in range(100, 600)]
    await Rest(transport).subscribe("callsteward", names)
    assert transport.names == names
    assert len(transport.lengths) == 12
    # main/http.c reads a line into 4096 bytes.
    assert max(transport.lengths) < 4096
