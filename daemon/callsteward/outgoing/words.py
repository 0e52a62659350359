"""Words that callbacks and rating calls share: who made a step, and why a client is not called."""

from __future__ import annotations

from enum import StrEnum


class Actor(StrEnum):
    """Who moved it."""

    DAEMON = "daemon"
    ASTERISK = "asterisk"
    CLIENT = "client"
    OPERATOR = "operator"
    ADMIN = "admin"
    INTEGRATION = "integration"


class Against(StrEnum):
    """The reasons against any call to a client. The guard's refusals come on top of these."""

    NO_NUMBER = "no_number"
    DO_NOT_CALL = "do_not_call"
    CALLING_HOURS = "calling_hours"


class Met(StrEnum):
    """How a client had another contact, which is the reason against calling them back."""

    CALLED_AGAIN = "client_called_again"
    SPOKEN_TO = "client_spoken_to"
