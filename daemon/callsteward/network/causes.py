"""Why a connection failed, in an admin's words and with what to do about it.

Libraries wrap the operating system's or TLS's message in texts of their own ("Cannot connect to host …
ssl:default [Connect call failed …]"). The original error is found within, whichever library wrapped it.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterator
from typing import NamedTuple

from callsteward.exceptions import CallstewardError

_ERRNO = re.compile(r"\[Errno (\d+)\]")
# OpenSSL's x509_vfy.h.
_NOT_YET_VALID, _EXPIRED = 9, 10
_NOT_TRUSTED = frozenset({2, 18, 19, 20, 21, 27})
_OTHER_NAME = frozenset({62, 64})


class Cause(NamedTuple):
    """A fault, and how to mend it (empty if that is not known)."""

    what: str
    mend: str = ""


def cause(error: BaseException, section: str) -> Cause:
    """The cause of an error. `section`: the section of the configuration whose keys mend it."""
    if isinstance(error, CallstewardError):
        return Cause(str(error))  # in plain words already, and about more than the error it was made of
    inner = list(_within(error))
    for one in inner:
        found = _certificate(one, section) or _tls(one, section) or _name(one)
        if found is not None:
            return found
    for one in inner:
        found = _system(one) or _protocol(one, section)
        if found is not None:
            return found
    if any(isinstance(one, ssl.SSLError) for one in inner):
        return Cause("the TLS connection failed", "is that its TLS port?")
    if isinstance(error, OSError) and error.errno:
        return Cause(_plain(error))
    text = str(error).strip()
    return Cause(text if text and "\n" not in text else type(error).__name__)


def told(error: BaseException, section: str) -> str:
    """The same as one text. An error that callsteward itself raised has its text already."""
    if isinstance(error, CallstewardError):
        return str(error)
    what, mend = cause(error, section)
    return f"{what}: {mend}" if mend else what


def of_disk(error: BaseException) -> str:
    """Why a file cannot be written or read, and what to do about it."""
    if not isinstance(error, OSError) or not error.errno:
        return str(error).strip() or type(error).__name__
    return _DISK.get(error.errno) or _plain(error)


def _plain(error: OSError) -> str:
    """The system's own text, without the number."""
    words = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else str(error)
    return f"{error.filename}: {words}" if error.filename else words


_DISK = {
    errno.ENOSPC: "the disk is full: make room",
    errno.EDQUOT: "the quota of the user callsteward runs as is used up: make room, or raise it",
    errno.EIO: "the disk reports an error: see the system's log",
    errno.EROFS: "the disk is read-only: see the system's log",
}


def _within(error: BaseException | None) -> Iterator[BaseException]:
    """The error and the errors it was made of."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        # aiohttp and SQLAlchemy keep the inner error in attributes of their own.
        kept = (getattr(one, name, None) for name in ("os_error", "certificate_error", "orig", "reason"))
        waiting += [*kept, one.__cause__, one.__context__, *getattr(one, "exceptions", ())]


def _certificate(error: BaseException, section: str) -> Cause | None:
    # aiohttp's error is an OSError without a code, too: the inner error has one.
    code = getattr(error, "verify_code", None)
    if not isinstance(error, ssl.SSLCertVerificationError) or code is None:
        return None
    if code == _EXPIRED:
        return Cause("its certificate has expired", "renew the certificate there")
    if code == _NOT_YET_VALID:
        return Cause("its certificate is not valid yet", "compare the clocks of both machines")
    if code in _OTHER_NAME:
        return Cause(
            "its certificate is made out for another name",
            f"write the name in the certificate into [{section}]",
        )
    if code in _NOT_TRUSTED:
        return Cause(
            "its certificate is signed by nobody this machine trusts",
            f"name the CA that signed it, or a self-signed certificate itself, in {section}.ca_file",
        )
    return Cause(f"its certificate is refused: {error.verify_message}")


def _tls(error: BaseException, section: str) -> Cause | None:
    if not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLCertVerificationError):
        return None
    told = getattr(error, "reason", None)
    if not told:
        return None
    reason = str(told).lower().replace("_", " ")
    if "certificate required" in reason:
        return Cause("it asks for a client certificate", f"set {section}.cert_file and {section}.key_file")
    if "wrong version" in reason or "record layer" in reason or "unknown protocol" in reason:
        return Cause("it does not speak TLS on this port", "name its TLS port, or connect without TLS")
    return Cause(f"the TLS connection failed ({reason})", "is that its TLS port?")


def _name(error: BaseException) -> Cause | None:
    if not isinstance(error, socket.gaierror):
        return None
    return Cause("there is no such host name", "is it spelt right, and does this machine's DNS know it?")


def _system(error: BaseException) -> Cause | None:
    if isinstance(error, TimeoutError):
        return Cause("no answer in time", "does a firewall stand between, is the machine up?")
    if not isinstance(error, OSError):
        return None
    told = _ERRNO.search(str(error))
    number = error.errno if error.errno is not None else int(told[1]) if told else None
    return _SYSTEM.get(number) if number is not None else None


_SYSTEM = {
    errno.ECONNREFUSED: Cause("nothing listens there", "is it running, are host and port right?"),
    errno.ECONNRESET: Cause("it closed the connection at once", "is that the right port?"),
    errno.EPIPE: Cause("it closed the connection at once", "is that the right port?"),
    errno.EHOSTUNREACH: Cause("there is no way to that host", "is the address right, is the machine up?"),
    errno.ENETUNREACH: Cause("there is no way to that network", "is the address right?"),
    errno.ETIMEDOUT: Cause("no answer in time", "does a firewall stand between, is the machine up?"),
    errno.EACCES: Cause("the system forbids it", "does a firewall or the unit's sandbox forbid it?"),
    errno.EPERM: Cause("the system forbids it", "does a firewall or the unit's sandbox forbid it?"),
    errno.EMFILE: Cause("this process has too many files open", "raise LimitNOFILE in the unit"),
    errno.ENOENT: Cause("there is no such file or socket"),
}


def _protocol(error: BaseException, section: str) -> Cause | None:
    # By name: a library that only one part of the daemon needs is not imported for the others.
    kind = type(error).__name__
    if kind.startswith("Mqtt"):
        return _mqtt(error, kind, section)
    if kind == "UnansweredError":
        return Cause(
            "the broker ended the connection without an answer",
            "is that its port, does it ask for TLS? Its log says why",
        )
    if kind in {"ServerDisconnectedError", "ClientOSError"}:
        return Cause("it closed the connection at once", "is that the right port?")
    if kind in {"BadStatusLine", "BadHttpMessage", "ClientPayloadError"} or "Expected HTTP/" in str(error):
        return Cause("what answers there does not speak HTTP", "is that the right port?")
    if kind == "WSServerHandshakeError":
        return Cause(f"it answered {getattr(error, 'status', '')} where a websocket was asked for")
    return None


def _mqtt(error: BaseException, kind: str, section: str) -> Cause | None:
    """The broker's answer, or that the connection to it ended."""
    code = getattr(error, "rc", None)
    answered = kind == "MqttConnectError" or hasattr(code, "value")
    code = getattr(code, "value", code)
    if answered and isinstance(code, int):
        what, mend = _MQTT.get(code, (f"the broker ended the connection ({error})", "see the broker's log"))
        return Cause(what, mend.format(section))
    # Otherwise it is the number of an error within the library, or none.
    if isinstance(code, int) or str(error).startswith("Disconnected"):
        return Cause("the connection was lost", "is the broker running, does the network hold?")
    return None


_LOGIN = ("the broker refused the user name or password", "compare {0}.username and its password")
_VERSION = ("the broker does not speak this version of MQTT", "set {0}.version to what it speaks")
_CLIENT_ID = ("the broker refused the client id", "set {0}.client_id to one that it lets in")
_AWAY = ("the broker takes no connection at the moment", "see the broker's log")
# Reasons in a broker's answer to CONNECT, and for ending a connection: MQTT 3.1.1 (table 3.1), MQTT 5 (2.4).
_MQTT = {
    1: _VERSION,
    2: _CLIENT_ID,
    3: _AWAY,
    4: _LOGIN,
    5: _LOGIN,
    128: ("the broker ended the connection without a reason", "see the broker's log"),
    132: _VERSION,
    133: _CLIENT_ID,
    134: _LOGIN,
    135: _LOGIN,
    136: _AWAY,
    137: _AWAY,
    138: ("the broker has banned this client", "see the broker's log"),
    139: ("the broker is shutting down", "is it restarted?"),
    141: ("the broker received nothing within the keep-alive time", "raise {0}.keepalive_s"),
    142: (
        "another client has connected with the same client id",
        "give each daemon a site.name or {0}.client_id of its own",
    ),
    149: ("a message was larger than the broker takes", "raise its message_size_limit"),
    151: ("the broker's quota is used up", "raise its quota"),
    152: ("the broker's administrator ended the connection", "see the broker's log"),
}
