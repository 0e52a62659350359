"""Every error callsteward raises on purpose. The message tells the reader what to do."""

from __future__ import annotations

from typing import Final

import msgspec

NOT_JSON: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
"""msgspec's exceptions for input from outside: no JSON, no Unicode, brackets nested without end.

They have no common base but Exception; code that decodes text written by others catches all three.
"""


class CallstewardError(Exception):
    """Root of all errors raised on purpose; the CLI prints its message without a traceback."""

    exit_code = 1


class ConfigError(CallstewardError):
    """The configuration file is wrong: the message names file, key, what is wrong, what is allowed."""

    exit_code = 2


class MalformedEventError(CallstewardError):
    """A frame that is not an ARI event: broken JSON, a missing field or a field of the wrong type."""


class AriError(CallstewardError):
    """Asterisk's REST interface could not be reached or refused a request."""


class AriUnauthorizedError(AriError):
    """Asterisk refused the ARI user name or password."""


class FeedError(CallstewardError):
    """The MQTT broker could not be reached or refused the daemon."""


class StoreError(CallstewardError):
    """The database could not be opened, migrated or written."""


class FencedError(StoreError):
    """Another daemon of the site acts: this one writes nothing."""


class ExposedStoreError(StoreError):
    """Everybody can read the database or a recording. As with the configuration, a restart mends nothing."""

    exit_code = 2
