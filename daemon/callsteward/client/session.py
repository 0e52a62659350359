"""One client, as a command asks for them: their data in the database, on disk and in Asterisk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec

from callsteward import features
from callsteward.ari.rest import HttpTransport, Rest, open_session
from callsteward.client.erasing import Eraser, Erasing
from callsteward.client.found import Found, find_at
from callsteward.client.on_disk import InJournal, in_journal
from callsteward.daemon.core import journal_path
from callsteward.exceptions import AriError
from callsteward.record.number import Numbers
from callsteward.store.engine import shown
from callsteward.store.overwritten import empty_log, overwriting
from callsteward.store.tables import ratings

if TYPE_CHECKING:
    from callsteward.config import Config
    from callsteward.store.records import Store


class SoughtClient(msgspec.Struct, frozen=True):
    """The client who is meant: by a number (E.164), or by a reference as the records have it."""

    number: str | None = None
    ref: str | None = None


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """The data held of a client."""

    database: str
    found: Found
    journal: InJournal | None

    @property
    def comments(self) -> list[str]:
        """Names of spoken comments that Asterisk keeps."""
        return [row["comment_file"] for row in self.found.rows.get(ratings.name, ()) if row["comment_file"]]


async def look(
    config: Config, store: Store, wanted: SoughtClient, sites: Sequence[str] | None = None
) -> Held:
    """Look everywhere for a client. `sites`: of the database; None for our own. Raises StoreError."""
    numbers = {wanted.number} if wanted.number is not None else set()
    refs = {wanted.ref} if wanted.ref is not None else set()
    if wanted.number is not None:
        ref = Numbers(config.site.region, config.privacy.key).ref(wanted.number)
        refs |= {ref} if ref is not None else set()
    found = await find_at(store.engine, sites or [config.site.name], numbers, refs)
    path = journal_path(config)
    journal = None if path is None else in_journal(path, config, found.numbers, found.refs)
    return Held(database=shown(config.store.url), found=found, journal=journal)


async def erase(
    config: Config,
    store: Store,
    held: Held,
    *,
    by: str,
    now_ms: Callable[[], int],
    also_do_not_call: bool = False,
) -> Erasing:
    """Erase what `look` found. Raises StoreError; may be asked again."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session(config.asterisk))
        rest = Rest(HttpTransport(session, config.asterisk))

        async def deleted(name: str) -> str:
            try:
                # If there is none of that name, the request succeeds, too.
                await rest.delete_recording(name)
            except AriError as error:
                return str(error)
            return ""

        eraser = Eraser(
            store.engine,
            config.site.name,
            plans=features.plans(),
            announce=features.announce(config),
            deleted=deleted,
            now_ms=now_ms,
            by=by,
            also_do_not_call=also_do_not_call,
        )
        with overwriting(store.engine):
            done = await eraser.erase(held.found)
    await asyncio.to_thread(empty_log, config.store.url)
    return done


def beyond(config: Config, held: Held) -> list[str]:
    """The places that callsteward cannot erase, or cannot know to be the client's, in words."""
    said = [
        "messages that were published over MQTT: subscribers and the broker have them",
        "Asterisk's own books, logs and recordings of calls (CDR, CEL, queue_log)",
        "files that were made of this data: backups, exports, `callsteward record`",
    ]
    if held.journal is not None and held.journal.events:
        said.append(
            f"{held.journal.events} events in the journal {held.journal.file}: the daemon takes them out when"
            " no call is on, or when the journal has grown to 8 MiB"
        )
    if config.privacy.key is None:
        said.append(
            "records without client_ref ([privacy] hmac_key is not set): beyond those found here a record has"
            " the masked number alone, which a thousand numbers share"
        )
    if held.found.elsewhere:
        names = ", ".join(held.found.elsewhere)
        said.append(f"what other sites in this database hold ({names}): run this with their configurations")
    return said
