"""The lab's Asterisk configuration, as text.

ari.conf, http.conf, the talk-detection template, cdr.conf, cel.conf and the dialplan
subroutines are the shipped files: what an admin copies is what the lab runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.chan_sip import sip_conf
from tests.lab.lanes import PASSWORD, TECHNOLOGIES, Driver, Lane, every_lane

REPOSITORY = Path(__file__).resolve().parents[2]
SHIPPED = REPOSITORY / "config" / "asterisk"
DIALPLAN = REPOSITORY / "dialplan"

CEL_FIELDS = (
    ("event", "eventtype"),
    ("time", "eventtime"),
    ("caller", "CALLERID(num)"),
    ("dnid", "CALLERID(DNID)"),
    ("exten", "CHANNEL(exten)"),
    ("context", "CHANNEL(context)"),
    ("channel", "CHANNEL(channame)"),
    ("app", "CHANNEL(appname)"),
    ("app_data", "CHANNEL(appdata)"),
    ("unique_id", "CHANNEL(uniqueid)"),
    ("linked_id", "CHANNEL(linkedid)"),
    ("peer", "BRIDGEPEER"),
    ("extra", "eventextra"),
)
CDR_FIELDS = (
    ("caller_id", "CDR(clid)"),
    ("source", "CDR(src)"),
    ("destination", "CDR(dst)"),
    ("context", "CDR(dcontext)"),
    ("channel", "CDR(channel)"),
    ("peer_channel", "CDR(dstchannel)"),
    ("app", "CDR(lastapp)"),
    ("app_data", "CDR(lastdata)"),
    ("start", "CDR(start,u)"),
    ("answer", "CDR(answer,u)"),
    ("end", "CDR(end,u)"),
    ("duration_s", "CDR(duration,f)"),
    ("billsec_s", "CDR(billsec,f)"),
    ("disposition", "CDR(disposition)"),
    ("unique_id", "CDR(uniqueid)"),
    ("linked_id", "CDR(linkedid)"),
    ("sequence", "CDR(sequence)"),
)

# Modules that need what the lab has not, or that would listen somewhere.
NOLOAD = [
    "app_adsiprog",
    "app_festival",
    "app_jack",
    "app_sms",
    "app_voicemail",
    "app_voicemail_imap",
    "app_voicemail_odbc",
    "cdr_adaptive_odbc",
    "cdr_csv",
    "cdr_manager",
    "cdr_odbc",
    "cdr_pgsql",
    "cdr_radius",
    "cdr_sqlite3_custom",
    "cdr_tds",
    "cel_manager",
    "cel_odbc",
    "cel_pgsql",
    "cel_radius",
    "cel_sqlite3_custom",
    "cel_tds",
    "chan_alsa",
    "chan_console",
    "chan_dahdi",
    "chan_iax2",
    "chan_mgcp",
    "chan_motif",
    "chan_oss",
    "chan_phone",
    "chan_sip",
    "chan_skinny",
    "chan_unistim",
    "func_odbc",
    "pbx_ael",
    "pbx_dundi",
    "pbx_lua",
    "pbx_realtime",
    "res_adsi",
    "res_calendar",
    "res_calendar_caldav",
    "res_calendar_ews",
    "res_calendar_exchange",
    "res_calendar_icalendar",
    "res_config_ldap",
    "res_config_odbc",
    "res_config_pgsql",
    "res_config_sqlite",
    "res_config_sqlite3",
    "res_fax",
    "res_fax_spandsp",
    "res_hep",
    "res_hep_pjsip",
    "res_hep_rtcp",
    "res_odbc",
    "res_odbc_transaction",
    "res_phoneprov",
    "res_pjsip_phoneprov_provider",
    "res_prometheus",
    "res_resolver_unbound",
    "res_smdi",
    "res_snmp",
    "res_speech_aeap",
    "res_aeap",
    "res_stun_monitor",
    "res_xmpp",
]


@dataclass(frozen=True, slots=True)
class Outbound:
    """Asterisk dials the daemon (``connect = "outbound"``)."""

    uri: str
    user: str
    password: str
    application: str = "callsteward"
    subscribe_all: bool = False


@dataclass(frozen=True, slots=True)
class PbxSettings:
    """The settings in which lab Asterisks differ."""

    version: str
    home: str
    """The instance's folder as Asterisk sees it (inside the root)."""
    sip_port: int
    http_port: int
    ari_password: str
    driver: Driver = "pjsip"
    channelvars: bool = True
    talk_endpoints: bool = True
    """Arm talk detection on the endpoints, too (config/asterisk/pjsip.conf)."""
    rtp_timeout_s: int = 5
    outbound: Outbound | None = None

    @property
    def prompts(self) -> str:
        """The rating's prompts as Asterisk sees them."""
        return f"{self.home}/prompts"


def config_files(settings: PbxSettings) -> dict[str, str]:
    """File name → text, for the instance's etc folder."""
    files = {
        "asterisk.conf": _asterisk(settings),
        "modules.conf": "[modules]\nautoload = yes\n" + _lines("noload = {}.so", _noload(settings)),
        "logger.conf": "[general]\ndateformat = %F %T.%3q\n[logfiles]\n"
        "full => notice,warning,error,verbose(3)\n",
        "http.conf": _shipped("http.conf", ("bindport = 8088", f"bindport = {settings.http_port}")),
        "ari.conf": _ari(settings),
        "cdr.conf": _shipped("cdr.conf"),
        "cdr_custom.conf": _custom("cdr.csv", CDR_FIELDS),
        "cel.conf": _shipped("cel.conf"),
        "cel_custom.conf": _custom("cel.csv", CEL_FIELDS),
        "rtp.conf": "[general]\nrtpstart = 20000\nrtpend = 29999\n",
        **_phones(settings),
        "queues.conf": _queues(settings),
        "res_parking.conf": _parking(),
        "features.conf": _FEATURES + _shipped("features.conf"),
        "musiconhold.conf": f"[default]\nmode = files\ndirectory = {settings.home}/moh\n",
        # Empty, so that their modules load.
        "confbridge.conf": "[general]\n",
        "indications.conf": "[general]\ncountry = us\n[us]\nringcadence = 2000,4000\n"
        "dial = 350+440\nbusy = 480+620/500,0/500\nring = 440+480/2000,0/4000\n"
        "congestion = 480+620/250,0/250\n",
        "callsteward.conf": (DIALPLAN / "callsteward.conf").read_text(),
        "callsteward-callback.conf": (DIALPLAN / "callsteward-callback.conf").read_text(),
        "callsteward-tags.conf": (DIALPLAN / "callsteward-tags.conf").read_text(),
        "callsteward-statuses.conf": (DIALPLAN / "callsteward-statuses.conf").read_text(),
        "callsteward-rating.conf": _rating(settings),
        "callsteward-examples.conf": _with_driver(
            (DIALPLAN / "callsteward-examples.conf").read_text(), settings
        ),
        "extensions.conf": _with_driver(_extensions(), settings),
    }
    if settings.outbound is not None:
        files["websocket_client.conf"] = _websocket_client(settings.outbound)
    return files


def _noload(settings: PbxSettings) -> list[str]:
    wanted = {"sip": {"chan_sip"}, "pjsip": set()}[settings.driver]
    return [module for module in NOLOAD if module not in wanted]


def _phones(settings: PbxSettings) -> dict[str, str]:
    """The phones and outside lines, in the words of the driver they are on."""
    if settings.driver == "sip":
        return {
            "callsteward-sip.conf": _shipped("sip.conf"),
            "sip.conf": sip_conf(settings.sip_port, settings.rtp_timeout_s, talk=settings.talk_endpoints),
        }
    return {"callsteward-pjsip.conf": _shipped("pjsip.conf"), "pjsip.conf": _pjsip(settings)}


def _with_driver(text: str, settings: PbxSettings) -> str:
    """A dialplan or queues written for PJSIP, for the driver the phones are on."""
    return text.replace("PJSIP/", f"{TECHNOLOGIES[settings.driver]}/")


def _lines(form: str, values: list[str]) -> str:
    return "".join(form.format(value) + "\n" for value in values)


def _shipped(name: str, *changes: tuple[str, str]) -> str:
    """A shipped snippet with a few values of the lab's; fails if one is not there."""
    text = (SHIPPED / name).read_text()
    for old, new in changes:
        if old not in text:
            message = f"config/asterisk/{name} has no {old!r} any more: adjust the lab"
            raise ValueError(message)
        text = text.replace(old, new)
    return text


def _rating(settings: PbxSettings) -> str:
    text = (DIALPLAN / "callsteward-rating.conf").read_text()
    shipped = "CALLSTEWARD_PROMPTS = /var/lib/callsteward/prompts"
    if shipped not in text:
        message = f"dialplan/callsteward-rating.conf has no {shipped!r} any more: adjust the lab"
        raise ValueError(message)
    return text.replace(shipped, f"CALLSTEWARD_PROMPTS = {settings.prompts}")


def _asterisk(settings: PbxSettings) -> str:
    modules = "/usr/lib/asterisk/modules"
    if settings.version != "16":
        modules = "/usr/lib/x86_64-linux-gnu/asterisk/modules"
    home = settings.home
    return f"""[directories]
astcachedir => {home}/cache
astetcdir => {home}/etc
astmoddir => {modules}
astvarlibdir => {home}/var
astdbdir => {home}/var
astkeydir => {home}/var
astdatadir => /usr/share/asterisk
astagidir => /usr/share/asterisk/agi-bin
astspooldir => {home}/spool
astrundir => {home}/run
astlogdir => {home}/log
astsbindir => /usr/sbin
[options]
verbose = 3
nocolor = yes
hideconnect = yes
"""


def _ari(settings: PbxSettings) -> str:
    changes = [("password = CHANGE_ME", f"password = {settings.ari_password}")]
    if not settings.channelvars:
        changes.append(("channelvars =", ";channelvars ="))
    text = _shipped("ari.conf", *changes)
    if settings.outbound is not None:
        text += f"""
[callsteward-out]
type = outbound_websocket
websocket_client_id = callsteward
apps = {settings.outbound.application}
local_ari_user = callsteward
subscribe_all = {"yes" if settings.outbound.subscribe_all else "no"}
"""
    return text


def _websocket_client(outbound: Outbound) -> str:
    return _shipped(
        "websocket_client.conf",
        ("uri = ws://127.0.0.1:8087/ari", f"uri = {outbound.uri}"),
        ("username = callsteward", f"username = {outbound.user}"),
        ("password = CHANGE_ME", f"password = {outbound.password}"),
    )


def _custom(file_name: str, fields: tuple[tuple[str, str], ...]) -> str:
    columns = ",".join(f"${{CSV_QUOTE(${{{expression}}})}}" for _, expression in fields)
    return f"[mappings]\n{file_name} => {columns}\n"


def pjsip_templates(settings: PbxSettings) -> str:
    """The transport, and what the phones and the outside lines of any site have in common."""
    talk = ",callsteward-talk" if settings.talk_endpoints else ""
    return f"""#include callsteward-pjsip.conf
[global]
type = global
; An operator is known by user name, an outside line by its address.
endpoint_identifier_order = username,ip
[transport]
type = transport
protocol = udp
bind = 127.0.0.1:{settings.sip_port}
[phone](!)
type = endpoint
disallow = all
allow = ulaw
direct_media = no
rtp_timeout = {settings.rtp_timeout_s}
device_state_busy_at = 0
[operator](!,phone{talk},callsteward-tags)
context = from-internal
[outside](!,phone{talk})
context = from-trunk
send_pai = no
trust_id_inbound = yes
; Longer than a hold that ends.
rtp_timeout_hold = 15
; The shortest there is: asked after 45 s whether the other side is still there.
[timed](!,outside)
rtp_timeout = 600
timers = always
timers_min_se = 90
timers_sess_expires = 90
"""


def _pjsip(settings: PbxSettings) -> str:
    parts = [pjsip_templates(settings)]
    for lane in every_lane():
        parts.extend(
            f"""
[{user}](operator)
auth = {user}
aors = {user}
callerid = Operator {user} <{user}>
named_call_group = lane{lane.index}
named_pickup_group = lane{lane.index}
[{user}]
type = auth
auth_type = userpass
username = {user}
password = {PASSWORD}
[{user}]
type = aor
max_contacts = 1
remove_existing = yes
"""
            for user in lane.operators
        )
        parts.extend(
            f"""
[{line.endpoint}]({"timed" if line == lane.timed_line else "outside"})
aors = {line.number}
[{line.number}]
type = aor
max_contacts = 1
remove_existing = yes
[{line.endpoint}-address]
type = identify
endpoint = {line.endpoint}
match = {line.address}
"""
            for line in (*lane.outside_lines, lane.timed_line)
        )
    return "".join(parts)


def _queues(settings: PbxSettings) -> str:
    parts = [
        """[general]
persistentmembers = no
[common](!)
joinempty = yes
leavewhenempty = no
ringinuse = no
retry = 1
wrapuptime = 0
timeout = 6
"""
    ]

    def queue(name: str, strategy: str, members: tuple[str, ...]) -> None:
        parts.append(f"[{name}](common)\nstrategy = {strategy}\n")
        parts.extend(f"member => {member}\n" for member in members)

    for lane in every_lane():
        first, second, third = (lane.operator(place) for place in (1, 2, 3))
        phones = tuple(f"PJSIP/{user}" for user in (first, second))
        queue(lane.queue("support"), "linear", phones)
        queue(lane.queue("ringall"), "ringall", (*phones, f"PJSIP/{third}"))
        queue(lane.queue("solo"), "linear", phones[:1])
        queue(lane.queue("local"), "linear", (f"Local/{first}@from-queue/n",))
        queue(lane.queue("optimised"), "linear", (f"Local/{first}@from-queue",))
        queue(lane.queue("empty"), "linear", ())
    # What dialplan/callsteward-examples.conf names.
    queue("support", "linear", ("PJSIP/101", "PJSIP/102"))
    queue("support-local", "linear", ("Local/101@callsteward-example-member/n",))
    return _with_driver("".join(parts), settings)


def _parking() -> str:
    parts = ["[general]\n"]
    for lane in every_lane():
        stem = lane.park_extension[:-1]
        parts.append(f"""[lane{lane.index}]
parkext => {lane.park_extension}
parkext_exclusive = yes
parkpos => {stem}1-{stem}5
context => parkedcalls
parkingtime => 45
""")
    return "".join(parts)


_FEATURES = """[general]
pickupexten = *8
transferdigittimeout = 2
atxfernoanswertimeout = 10
[featuremap]
blindxfer = #1
atxfer = *2
; The operator's hand-over code (option h of Dial and Queue).
disconnect = *9
"""


def _extensions() -> str:
    lines = [
        "[general]",
        "static = yes",
        "writeprotect = yes",
        "#include callsteward.conf",
        "#include callsteward-callback.conf",
        "#include callsteward-tags.conf",
        "#include callsteward-statuses.conf",
        "#include callsteward-rating.conf",
        "#include callsteward-examples.conf",
        "",
        "[lab-unheard]",
        "exten => s,1,Set(TALK_DETECT(remove)=)",
        " same => n,Return()",
        "",
        "; Outside lines come in here.",
        "[from-trunk]",
        "include => callsteward-example-inbound",
        "include => callsteward-example-queue",
        "include => callsteward-example-sticky",
        "include => callsteward-example-queue-local",
    ]
    for lane in every_lane():
        lines.extend(_inbound(lane))
    lines += [
        "",
        "; Operators dial here, and calls they transfer go on here.",
        "[from-internal]",
        "include => parkedcalls",
        "include => callsteward-codes",
        "include => callsteward-status-codes",
    ]
    for lane in every_lane():
        lines.extend(_internal(lane))
    lines += ["", "; What a FreePBX queue member rings.", "[from-queue]"]
    for lane in every_lane():
        for user in lane.operators:
            lines.append(f"exten => {user},1,Dial(PJSIP/{user},20,{_PREDIAL})")
            lines.append(" same => n,Hangup()")
    return "\n".join(lines) + "\n"


_PREDIAL = "b(callsteward-predial^s^1)"
_ARM = "Gosub(callsteward-arm,s,1)"


def _extension(number: str, *steps: str) -> Iterator[str]:
    yield f"exten => {number},1,{steps[0]}"
    for step in steps[1:]:
        yield f" same => n,{step}"


def _inbound(lane: Lane) -> Iterator[str]:
    first, second = (f"PJSIP/{lane.operator(place)}" for place in (1, 2))
    lot = f"Set(CHANNEL(parkinglot)=lane{lane.index})"

    def dial(number: int, *steps: str) -> Iterator[str]:
        yield from _extension(lane.did(number), _ARM, lot, *steps, "Hangup()")

    def queue(number: int, kind: str, options: str = _PREDIAL, limit_s: int = 300) -> Iterator[str]:
        name = f"Queue({lane.queue(kind)},{options},,,{limit_s})"
        yield from _extension(lane.did(number), _ARM, lot, "Answer()", name, "Hangup()")

    yield from dial(10, f"Dial({first},20,{_PREDIAL})")
    yield from dial(11, f"Dial({first},6,{_PREDIAL})")
    yield from dial(12, f"Dial({first},20,L(8000){_PREDIAL})")
    yield from dial(13, f"Dial({first},5,{_PREDIAL})", f"Dial({second},20,{_PREDIAL})")
    yield from dial(14, f"Dial({first},20,tT{_PREDIAL})")
    yield from dial(15, f"Dial({first}&{second},20,{_PREDIAL})")
    # A phone that refuses leaves its cause on the client's channel, then the queue finds somebody.
    yield from dial(
        16, "Answer()", f"Dial({first},20,{_PREDIAL})", f"Queue({lane.queue('support')},{_PREDIAL},,,60)"
    )
    # Nobody hears the operator.
    yield from dial(17, f"Dial({first},20,b(lab-unheard^s^1))")
    yield from queue(20, "support")
    yield from queue(21, "ringall")
    yield from queue(22, "local", "")
    yield from queue(23, "optimised", "")
    yield from queue(24, "solo", limit_s=8)
    yield from queue(25, "empty")
    # The client stays for the rating when the operator leaves.
    yield from _extension(
        lane.did(30),
        _ARM,
        "Answer()",
        f"Queue({lane.queue('support')},ch{_PREDIAL},,,300)",
        'GotoIf($["${QUEUESTATUS}" = "CONTINUE"]?callsteward-rating,s,1)',
        "Hangup()",
    )
    yield from dial(
        31,
        f"Dial({first},20,gh{_PREDIAL})",
        'GotoIf($["${DIALSTATUS}" = "ANSWER"]?callsteward-rating,s,1)',
    )


def _internal(lane: Lane) -> Iterator[str]:
    lot = f"Set(CHANNEL(parkinglot)=lane{lane.index})"
    for user in lane.operators:
        yield from _extension(
            user,
            _ARM,
            lot,
            f"Dial(PJSIP/{user},8,{_PREDIAL})",
            'GotoIf($["${DIALSTATUS}" = "ANSWER" | "${BLINDTRANSFER}" = ""]?end)',
            f"Dial(${{BLINDTRANSFER:0:-9}},20,{_PREDIAL})",
            "Hangup()",
        )
        yield f"exten => {user},n(end),Hangup()"
        yield from _extension(f"**{user}", _ARM, f"PickupChan(PJSIP/{user})", "Hangup()")
    for line in lane.outside_lines:
        yield from _extension(
            line.number,
            _ARM,
            lot,
            f"Dial(PJSIP/${{EXTEN}}@{line.endpoint},8,{_PREDIAL})",
            "Hangup()",
        )
    # Where operators transfer a client to for the rating.
    yield from _extension(lane.did(39), "Goto(callsteward-rating,s,1)")
    # An operator who hands a client back to the queue.
    name = f"Queue({lane.queue('support')},{_PREDIAL},,,300)"
    yield from _extension(lane.did(20), _ARM, lot, name, "Hangup()")
