from callsteward.feed.backlog import Backlog, MessageKind, Waiting


def _message(seq: int, kind: MessageKind = MessageKind.RECORD) -> Waiting:
    return Waiting(seq, kind, "topic", b"{}")


def test_messages_leave_in_the_order_they_came_whatever_their_kind() -> None:
    backlog = Backlog(10)
    for seq, kind in enumerate(
        [MessageKind.EVENT, MessageKind.RECORD, MessageKind.EVENT, MessageKind.ALERT, MessageKind.RECORD]
    ):
        backlog.put(_message(seq, kind))
    assert [item.seq for item in backlog.take(3)] == [0, 1, 2]
    assert [item.seq for item in backlog.take(3)] == [3, 4]
    assert backlog.take(3) == []


def test_a_flood_of_events_pushes_out_no_record() -> None:
    backlog = Backlog(3)
    backlog.put(_message(1))
    dropped = [backlog.put(_message(seq, MessageKind.EVENT)) for seq in range(2, 8)]
    assert [item.seq if item else None for item in dropped] == [None, None, None, 2, 3, 4]
    assert backlog.dropped == {MessageKind.RECORD: 0, MessageKind.ALERT: 0, MessageKind.EVENT: 3}
    assert [item.seq for item in backlog.take(10)] == [1, 5, 6, 7]


def test_unsent_messages_go_out_again_first() -> None:
    backlog = Backlog(10)
    for seq in range(1, 6):
        backlog.put(_message(seq, MessageKind.EVENT if seq % 2 else MessageKind.RECORD))
    taken = backlog.take(3)
    assert backlog.depth == 5
    backlog.unsent(taken)
    assert backlog.depth == 5
    assert [item.seq for item in backlog.take(10)] == [1, 2, 3, 4, 5]


def test_sent_messages_are_removed() -> None:
    backlog = Backlog(10)
    backlog.put(_message(1))
    backlog.sent(backlog.take(5))
    assert (backlog.depth, backlog.take(5)) == (0, [])
