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
    """Why a client is not called, whatever the call is for. The guard's refusals stand beside these."""

    NO_NUMBER = "no_number"
    DO_NOT_CALL = "do_not_call"
    CALLING_HOURS = "calling_hours"
