"""Requests over FastAGI: by Asterisk, and by others."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsteward.agi.request import MAX_BYTES, AgiError, AgiRequest, parse, set_variable

# As Asterisk 22 sent it.
BLOCK = b"""agi_network: yes
agi_network_script: arrival?x=1&y=2
agi_request: agi://127.0.0.1:4573/arrival?x=1&y=2
agi_channel: PJSIP/trunk-00000002
agi_language: ru
agi_type: PJSIP
agi_uniqueid: 1795327299.9
agi_version: 22.10.1
agi_callerid: 79031234567
agi_calleridname: A "x
agi_callingpres: 0
agi_dnid: unknown
agi_rdnis: unknown
agi_context: from-trunk
agi_extension: 100
agi_priority: 1
agi_enhanced: 0.0
agi_accountcode: 
agi_threadid: 139874690844352
agi_arg_1: one
agi_arg_2: two

"""  # noqa: W291


def test_a_request_as_asterisk_sends_it() -> None:
    assert parse(BLOCK) == AgiRequest(
        script="arrival",
        channel_id="1795327299.9",
        channel="PJSIP/trunk-00000002",
        caller="79031234567",
        called="100",
        context="from-trunk",
        language="ru",
        params={"x": "1", "y": "2"},
        args=("one", "two"),
    )


def test_a_withheld_number_is_read_as_no_number() -> None:
    assert parse(BLOCK.replace(b"79031234567", b"unknown")).caller is None
    assert parse(BLOCK.replace(b"agi_callerid: 79031234567\n", b"")).caller is None


def test_the_dialled_number_wins_over_the_extension() -> None:
    assert parse(BLOCK.replace(b"agi_dnid: unknown", b"agi_dnid: 74950000000")).called == "74950000000"


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (b"", "without agi_network_script"),
        (b"\n\n", "without agi_network_script"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "is not `agi_name: value`"),
        (b"agi_network_script: arrival\n\n", "without agi_network_script or agi_uniqueid"),
        (BLOCK.replace(b"1795327299.9", b"../../etc"), "agi_uniqueid"),
        (BLOCK.replace(b"1795327299.9", b"x" * 151), "agi_uniqueid"),
        (BLOCK.replace(b"1795327299.9", b""), "agi_uniqueid"),
        # A caller name with a line break in it must not become a line of its own.
        (BLOCK.replace(b'A "x', b"A\nagi_extension: 900"), "agi_extension is there twice"),
        (BLOCK.replace(b'A "x', b"A\nnonsense"), "is not `agi_name: value`"),
        (BLOCK.replace(b"arrival?x=1&y=2", b"?x=1"), "names no script"),
        (BLOCK.replace(b"arrival?x=1&y=2", b"../arrival"), "names no script"),
        (BLOCK.replace(b"arrival?x=1&y=2", b"ARRIVAL"), "names no script"),
        (BLOCK.replace(b"arrival?x=1&y=2", b"a" * 33), "names no script"),
        (BLOCK.replace(b"arrival?x=1&y=2", b"arrival?x"), "cannot be read"),
        (BLOCK.replace(b"arrival?x=1&y=2", b"//[arrival"), "cannot be read"),
        (BLOCK.replace(b"arrival?x=1&y=2", b"arrival?x=1&x=2"), "a parameter is in the URL twice"),
        (BLOCK.replace(b"arrival?x=1&y=2", b"arrival?" + b"&".join(b"%d=1" % n for n in range(17))), "read"),
        (b"agi_network_script: arrival\n" * 2, "agi_network_script is there twice"),
        (BLOCK + b"x" * MAX_BYTES, "more than"),
    ],
)
def test_a_broken_request_is_refused(broken: bytes, why: str) -> None:
    with pytest.raises(AgiError, match=re.escape(why)):
        parse(broken)


@given(st.binary(max_size=400))
def test_any_bytes_are_parsed_or_refused(block: bytes) -> None:
    try:
        request = parse(block)
    except AgiError:
        return
    assert request.script


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["agi_network_script", "agi_uniqueid", "agi_callerid", "agi_arg_1", "agi_x"]),
            st.text(max_size=60),
        ),
        max_size=12,
    )
)
def test_any_values_are_parsed_or_refused(lines: list[tuple[str, str]]) -> None:
    block = "".join(f"{name}: {value}\n" for name, value in lines).encode("utf-8", "replace") + b"\n"
    try:
        request = parse(block)
    except AgiError:
        return
    assert re.fullmatch(r"[a-z][a-z-]*", request.script)
    assert re.fullmatch(r"[A-Za-z0-9_.:-]+", request.channel_id)


@given(st.text())
def test_no_value_ends_its_command(value: str) -> None:
    command = set_variable("CALLSTEWARD_X", value)
    assert command.endswith(b'"\n')
    assert command.count(b"\n") == 1
    # As Asterisk reads it: a quote ends the argument unless a backslash stands before it.
    inner = command.decode().removeprefix('SET VARIABLE CALLSTEWARD_X "').removesuffix('"\n')
    assert re.fullmatch(r'(?:[^"\\]|\\.)*', inner)


@pytest.mark.parametrize(
    "name", ["", "x", "A B", 'A"', "A\n", "1A", *[mark for mark in string.punctuation if mark != "_"]]
)
def test_only_a_name_names_a_variable(name: str) -> None:
    with pytest.raises(ValueError, match="not a variable's name"):
        set_variable(name, "x")
