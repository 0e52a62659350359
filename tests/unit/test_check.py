"""`callsteward check` against an Asterisk that lacks one thing at a time."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from callsteward import check as checks
from callsteward.check import Status, pbx, services
from callsteward.config import Config

MODULES = (
    "res_ari.so",
    "res_ari_applications.so",
    "res_ari_asterisk.so",
    "res_ari_bridges.so",
    "res_ari_channels.so",
    "res_ari_events.so",
    "res_http_websocket.so",
    "res_stasis.so",
    "func_talkdetect.so",
)
LOGIN = "Basic " + base64.b64encode(b"callsteward:right").decode()


def armed(**other: str) -> dict[str, str]:
    """A PJSIP endpoint's settings as Asterisk lists them, talk detection armed."""
    return {
        "TALK_DETECT(set)": "500,256",
        "rtp_timeout": "30",
        "direct_media": "false",
        "suppress_moh_on_sendonly": "false",
        **other,
    }


@dataclass
class Pbx:
    """An Asterisk's answers, in the form of its ARI (22.10)."""

    version: str = "22.10.1"
    modules: tuple[str, ...] = MODULES
    dialplan: str = "1"
    callback: str = ""
    tags: str = ""
    statuses: str = ""
    rating: str = ""
    prompts: str = "/var/lib/callsteward/prompts"
    read_only: bool = False
    websocket: bool = True
    endpoints: dict[str, dict[str, str]] = field(
        default_factory=lambda: {"101": armed(), "102": armed(), "trunk": armed()}
    )
    applications: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/ari/")
        self.asked.append(f"{request.method} {path}")
        if request.headers.get("Authorization") != LOGIN:
            return web.json_response({"message": "Authentication required"}, status=401)
        if request.method != "GET" and self.read_only:
            return web.json_response({"message": "Write access denied"}, status=403)
        if path == "events":
            return await self.events(request)
        if path == "asterisk/info":
            return web.json_response({"system": {"version": self.version}, "status": {}})
        if path == "asterisk/modules":
            return web.json_response([{"name": name, "status": "Running"} for name in self.modules])
        if path == "asterisk/variable":
            if request.query["variable"] == "CALLSTEWARD_CALLBACK":
                return web.json_response({"value": self.callback})
            if request.query["variable"] == "CALLSTEWARD_TAGS":
                return web.json_response({"value": self.tags})
            if request.query["variable"] == "CALLSTEWARD_STATUSES":
                return web.json_response({"value": self.statuses})
            if request.query["variable"] == "CALLSTEWARD_RATING":
                return web.json_response({"value": self.rating})
            if request.query["variable"] == "CALLSTEWARD_PROMPTS":
                return web.json_response({"value": self.prompts})
            assert request.query["variable"] == "CALLSTEWARD_DIALPLAN"
            return web.json_response({"value": self.dialplan})
        if path == "endpoints":
            return web.json_response([{"technology": "PJSIP", "resource": name} for name in self.endpoints])
        if path.startswith("asterisk/config/dynamic/res_pjsip/endpoint/"):
            settings = self.endpoints[path.rpartition("/")[2]]
            return web.json_response([{"attribute": key, "value": text} for key, text in settings.items()])
        if path.startswith("applications/"):
            name = path.split("/")[1]
            if name not in self.applications:
                return web.json_response({"message": "Application not found"}, status=404)
            return web.json_response(
                {
                    "name": name,
                    "channel_ids": ["__AST_CHANNEL_ALL_TOPIC"],
                    "bridge_ids": ["__AST_BRIDGE_ALL_TOPIC"],
                }
            )
        return web.json_response({"message": "Resource not found"}, status=404)

    async def events(self, request: web.Request) -> web.StreamResponse:
        if not self.websocket:
            return web.json_response({"message": "Resource not found"}, status=404)
        self.applications.add(request.query["app"])
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            pass
        return socket


@pytest.fixture
async def asterisk():
    fake = Pbx()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


async def found(
    fake: Pbx, *, callback: bool = False, tags: bool = False, codes: bool = False, **settings: Any
) -> dict[str, tuple[Status, str, str | None]]:
    config = Config.model_validate(
        {
            "asterisk": {"url": fake.url, "password": "right", **settings},
            "callback": {"enabled": callback},
            "tags": {"enabled": tags},
            "statuses": {"codes": codes},
        }
    )
    return {row.check: (row.status, row.found, row.mend) async for row in pbx.results(config)}


async def failures(fake: Pbx, **settings: Any) -> list[str]:
    return [
        name for name, (status, _, _) in (await found(fake, **settings)).items() if status is not Status.OK
    ]


async def test_all_is_green_on_a_pbx_set_up_as_shipped(asterisk):
    rows = await found(asterisk)
    assert {name: row[0] for name, row in rows.items()} == dict.fromkeys(
        (
            "asterisk",
            "version",
            "modules",
            "user",
            "subscriptions",
            "dialplan",
            "talk detection",
            "endpoints",
        ),
        Status.OK,
    )


async def test_it_never_touches_the_daemons_own_application(asterisk):
    await found(asterisk)
    assert asterisk.applications == {"callsteward-check"}
    assert not [line for line in asterisk.asked if line.startswith(("DELETE", "POST channels"))]


async def test_a_wrong_password_is_told_apart_from_an_asterisk_that_is_not_there(asterisk):
    rows = await found(asterisk, password="wrong")
    assert rows["asterisk"][0] is Status.OK
    assert rows["user"][0] is Status.FAILED
    assert "ari.conf" in str(rows["user"][2])


async def test_a_user_who_may_only_read_is_found(asterisk):
    asterisk.read_only = True
    rows = await found(asterisk)
    assert rows["user"][0] is Status.FAILED
    assert "read_only = no" in str(rows["user"][2])


async def test_missing_modules_are_named(asterisk):
    asterisk.modules = tuple(name for name in MODULES if "talk" not in name)
    assert (await found(asterisk))["modules"][:2] == (Status.FAILED, "not loaded: func_talkdetect")


async def test_a_proxy_without_websockets_is_found(asterisk):
    asterisk.websocket = False
    assert await failures(asterisk) == ["subscriptions"]


async def test_a_missing_dialplan_is_found(asterisk):
    asterisk.dialplan = ""
    assert await failures(asterisk) == ["dialplan"]


async def rated(fake: Pbx, **sections: Any) -> tuple[Status, str, str | None]:
    config = Config.model_validate(
        {"asterisk": {"url": fake.url, "password": "right"}, "rating": {"enabled": True}, **sections}
    )
    (row,) = [row async for row in pbx.results(config) if row.check == "rating"]
    return row.status, row.found, row.mend


async def test_ratings_that_are_switched_on_need_their_dialplan_their_prompts_and_a_line(asterisk):
    asks = {"profiles": {"standard": {"rating": "stay"}}}
    status, told, mend = await rated(asterisk, **asks)
    assert status is Status.FAILED
    assert "callsteward-rating.conf is not included" in told
    assert "dialplan reload" in str(mend)
    asterisk.rating = "1"
    assert "is an older one (version 1)" in (await rated(asterisk, **asks))[1]
    asterisk.rating = "2"
    assert (await rated(asterisk, **asks))[0] is Status.OK
    assert (await rated(asterisk))[:2] == (Status.WARNING, "no line's profile asks")
    asterisk.prompts = "/elsewhere"
    status, told, _ = await rated(asterisk, **asks)
    assert status is Status.WARNING
    assert "/elsewhere" in told


async def test_callbacks_that_are_switched_on_need_their_dialplan(asterisk):
    status, told, mend = (await found(asterisk, callback=True))["callback"]
    assert status is Status.FAILED
    assert "callsteward-callback.conf is not included" in told
    assert "dialplan reload" in str(mend)
    asterisk.callback = "2"
    assert (await found(asterisk, callback=True))["callback"][0] is Status.OK
    asterisk.callback = "1"
    status, told, mend = (await found(asterisk, callback=True))["callback"]
    assert status is Status.WARNING
    assert "does not ask the do-not-call list again" in told
    assert mend == "copy the new dialplan/callsteward-callback.conf to /etc/asterisk, then: dialplan reload"


@pytest.mark.parametrize(
    ("version", "connect", "status"),
    [
        ("16.28.0~dfsg-0+deb11u10", "client", Status.OK),
        ("13.38.3", "client", Status.FAILED),
        ("certified-20.7-cert1", "client", Status.OK),
        ("GIT-master-abc", "client", Status.WARNING),
        ("22.10.1", "outbound", Status.OK),
        ("22.4.0", "outbound", Status.FAILED),
        ("20.15.0", "outbound", Status.OK),
        ("20.14.2", "outbound", Status.FAILED),
        ("21.9.0", "outbound", Status.FAILED),
        ("23.0.0", "outbound", Status.OK),
        ("18.26.0", "outbound", Status.FAILED),
    ],
)
async def test_the_version_must_be_able_to_do_what_is_configured(asterisk, version, connect, status):
    asterisk.version = version
    assert (await found(asterisk, connect=connect))["version"][0] is status


async def test_talk_detection_armed_nowhere_fails(asterisk):
    asterisk.dialplan = ""
    for settings in asterisk.endpoints.values():
        del settings["TALK_DETECT(set)"]
    assert (await found(asterisk))["talk detection"][0] is Status.FAILED


async def test_talk_detection_may_be_armed_by_the_dialplan(asterisk):
    for settings in asterisk.endpoints.values():
        del settings["TALK_DETECT(set)"]
    assert (await found(asterisk))["talk detection"][0] is Status.OK


async def test_a_phone_left_out_of_talk_detection_is_named(asterisk):
    asterisk.dialplan = ""
    del asterisk.endpoints["102"]["TALK_DETECT(set)"]
    assert (await found(asterisk))["talk detection"][:2] == (Status.WARNING, "not armed on PJSIP/102")


async def test_talk_detection_that_is_switched_off_is_not_missed(asterisk):
    for settings in asterisk.endpoints.values():
        del settings["TALK_DETECT(set)"]
    assert (await found(asterisk, talk_detect="off"))["talk detection"][0] is Status.OK


@pytest.mark.parametrize(
    ("value", "status"), [("400,256", Status.FAILED), ("", Status.FAILED), ("500", Status.OK)]
)
async def test_the_detectors_silence_must_be_the_configured_one(asterisk, value, status):
    asterisk.endpoints["101"] = armed(**{"TALK_DETECT(set)": value})
    assert (await found(asterisk))["talk detection"][0] is status


@pytest.mark.parametrize(
    ("setting", "value"),
    [("rtp_timeout", "0"), ("suppress_moh_on_sendonly", "true"), ("direct_media", "true")],
)
async def test_settings_that_hide_something_from_callsteward_are_warned_of(asterisk, setting, value):
    asterisk.endpoints["102"] = armed(**{setting: value})
    status, text, mend = (await found(asterisk))["endpoints"]
    assert status is Status.WARNING
    assert "PJSIP/102" in text
    assert setting in str(mend)


async def test_an_asterisk_that_does_not_know_the_outbound_application_is_warned_of(asterisk):
    assert (await found(asterisk, connect="outbound"))["outbound"][0] is Status.WARNING
    asterisk.applications.add("callsteward")
    assert "outbound" not in await found(asterisk, connect="outbound")


async def test_with_connect_outbound_the_admin_is_warned_of_kills(asterisk):
    assert "connect" not in await found(asterisk)
    status, _, mend = (await found(asterisk, connect="outbound"))["connect"]
    assert status is Status.WARNING
    assert "SIGTERM" in str(mend)


async def test_a_database_not_there_yet_is_not_created_by_the_check(tmp_path):
    file = tmp_path / "calls.db"
    row = await services.store(Config.model_validate({"store": {"url": f"sqlite:///{file}"}}))
    assert row.status is Status.OK
    assert not file.exists()


async def test_no_broker_is_needed_where_nothing_is_published():
    row = await services.broker(Config.model_validate({"mqtt": {"enabled": False}}))
    assert row.status is Status.OK


async def test_the_password_of_a_database_is_not_shown():
    config = Config.model_validate({"store": {"url": "postgresql://u:hunter2@127.0.0.1:9/calls"}})
    row = await services.store(config)
    assert row.status is Status.FAILED
    assert "hunter2" not in json.dumps([row.found, row.mend])


async def test_codes_that_are_switched_on_need_their_dialplan(asterisk):
    status, told, mend = (await found(asterisk, tags=True))["tags"]
    assert status is Status.WARNING
    assert "callsteward-tags.conf is not included" in told
    assert mend is not None
    assert "callsteward-codes" in mend
    asterisk.tags = "1"
    assert (await found(asterisk, tags=True))["tags"][0] is Status.OK
    assert "tags" not in await found(asterisk)


async def test_status_codes_that_are_switched_on_need_their_dialplan(asterisk):
    status, told, mend = (await found(asterisk, codes=True))["statuses"]
    assert status is Status.FAILED
    assert "callsteward-statuses.conf is not included" in told
    assert mend is not None
    assert "callsteward-status-codes" in mend
    asterisk.statuses = "1"
    assert (await found(asterisk, codes=True))["statuses"][0] is Status.OK
    assert "statuses" not in await found(asterisk)


# --- the configuration ---------------------------------------------------------------------------------


async def test_a_profile_that_no_line_has_is_told(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('[asterisk]\npassword = "secret"\n[profiles.standrad]\n[[lines]]\nname = "support"\n')
    row = await anext(checks.run(file))
    assert (row.check, row.status) == ("config", Status.WARNING)
    assert row.found == f"{file} is valid, but no line has the profile standrad"
