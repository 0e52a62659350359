"""A second site for the lab, made as FreePBX and its users make theirs: nothing in it knows of callsteward.

``Asterisk(site=field_files)`` runs it. ARI, CDR, CEL, modules and logs are the lab's; phones, trunks, queues
and the dialplan are its own. Talk detection is armed on the endpoints alone.
"""

from __future__ import annotations

from tests.lab.field_dialplan import field_dialplan
from tests.lab.field_lanes import AGENT, SCRIPTED, every_field_lane
from tests.lab.field_phones import field_pjsip, field_sip
from tests.lab.lanes import TECHNOLOGIES
from tests.lab.pbx_config import PbxSettings


def field_files(settings: PbxSettings) -> dict[str, str]:
    """File name → text of what the site has of its own."""
    music = f"{settings.home}/moh/music"
    tech = TECHNOLOGIES[settings.driver]
    return {
        **(field_sip(settings) if settings.driver == "sip" else field_pjsip(settings)),
        "queues.conf": _queues(tech, music),
        "agents.conf": "[general]\n[agent](!)\nackcall = no\nautologoff = 0\nwrapuptime = 0\n"
        + "".join(f"[{lane.operator(AGENT)}](agent)\n" for lane in every_field_lane()),
        "followme.conf": _followme(),
        "features.conf": _FEATURES,
        "extensions.conf": field_dialplan(tech, music),
    }


_FEATURES = """[general]
transferdigittimeout = 2
atxfernoanswertimeout = 10
[featuremap]
blindxfer = ##
atxfer = *2
disconnect = *0
"""


def _followme() -> str:
    parts = [
        """[general]
enable_callee_prompt = true
takecall => 1
declinecall => 2
call_from_prompt => silence/1
norecording_prompt => silence/1
options_prompt => silence/1
pls_hold_prompt => silence/1
status_prompt => silence/1
sorry_prompt => silence/1
"""
    ]
    for lane in every_field_lane():
        first, second = lane.operator(1), lane.operator(2)
        parts.append(f"""[{first}]
context => from-internal-followme
number => {first},12
number => {second},12
""")
    return "".join(parts)


def _queues(tech: str, music: str) -> str:
    parts = [
        """[general]
persistentmembers = no
autofill = yes
[common](!)
joinempty = yes
leavewhenempty = no
ringinuse = no
retry = 1
wrapuptime = 0
timeout = 4
"""
    ]

    def queue(name: str, *members: str, strategy: str = "linear", options: str = "") -> None:
        # A strategy that follows `linear`, as from a template, is not taken.
        parts.append(f"[{name}](common)\nstrategy = {strategy}\n{options}")
        parts.extend(f"member => {member}\n" for member in members)

    for lane in every_field_lane():
        first, second, third = (lane.operator(place) for place in (1, 2, 3))
        queue(lane.queue("sales"), f"{tech}/{first}", f"{tech}/{second}")
        queue(lane.queue("service"), f"{tech}/{third}")
        queue(lane.queue("scripted"), f"{tech}/{lane.operator(SCRIPTED[0])}")
        queue(
            lane.queue("announce"),
            f"{tech}/{first}",
            f"{tech}/{second}",
            options=f"announce = {music}\nmemberdelay = 1\n",
        )
        queue(lane.queue("pool"), f"Local/{lane.operator(AGENT)}@agentpool/n")
        local = tuple(f"Local/{user}@from-queue/n" for user in (first, second))
        queue(lane.queue("0"), *local)
        queue(lane.queue("1"), *(f"Local/{user}@from-queue-confirm/n" for user in (first, second)))
        queue(lane.queue("2"), *local, strategy="ringall")
        queue(lane.queue("3"), f"Local/{lane.operator(SCRIPTED[0])}@from-queue/n")
        queue(lane.queue("5"), f"Local/{lane.operator(SCRIPTED[1])}@from-queue/n")
        queue(lane.queue("4"), f"Local/{first}@from-queue-followme/n", options="timeout = 20\n")
    return "".join(parts)
