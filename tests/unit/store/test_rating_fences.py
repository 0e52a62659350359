"""Comments that an earlier version forgot before Asterisk had deleted them are asked for again."""

from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from callsteward.rating.ledger import RatingLedger
from callsteward.store.engine import async_url, migrate
from callsteward.store.records import Store

INSERT = (
    "INSERT INTO ratings (site, call_id, rating_id, mode, line, state, reason, comment_file, comment_ms,"
    " created_at_ms, due_at_ms, changed_at_ms, attempts) VALUES"
    " ('main', :id, :id, 'stay', 'support', 'answered', '', :file, :ms, 0, 0, 0, 0)"
)


async def test_a_forgotten_comment_has_its_name_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/calls.db"
    engine = create_async_engine(async_url(url))
    async with engine.begin() as connection:
        await connection.run_sync(migrate, "0009")
        for call_id, file, ms in (("1.1", None, 4200), ("1.2", None, None), ("1.3", "kept", 100)):
            await connection.execute(text(INSERT), {"id": call_id, "file": file, "ms": ms})
    await engine.dispose()
    store = await Store.open(url)
    ledger = RatingLedger(store.engine, "main")
    left = await ledger.kept_until(1, limit=20)
    assert [(item.call_id, item.comment_file) for item in left] == [
        ("1.1", "callsteward-rating-1.1"),
        ("1.3", "kept"),
    ]
    await store.close()
