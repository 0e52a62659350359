"""Checks that Asterisk is there, accepts callsteward, and shows all that callsteward measures."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from urllib.parse import quote

import aiohttp
import msgspec

from callsteward.ari.link import sources, subscribe
from callsteward.ari.rest import HttpTransport, Rest, authorization, open_session
from callsteward.callback.dialplan import ASKS, INCLUDED
from callsteward.calls.directory import Directory, EndpointKind
from callsteward.config import Config
from callsteward.exceptions import AriError, AriUnauthorizedError, ConfigError
from callsteward.network.causes import cause
from callsteward.outgoing.fence import older
from callsteward.rating import dialplan
from callsteward.terminal.result import Result, failed, ok, warning

# The daemon's own application name would replace a running daemon's connection.
APPLICATION = "callsteward-check"
# Set by dialplan/callsteward.conf in [globals]: the only trace of a dialplan that ARI can read.
DIALPLAN_VARIABLE = "CALLSTEWARD_DIALPLAN"
TAGS_VARIABLE = "CALLSTEWARD_TAGS"
STATUSES_VARIABLE = "CALLSTEWARD_STATUSES"
_MODULES = (
    "res_ari",
    "res_ari_applications",
    "res_ari_asterisk",
    "res_ari_bridges",
    "res_ari_channels",
    "res_ari_events",
    "res_http_websocket",
    "res_stasis",
    "func_talkdetect",
)
_OLDEST = (16, 0)
# connect = "outbound": the first release of each branch that dials the daemon.
_OUTBOUND_SINCE = {20: 15, 21: 10, 22: 5}
_CLOSE_S = 5.0
_ENDPOINTS_AT_ONCE = 8
_ENDPOINTS_READ = 300
_ENDPOINTS_NAMED = 5


async def results(config: Config) -> AsyncIterator[Result]:
    try:
        session = open_session(config.asterisk)
    except ConfigError as error:
        yield failed("asterisk", str(error), "name the CA file that signed Asterisk's certificate")
        return
    async with session:
        rest = Rest(HttpTransport(session, config.asterisk))
        try:
            info = await rest.info()
        except AriUnauthorizedError as error:
            yield ok("asterisk", f"answers at {config.asterisk.url}")
            yield failed("user", "was refused", str(error))
            return
        except AriError as error:
            yield failed(
                "asterisk",
                f"does not answer at {config.asterisk.url}; what depends on it was not checked",
                str(error),
            )
            return
        yield ok("asterisk", f"answers at {config.asterisk.url}")
        outbound = config.asterisk.connect == "outbound"
        yield _version(info.version, outbound=outbound)
        if outbound:
            # Whatever the version: none is known that mends it (callsteward.ari.graceful_close).
            yield warning(
                "connect",
                "Asterisk dials the daemon, and can crash if that connection breaks amid calls",
                "run the daemon with the shipped unit: systemd keeps the connection of a"
                " daemon that is killed (FileDescriptorStoreMax=), and after a SIGTERM it"
                ' closes gracefully; or let the daemon dial: asterisk.connect = "client"',
            )
        for check in (_modules, _user_and_subscriptions, _dialplan_and_endpoints):
            try:
                async for result in check(config, session, rest):
                    yield result
            except AriError as error:
                yield failed(check.__name__.strip("_").replace("_", " "), "Asterisk refused it", str(error))


def _version(version: str, *, outbound: bool) -> Result:
    match = re.search(r"(\d+)\.(\d+)", version)
    if match is None:
        return warning(
            "version", f"Asterisk {version}", "not a release number; callsteward is tested with 16 and 22"
        )
    branch, minor = int(match[1]), int(match[2])
    if (branch, minor) < _OLDEST:
        return failed("version", f"Asterisk {version}", "callsteward needs Asterisk 16 or later")
    if outbound and (branch < 20 or minor < _OUTBOUND_SINCE.get(branch, 0)):
        return failed(
            "version",
            f"Asterisk {version} cannot dial the daemon",
            'connect = "outbound" needs 20.15, 22.5 or later: upgrade, or set asterisk.connect = "client"',
        )
    return ok("version", f"Asterisk {version}")


async def _modules(_config: Config, _session: aiohttp.ClientSession, rest: Rest) -> AsyncIterator[Result]:
    running = {
        item.name.removesuffix(".so") for item in await rest.modules() if item.status in {"Running", ""}
    }
    missing = [name for name in _MODULES if name not in running]
    if missing:
        commands = "; ".join(f"module load {name}.so" for name in missing)
        yield failed(
            "modules",
            f"not loaded: {', '.join(missing)}",
            f"remove their noload from modules.conf, then on the Asterisk console: {commands}",
        )
    else:
        yield ok("modules", f"all {len(_MODULES)} needed ones are loaded")


async def _user_and_subscriptions(
    config: Config, session: aiohttp.ClientSession, rest: Rest
) -> AsyncIterator[Result]:
    name = config.asterisk.username
    try:
        async with session.ws_connect(
            f"{config.asterisk.url}/ari/events",
            params={"app": APPLICATION},
            headers=authorization(config.asterisk),
            timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_S),
        ):
            await subscribe(rest, APPLICATION, sources(config))
            application = await rest.application(APPLICATION)
    except AriUnauthorizedError as error:
        yield failed("user", f"{name} may not write", str(error))
        return
    except (aiohttp.ClientError, TimeoutError) as error:
        yield ok("user", f"{name} is let in")
        yield failed(
            "subscriptions",
            f"no websocket at {config.asterisk.url}/ari/events: {cause(error, 'asterisk').what}",
            "load res_http_websocket and res_ari_events; a proxy between must pass websockets on",
        )
        return
    yield ok("user", f"{name} may read and write")
    if application is not None and application.hears_all_channels and application.hears_all_bridges:
        yield ok("subscriptions", "all channels and bridges are heard")
    else:
        yield failed(
            "subscriptions",
            "Asterisk took the subscription to all channels and bridges, but does not list it",
            "load res_stasis and res_ari_applications",
        )
    if config.asterisk.connect == "outbound" and await rest.application(config.asterisk.app) is None:
        yield warning(
            "outbound",
            f"Asterisk does not know the application {config.asterisk.app} yet",
            "ari.conf needs type = outbound_websocket with apps = "
            f"{config.asterisk.app}, and websocket_client.conf the daemon's address; then start the daemon",
        )


class _Endpoint(msgspec.Struct):
    technology: str
    resource: str

    @property
    def name(self) -> str:
        return f"{self.technology}/{self.resource}"


class _Attribute(msgspec.Struct):
    attribute: str
    value: str


async def _dialplan_and_endpoints(
    config: Config, _session: aiohttp.ClientSession, rest: Rest
) -> AsyncIterator[Result]:
    marker = await rest.variable(DIALPLAN_VARIABLE)
    if marker:
        yield ok("dialplan", f"callsteward.conf is included (version {marker})")
    else:
        yield failed(
            "dialplan",
            "callsteward.conf is not included",
            "copy dialplan/callsteward.conf to /etc/asterisk, put #include callsteward.conf into"
            " extensions.conf (FreePBX: extensions_custom.conf), then: dialplan reload",
        )
    if config.callback.enabled:
        yield await _callback(rest)
    if config.tags.enabled:
        yield await _tags(rest)
    if config.statuses.enabled and config.statuses.codes:
        yield await _statuses(rest)
    if config.rating.enabled:
        yield await _rating(config, rest)
    endpoints = await _settings_of_endpoints(config, rest)
    yield _talk_detection(config, endpoints, dialplan=bool(marker))
    if endpoints:
        yield _endpoint_settings(endpoints)


async def _callback(rest: Rest) -> Result:
    version = await rest.variable(INCLUDED)
    if older(version, ASKS):
        return warning(
            "callback",
            f"callsteward-callback.conf is an older one (version {version}): once an operator has answered it"
            " does not ask the do-not-call list again",
            "copy the new dialplan/callsteward-callback.conf to /etc/asterisk, then: dialplan reload",
        )
    if version:
        return ok("callback", f"callsteward-callback.conf is included (version {version})")
    return failed(
        "callback",
        "callback.enabled is true, but callsteward-callback.conf is not included: nobody will be called back",
        "copy dialplan/callsteward-callback.conf to /etc/asterisk, put #include callsteward-callback.conf"
        " behind the include of callsteward.conf, then: dialplan reload",
    )


async def _tags(rest: Rest) -> Result:
    version = await rest.variable(TAGS_VARIABLE)
    if version:
        return ok("tags", f"callsteward-tags.conf is included (version {version})")
    # Tags by command need no dialplan.
    return warning(
        "tags",
        "tags.enabled is true, but callsteward-tags.conf is not included: operators have no codes",
        "copy dialplan/callsteward-tags.conf to /etc/asterisk, put #include callsteward-tags.conf behind the"
        " include of callsteward.conf, include callsteward-codes where operators dial, then: dialplan reload",
    )


async def _statuses(rest: Rest) -> Result:
    version = await rest.variable(STATUSES_VARIABLE)
    if version:
        return ok("statuses", f"callsteward-statuses.conf is included (version {version})")
    return failed(
        "statuses",
        "statuses.codes is true, but callsteward-statuses.conf is not included: nobody can be paused",
        "copy dialplan/callsteward-statuses.conf to /etc/asterisk, put #include callsteward-statuses.conf"
        " behind the include of callsteward.conf, include callsteward-status-codes where operators dial,"
        " then: dialplan reload",
    )


async def _rating(config: Config, rest: Rest) -> Result:
    version = await rest.variable(dialplan.INCLUDED)
    if not version:
        return failed(
            "rating",
            "rating.enabled is true, but callsteward-rating.conf is not included: nobody will be asked",
            "copy dialplan/callsteward-rating.conf to /etc/asterisk, put #include callsteward-rating.conf"
            " behind the include of callsteward.conf, then: dialplan reload",
        )
    if older(version, dialplan.CONFIRMS):
        return warning(
            "rating",
            f"callsteward-rating.conf is an older one (version {version}): it does not say when Asterisk's"
            " database has forgotten an old rating call, which is then asked for each hour",
            "copy the new dialplan/callsteward-rating.conf to /etc/asterisk, then: dialplan reload",
        )
    folder = await rest.variable("CALLSTEWARD_PROMPTS")
    if folder != config.rating.prompts_dir:
        return warning(
            "rating",
            f"the dialplan's prompts are in {folder}, the menu's in {config.rating.prompts_dir}",
            "make CALLSTEWARD_PROMPTS in callsteward-rating.conf and rating.prompts_dir one folder",
        )
    if not any(config.profile(line).rating != "off" for line in _lines(config)):
        return warning(
            "rating", "no line's profile asks", 'set rating = "stay", "transfer" or "call" in a profile'
        )
    return ok("rating", f"callsteward-rating.conf is included (version {version})")


def _lines(config: Config) -> list[str]:
    return [*(line.name for line in config.lines), config.default_line]


async def _settings_of_endpoints(config: Config, rest: Rest) -> dict[str, dict[str, str]]:
    """The PJSIP settings of operators' phones and outside lines, by endpoint name."""
    directory = Directory(config)
    listed = [
        item for item in await rest.get("endpoints", tuple[_Endpoint, ...]) if item.technology == "PJSIP"
    ]
    people = [
        item
        for item in listed
        if directory.endpoint(f"{item.name}-0").kind in {EndpointKind.OPERATOR, EndpointKind.TRUNK}
    ][:_ENDPOINTS_READ]
    gate = asyncio.Semaphore(_ENDPOINTS_AT_ONCE)

    async def settings(item: _Endpoint) -> tuple[str, dict[str, str]]:
        path = f"asterisk/config/dynamic/res_pjsip/endpoint/{quote(item.resource, safe='')}"
        async with gate:
            attributes = await rest.get(path, tuple[_Attribute, ...])
        return item.name, {attribute.attribute: attribute.value for attribute in attributes}

    return dict(await asyncio.gather(*map(settings, people)))


def _talk_detection(config: Config, endpoints: Mapping[str, Mapping[str, str]], *, dialplan: bool) -> Result:
    check = "talk detection"
    if config.asterisk.talk_detect == "off":
        return ok(check, "is off in the configuration: speech will be null")
    # set_var=TALK_DETECT(set)=500,256 shows up as an attribute of that name.
    armed = {
        name: settings["TALK_DETECT(set)"]
        for name, settings in endpoints.items()
        if "TALK_DETECT(set)" in settings
    }
    wrong = [name for name, value in armed.items() if _silence_ms(value) != config.asterisk.silence_ms]
    if wrong:
        return failed(
            check,
            f"{_named(wrong)}: TALK_DETECT(set)={armed[wrong[0]]}, but asterisk.silence_ms is"
            f" {config.asterisk.silence_ms}",
            "make the two equal, or the end of each phrase is computed wrong",
        )
    bare = [name for name in endpoints if name not in armed]
    if endpoints and not bare:
        return ok(check, f"armed on all {len(endpoints)} endpoints")
    if dialplan:
        return ok(
            check,
            f"armed on {len(armed)} of {len(endpoints)} endpoints, elsewhere by the dialplan where it calls"
            " callsteward-arm and callsteward-predial",
        )
    mend = (
        "set_var = TALK_DETECT(set)=500,256 on the endpoints (config/asterisk/pjsip.conf) or use"
        " dialplan/callsteward.conf; without it speech, silences and interruptions are null"
        ' (asterisk.talk_detect = "off" says that is meant)'
    )
    if armed:
        return warning(check, f"not armed on {_named(bare)}", mend)
    return failed(check, "armed neither on the endpoints nor by the dialplan", mend)


def _silence_ms(value: str) -> int:
    first = value.partition(",")[0].strip()
    # Asterisk's own default (func_talkdetect.c: DEFAULT_SILENCE_THRESHOLD).
    return int(first) if first.isdigit() else 2500


def _endpoint_settings(endpoints: Mapping[str, Mapping[str, str]]) -> Result:
    troubles: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, settings in endpoints.items():
        if settings.get("rtp_timeout") == "0":
            troubles["rtp_timeout = 0, a phone that vanishes is never noticed", "rtp_timeout = 30"].append(
                name
            )
        if settings.get("suppress_moh_on_sendonly") in {"true", "yes"}:
            troubles["suppress_moh_on_sendonly hides every hold", "suppress_moh_on_sendonly = no"].append(
                name
            )
        if settings.get("direct_media") in {"true", "yes"}:
            troubles["direct_media lets speech pass by Asterisk unheard", "direct_media = no"].append(name)
    if not troubles:
        return ok("endpoints", f"the {len(endpoints)} phones and outside lines show all callsteward measures")
    found = "; ".join(f"{_named(names)}: {why}" for (why, _), names in troubles.items())
    mend = "in pjsip.conf set " + ", ".join(setting for _, setting in troubles)
    return warning("endpoints", found, mend)


def _named(names: Sequence[str]) -> str:
    more = len(names) - _ENDPOINTS_NAMED
    return ", ".join(names[:_ENDPOINTS_NAMED]) + (f" and {more} more" if more > 0 else "")
