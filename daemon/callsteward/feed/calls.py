"""Which facts of calls become messages, and the topics of the feed itself."""

from __future__ import annotations

from callsteward.feed import messages
from callsteward.feed.backlog import MessageKind
from callsteward.feed.gauge_messages import LineNowMessage, OperatorNowMessage
from callsteward.feed.messages import AlertMessage, CallEndedMessage, CallEventMessage, DaemonAlertMessage
from callsteward.feed.status_message import StatusMessage
from callsteward.feed.tell import Tell, Topic
from callsteward.record.facts import Alert, CallEnded, CallHappened, CallTagged
from callsteward.store.message import RECORD

TELLS = (
    Tell(
        fact=CallEnded,
        message=lambda _, fact: messages.call_ended(fact.record),
        topic=lambda fact: ("calls", fact.record.line, "ended"),
        durable=RECORD,
        message_id=lambda _, fact: messages.ended_id(fact.record),
        line=lambda fact: fact.record.line,
        at_once=True,
    ),
    Tell(
        fact=Alert,
        message=messages.alert,
        topic=lambda fact: ("alerts", fact.line, fact.rule),
        kind=MessageKind.ALERT,
    ),
    Tell(
        fact=CallHappened,
        message=messages.call_event,
        topic=lambda fact: ("calls", fact.line, "events"),
        kind=MessageKind.EVENT,
    ),
    Tell(
        fact=CallTagged,
        message=messages.call_tag,
        topic=lambda fact: ("calls", fact.line, "events"),
        kind=MessageKind.EVENT,
    ),
)
TOPICS = {
    "status": Topic("status", StatusMessage, retained=True),
    "lineNow": Topic("lines/{line}/now", LineNowMessage, retained=True),
    "operatorNow": Topic("operators/{operator}/now", OperatorNowMessage, retained=True),
    "callEnded": Topic("calls/{line}/ended", CallEndedMessage),
    "callEvents": Topic("calls/{line}/events", CallEventMessage),
    "alerts": Topic("alerts/{line}/{rule}", AlertMessage),
    "daemonAlerts": Topic("alerts/$daemon/{rule}", DaemonAlertMessage),
}
