"""The lab's errors."""


class LabError(Exception):
    """Something in the lab went wrong; the message says what to do."""


class LabUnavailable(LabError):  # noqa: N818 - a state of the machine, not a mistake
    """The lab cannot exist on this machine (tests skip with this reason)."""
