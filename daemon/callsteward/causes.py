"""Why a connection failed, in an admin's words and with what to do about it.

Libraries wrap what the operating system or TLS said in texts of their own ("Cannot connect to host …
ssl:default [Connect call failed …]"). What was said is found within, whoever wrapped it.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from typing import NamedTuple

_ERRNO = re.compile(r"\[Errno (\d+)\]")
# OpenSSL's x509_vfy.h.
_NOT_YET_VALID, _EXPIRED = 9, 10
_NOT_TRUSTED = frozenset({2, 18, 19, 20, 21, 27})
_OTHER_NAME = frozenset({62, 64})
# MQTT 3.1.1 (table 3.1) and MQTT 5 (2.4): what a broker refuses a connection with.
_MQTT_LOGIN = frozenset({4, 5, 134, 135})


class Cause(NamedTuple):
    """What is the matter, and what mends it (empty where that is not told)."""

    what: str
    mend: str = ""


def cause(error: BaseException, section: str) -> Cause:
    """Why it failed. `section`: of the configuration, for the keys that mend it."""
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
        return Cause("no TLS connection came about", "is that its TLS port?")
    text = str(error).strip()
    return Cause(text if text and "\n" not in text else type(error).__name__)


def _within(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was made of."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        # aiohttp and SQLAlchemy keep the inner error under names of their own.
        kept = (getattr(one, name, None) for name in ("os_error", "certificate_error", "orig", "reason"))
        waiting += [*kept, one.__cause__, one.__context__, *getattr(one, "exceptions", ())]


def _certificate(error: BaseException, section: str) -> Cause | None:
    # aiohttp's error is of this kind too, and has no code: the one within has.
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
        return Cause("it asks for a certificate of ours", f"set {section}.cert_file and {section}.key_file")
    if "wrong version" in reason or "record layer" in reason or "unknown protocol" in reason:
        return Cause("it does not speak TLS on this port", "name its TLS port, or connect without TLS")
    return Cause(f"no TLS connection came about ({reason})")


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
    code = getattr(error, "rc", None)
    code = getattr(code, "value", code)
    if isinstance(code, int) and code in _MQTT_LOGIN:
        return Cause(
            "the broker refused the user name or password", f"compare {section}.username and its password"
        )
    # By name: what the daemon needs for one part alone is not imported for the others.
    kind = type(error).__name__
    if kind in {"ServerDisconnectedError", "ClientOSError"}:
        return Cause("it closed the connection at once", "is that the right port?")
    if kind in {"BadStatusLine", "BadHttpMessage", "ClientPayloadError"} or "Expected HTTP/" in str(error):
        return Cause("what answers there does not speak HTTP", "is that the right port?")
    if kind == "WSServerHandshakeError":
        return Cause(f"it answered {getattr(error, 'status', '')} where a websocket was asked for")
    return None
