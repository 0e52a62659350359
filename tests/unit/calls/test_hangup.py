import pytest

from callsteward.calls.hangup import HangupRequest, LegEnd, attribute, requester
from callsteward.record.call import Confidence, Hangup, Party, Side

CLIENT, OPERATOR = "PJSIP/trunk-00000001", "PJSIP/101-00000002"
ABNORMAL = frozenset({27, 38, 41, 42, 44, 47, 102, 111})


def asked(
    side: Side, cause: int | None = 16, *, at_ms: int = 0, soft: bool = False, tech: int | None = None
) -> HangupRequest:
    return HangupRequest(at_ms, side, CLIENT if side is Side.CLIENT else OPERATOR, cause, tech, soft)


def gone(side: Side, cause: int = 16, source: str | None = None, tech: int | None = None) -> LegEnd:
    return LegEnd(side, CLIENT if side is Side.CLIENT else OPERATOR, cause, tech, source)


def verdict(requests: list[HangupRequest], ends: list[LegEnd]) -> Hangup:
    return attribute(requests, ends, ABNORMAL)


def summary(found: Hangup) -> tuple[Party, int | None, Confidence, Side | None]:
    return found.first, found.cause, found.confidence, found.lost_side


CERTAIN, LIKELY, UNKNOWN = Confidence.CERTAIN, Confidence.LIKELY, Confidence.UNKNOWN


@pytest.mark.parametrize(
    ("requests", "ends", "expected"),
    [
        pytest.param(
            [asked(Side.CLIENT), asked(Side.CLIENT, 16, soft=True)],
            [gone(Side.OPERATOR), gone(Side.CLIENT)],
            (Party.CLIENT, 16, CERTAIN, None),
            id="the client says goodbye",
        ),
        pytest.param(
            [asked(Side.OPERATOR, None), asked(Side.CLIENT, 16, soft=True)],
            [gone(Side.OPERATOR), gone(Side.CLIENT)],
            (Party.OPERATOR, 16, CERTAIN, None),
            id="the operator hangs up and names no cause",
        ),
        pytest.param(
            [asked(Side.CLIENT, None)], [], (Party.CLIENT, None, CERTAIN, None), id="no leg was seen to end"
        ),
        pytest.param(
            [asked(Side.CLIENT), asked(Side.OPERATOR, at_ms=200)],
            [],
            (Party.CLIENT, 16, LIKELY, None),
            id="both at once",
        ),
        pytest.param(
            [asked(Side.CLIENT), asked(Side.OPERATOR, at_ms=201)],
            [],
            (Party.CLIENT, 16, CERTAIN, None),
            id="the other side hung up later",
        ),
        pytest.param(
            [asked(Side.CLIENT), asked(Side.CLIENT, at_ms=1), asked(Side.OPERATOR, 1, at_ms=2, soft=True)],
            [],
            (Party.CLIENT, 16, CERTAIN, None),
            id="the same side again, and Asterisk",
        ),
        pytest.param(
            [asked(Side.CLIENT), asked(Side.OPERATOR, at_ms=1)],
            [gone(Side.CLIENT, 16, OPERATOR)],
            (Party.CLIENT, 16, LIKELY, None),
            id="Asterisk notes the other side",
        ),
        pytest.param(
            [asked(Side.CLIENT)],
            [gone(Side.OPERATOR, 16, "dialplan/builtin"), gone(Side.CLIENT, 16, "PJSIP/102-00000009")],
            (Party.CLIENT, 16, CERTAIN, None),
            id="Asterisk notes somebody who left long ago",
        ),
        pytest.param(
            [asked(Side.CLIENT, 1, soft=True)],
            [gone(Side.OPERATOR), gone(Side.CLIENT, 44)],
            (Party.NETWORK, 44, CERTAIN, Side.CLIENT),
            id="no RTP from the client",
        ),
        pytest.param(
            [asked(Side.OPERATOR, 1, soft=True)],
            [gone(Side.OPERATOR, 44)],
            (Party.NETWORK, 44, CERTAIN, Side.OPERATOR),
            id="no RTP from the operator",
        ),
        pytest.param(
            [asked(Side.OPERATOR, 1, soft=True), asked(Side.CLIENT, at_ms=5000)],
            [gone(Side.OPERATOR, 16), gone(Side.CLIENT)],
            (Party.CLIENT, 16, CERTAIN, None),
            id="a leg that Asterisk swapped out of the bridge",
        ),
        pytest.param(
            [asked(Side.OPERATOR, 1 | 32, soft=True)],
            [],
            (Party.NETWORK, None, CERTAIN, Side.OPERATOR),
            id="the driver's flag wins",
        ),
        pytest.param(
            [asked(Side.CLIENT, 4, soft=True)],
            [gone(Side.CLIENT, 0)],
            (Party.PBX, 0, CERTAIN, None),
            id="Asterisk shuts down",
        ),
        pytest.param(
            [asked(Side.CLIENT, 32, soft=True)],
            [gone(Side.CLIENT)],
            (Party.PBX, 16, CERTAIN, None),
            id="an administrator ends it",
        ),
        pytest.param(
            [asked(Side.CLIENT, 8, soft=True)],
            [gone(Side.CLIENT)],
            (Party.PBX, 16, CERTAIN, None),
            id="the dialplan's time limit",
        ),
        pytest.param(
            [asked(Side.CLIENT, 38)],
            [gone(Side.CLIENT, 38)],
            (Party.NETWORK, 38, CERTAIN, Side.CLIENT),
            id="an abnormal cause in the request",
        ),
        pytest.param(
            [asked(Side.CLIENT, 16, soft=True)],
            [gone(Side.OPERATOR, 102), gone(Side.CLIENT)],
            (Party.NETWORK, 102, CERTAIN, Side.OPERATOR),
            id="an abnormal cause at the end",
        ),
        pytest.param(
            [asked(Side.CLIENT, 16, soft=True)],
            [gone(Side.CLIENT, 16, "")],
            (Party.PBX, 16, LIKELY, None),
            id="the dialplan ended and nobody asked",
        ),
        pytest.param(
            [asked(Side.CLIENT, None, soft=True)],
            [],
            (Party.PBX, None, LIKELY, None),
            id="a soft request without flags",
        ),
        pytest.param(
            [],
            [gone(Side.OPERATOR, 17, OPERATOR), gone(Side.CLIENT, 16)],
            (Party.OPERATOR, 17, LIKELY, None),
            id="only Asterisk's note",
        ),
        pytest.param([], [], (Party.UNKNOWN, None, UNKNOWN, None), id="nobody saw the end"),
    ],
)
def test_who_hung_up_first(
    requests: list[HangupRequest],
    ends: list[LegEnd],
    expected: tuple[Party, int | None, Confidence, Side | None],
):
    found = verdict(requests, ends)
    assert summary(found) == expected
    assert found.evidence


def test_the_dials_failure_passed_back_to_the_caller_is_asterisks_doing():
    passed = HangupRequest(0, Side.CLIENT, CLIENT, 17, None, soft=False, passed_back=True)
    found = verdict([passed], [gone(Side.CLIENT, 17)])
    assert summary(found) == (Party.PBX, 17, CERTAIN, None)


def test_the_dials_failure_passed_back_with_an_abnormal_cause_is_not_the_clients_connection():
    passed = HangupRequest(0, Side.CLIENT, CLIENT, 38, None, soft=False, passed_back=True)
    found = verdict([passed], [gone(Side.CLIENT, 38)])
    assert summary(found) == (Party.PBX, 38, CERTAIN, None)


def test_a_third_party_who_hangs_up_is_neither_client_nor_operator():
    third = HangupRequest(0, Side.OPERATOR, "PJSIP/trunk2-3", 16, None, soft=False, third_party=True)
    found = verdict([third], [])
    assert summary(found) == (Party.UNKNOWN, 16, CERTAIN, None)
    assert found.evidence[-1] == "a third party"


def test_the_sip_status_comes_from_the_request_else_from_the_end():
    assert verdict([asked(Side.CLIENT, 127, tech=487)], [gone(Side.CLIENT, 127, tech=500)]).tech_cause == 487
    assert verdict([asked(Side.CLIENT, 127)], [gone(Side.CLIENT, 127, tech=500)]).tech_cause == 500


def test_the_evidence_names_its_events():
    lost = verdict([asked(Side.CLIENT, 1, soft=True)], [gone(Side.CLIENT, 44)])
    assert lost.evidence == (
        f"hang-up request on {CLIENT} (soft 1): the channel driver ended it (RTP timeout)",
        f"{CLIENT} destroyed with cause 44",
    )
    both = verdict(
        [asked(Side.CLIENT), asked(Side.OPERATOR, None, at_ms=40)], [gone(Side.CLIENT, 16, CLIENT)]
    )
    assert both.evidence == (
        f"hang-up request on {CLIENT} (cause 16)",
        f"hang-up request on {OPERATOR} (cause None) 40 ms later",
        f"hangupsource {CLIENT}",
    )


@pytest.mark.parametrize(
    ("request_", "party"),
    [
        (asked(Side.CLIENT), Party.CLIENT),
        (asked(Side.OPERATOR), Party.OPERATOR),
        (HangupRequest(0, Side.OPERATOR, OPERATOR, 16, None, soft=False, third_party=True), Party.UNKNOWN),
        (asked(Side.CLIENT, 1, soft=True), Party.NETWORK),
        (asked(Side.CLIENT, 4, soft=True), Party.PBX),
        (asked(Side.CLIENT, 8, soft=True), Party.PBX),
        (asked(Side.CLIENT, 32, soft=True), Party.PBX),
        (asked(Side.CLIENT, 16, soft=True), None),
        (asked(Side.CLIENT, None, soft=True), None),
    ],
)
def test_a_single_request_speaks_for_its_party(request_: HangupRequest, party: Party | None):
    assert requester(request_) is party
