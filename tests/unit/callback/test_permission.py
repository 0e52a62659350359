"""A client who comes onto the do-not-call list is not called, in whichever state their callback is.

The list is changed here behind the daemon's back, as the command line or another site does it.
"""

import pytest

from callsteward.ari import events as ari
from callsteward.callback.states import CallbackMoved, CallbackState
from callsteward.exceptions import AriError, StoreError
from callsteward.outgoing.words import Actor
from callsteward.outgoing.work import LISTED
from callsteward.store.records import Store
from tests.unit.callback.test_execution import Hotline

E164 = "+79031234567"
CHANNEL = "callsteward-cb-1.1-1-support"
GO = "CALLSTEWARD_GO_1.1_1"


@pytest.fixture
def hotline(store: Store) -> Hotline:
    return Hotline(store)


async def listed(hotline: Hotline) -> None:
    """Another process puts the client on the list."""
    assert await hotline.dnc.add([E164], by="cli") == 1


async def ended(hotline: Hotline) -> tuple[CallbackState, str]:
    found = await hotline.ledger.find("1.1")
    assert found is not None
    return found.state, found.reason


async def answered(hotline: Hotline) -> None:
    """An operator has taken the callback, and the dialplan asks."""
    await hotline.drop()
    await hotline.work()
    hotline.says("operator_answered")
    hotline.says("may_call")


async def test_no_operator_is_rung_for_a_client_who_has_come_onto_the_list(hotline: Hotline) -> None:
    await hotline.drop()
    await listed(hotline)
    for _ in range(3):
        await hotline.work(30)
    assert hotline.pbx.originated == []
    assert await ended(hotline) == (CallbackState.CANCELLED, "do_not_call")
    assert hotline.told_states == ["due", "cancelled"]
    moved = hotline.told[-1]
    assert isinstance(moved, CallbackMoved)
    assert (moved.actor, moved.callback.reason) == (Actor.DAEMON, "do_not_call")
    steps = await hotline.ledger.story(moved.callback)
    assert steps[-1].evidence == LISTED


async def test_the_number_is_guarded_once_more_before_an_operator_is_rung(store: Store) -> None:
    """The configuration was changed while the callback waited."""
    hotline = Hotline(store)
    await hotline.drop()
    denied = hotline.config.callback.model_copy(update={"denied_prefixes": ("+7903",)})
    hotline.config = hotline.config.model_copy(update={"callback": denied})
    hotline.restart()
    await hotline.work()
    assert hotline.pbx.originated == []
    assert await ended(hotline) == (CallbackState.SUPPRESSED, "denied_prefix")


async def test_the_list_is_read_in_the_step_that_allows_the_ring(hotline: Hotline) -> None:
    """No phone rings for a client who comes onto the list after the daemon has read it."""
    await hotline.drop()
    (callback,) = await hotline.ledger.opened()
    await listed(hotline)
    offered = await hotline.ledger.move(
        callback,
        CallbackState.OFFERED,
        actor=Actor.DAEMON,
        at_ms=hotline.now_ms,
        asked="101",
        channel_id=CHANNEL,
    )
    assert offered is None
    assert await hotline.state() is CallbackState.DUE


async def test_an_operators_phone_that_rings_stops(hotline: Hotline) -> None:
    await hotline.drop()
    await hotline.work()
    assert await hotline.state() is CallbackState.OFFERED
    await listed(hotline)
    await hotline.work(1)
    assert hotline.pbx.hung_up == [CHANNEL]
    assert await ended(hotline) == (CallbackState.CANCELLED, "do_not_call")


async def test_a_phone_that_rang_when_the_link_was_lost_stops_when_it_is_back(hotline: Hotline) -> None:
    await hotline.drop()
    await hotline.work()
    hotline.execution.link(False)
    await listed(hotline)
    await hotline.work(1)
    assert hotline.pbx.hung_up == []
    assert await ended(hotline) == (CallbackState.CANCELLED, "do_not_call")
    hotline.execution.link(True)
    await hotline.work(1)
    assert hotline.pbx.hung_up == [CHANNEL]


async def test_an_operator_who_answered_is_let_through_once_and_the_go_is_taken_back(
    hotline: Hotline,
) -> None:
    await answered(hotline)
    await hotline.work()
    assert hotline.pbx.globals == {GO: "1"}
    await hotline.work(0.1)
    assert hotline.pbx.globals == {GO: "1"}
    hotline.says("dialling")
    await hotline.work(0.1)
    assert hotline.pbx.globals == {}
    assert hotline.pbx.hung_up == []


async def test_between_the_operators_answer_and_the_dial_the_list_is_asked_again(hotline: Hotline) -> None:
    await answered(hotline)
    await listed(hotline)
    await hotline.work()
    assert hotline.pbx.globals == {}
    assert set(hotline.pbx.hung_up) == {CHANNEL}
    assert await ended(hotline) == (CallbackState.CANCELLED, "do_not_call")


async def test_a_callback_that_was_given_up_meanwhile_lets_nobody_through(hotline: Hotline) -> None:
    await answered(hotline)
    (callback,) = await hotline.ledger.opened()
    await hotline.ledger.move(callback, CallbackState.CANCELLED, actor=Actor.ADMIN, at_ms=hotline.now_ms)
    await hotline.work()
    assert hotline.pbx.globals == {}
    assert set(hotline.pbx.hung_up) == {CHANNEL}


@pytest.mark.parametrize("rings", [True, False])
async def test_an_operator_is_not_let_through_to_a_client_dialled_already(
    hotline: Hotline, rings: bool
) -> None:
    """Another operator's phone, or a journal that is run again under the talk: nobody is cut off."""
    await answered(hotline)
    hotline.says("dialling")
    if not rings:
        hotline.says("over", status="ANSWER")
    await hotline.work()
    for attempt in (1, 2):
        hotline.says("may_call", attempt=attempt)
    await listed(hotline)
    hotline.pbx.context = "callsteward-callback-dial"
    hotline.execution.link(True)
    await hotline.work()
    assert hotline.pbx.globals == {}
    assert hotline.pbx.hung_up == []


async def test_while_the_store_fails_nobody_is_let_through(
    hotline: Hotline, monkeypatch: pytest.MonkeyPatch
) -> None:
    await answered(hotline)

    async def fails(_callback: object) -> bool:
        message = "cannot read the database"
        raise StoreError(message)

    with monkeypatch.context() as patched:
        patched.setattr(hotline.ledger, "forbids", fails)
        with pytest.raises(StoreError):
            await hotline.work()
    assert hotline.pbx.globals == {}
    # The dialplan's question is not lost.
    await hotline.work()
    assert hotline.pbx.globals == {GO: "1"}


async def test_an_operator_whom_nobody_let_through_spends_no_attempt_on_the_client(hotline: Hotline) -> None:
    await hotline.drop()
    await hotline.work()
    hotline.says("operator_answered")
    hotline.pbx.refuse = AriError("Asterisk answered 500")
    hotline.says("may_call")
    await hotline.work()
    hotline.pbx.refuse = None
    hotline.says("unasked")
    hotline.gone(cause=16)
    await hotline.work(1)
    assert [offer["endpoint"] for offer in hotline.pbx.offers] == ["PJSIP/101", "PJSIP/102"]
    (callback,) = await hotline.ledger.opened()
    reasons = [step.reason for step in await hotline.ledger.story(callback)]
    assert reasons == ["mid_dialogue_drop", "", "", "not_asked_in_time", ""]


@pytest.mark.parametrize(
    ("channel", "attempt"),
    [
        ("callsteward-cb-9.9-1-support", "1"),
        ("1795313835.6", "1"),
        (CHANNEL, "1} & System(x)"),
        (CHANNEL, ""),
    ],
)
async def test_only_a_callbacks_own_channel_is_answered(hotline: Hotline, channel: str, attempt: str) -> None:
    """Any dialplan may send a UserEvent."""
    await hotline.drop()
    await hotline.work()
    fields: dict[str, object] = {
        "eventname": "callsteward",
        "cb": "1.1",
        "state": "may_call",
        "attempt": attempt,
    }
    hotline.pbx.alive.add(channel)
    hotline.execution.hear(
        ari.ChannelUserevent(
            eventname="callsteward", userevent=fields, channel=ari.Channel(channel, "PJSIP/x")
        )
    )
    await hotline.work()
    assert hotline.pbx.globals == {}
    assert hotline.pbx.hung_up == []


async def test_a_client_whose_phone_rings_is_rung_no_longer(hotline: Hotline) -> None:
    await answered(hotline)
    hotline.says("dialling")
    await hotline.work()
    await listed(hotline)
    for _ in range(3):
        await hotline.work(1)
    assert hotline.pbx.hung_up == [CHANNEL]
    hotline.says("over", status="CANCEL", cause="16")
    hotline.gone(cause=16)
    await hotline.work(1)
    assert await ended(hotline) == (CallbackState.NOT_REACHED, "do_not_call")


async def test_a_client_who_may_be_talking_is_not_cut_off(hotline: Hotline) -> None:
    """The link was lost while the client's phone rang: they may have answered meanwhile."""
    await answered(hotline)
    hotline.says("dialling")
    await hotline.work()
    hotline.execution.link(False)
    await listed(hotline)
    hotline.execution.link(True)
    await hotline.work(1)
    assert hotline.pbx.hung_up == []
    hotline.says("over", status="ANSWER")
    await hotline.work(1)
    assert await ended(hotline) == (CallbackState.REACHED, "answered")


async def test_a_starting_daemon_finds_clients_who_came_onto_the_list_while_none_ran(
    hotline: Hotline,
) -> None:
    await hotline.drop()
    await listed(hotline)
    hotline.restart()
    await hotline.decisions.load()
    await hotline.work(1)
    assert hotline.pbx.originated == []
    assert await ended(hotline) == (CallbackState.CANCELLED, "do_not_call")


async def test_other_clients_are_called_all_the_same(hotline: Hotline) -> None:
    await hotline.drop()
    await hotline.drop("1.2", "79000000001")
    await listed(hotline)
    await hotline.work(30)
    assert [offer["channelId"] for offer in hotline.pbx.offers] == ["callsteward-cb-1.2-1-support"]
