"""Reading a tag from text that anybody may have written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsteward.record.tag import Given, Tag, TagError, parse, read


@pytest.mark.parametrize(
    ("written", "tag", "value"),
    [
        ("dropped", Tag.DROPPED, ""),
        ("dnc", Tag.DNC, ""),
        ("atypical", Tag.ATYPICAL, ""),
        ("registered", Tag.REGISTERED, ""),
        ("complaint", Tag.COMPLAINT, ""),
        ("ticket=INC-1042", Tag.TICKET, "INC-1042"),
        ("ticket=1", Tag.TICKET, "1"),
        ("ticket=A/7#3.b_c", Tag.TICKET, "A/7#3.b_c"),
        ("comment=  перезвонить после обеда  ", Tag.COMMENT, "перезвонить после обеда"),
        ("comment=a=b", Tag.COMMENT, "a=b"),
        ("comment=" + "x" * 500, Tag.COMMENT, "x" * 500),
    ],
)
def test_texts_that_are_a_tag(written, tag, value):
    assert parse(written) == Given(tag, value)
    assert parse(str(parse(written))) == Given(tag, value)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "=",
        "=1",
        "drop",
        "DROPPED",
        " dropped",
        "dropped=1",
        "dropped=",
        "dnc=+79031234567",
        "ticket",
        "ticket=",
        "ticket= 1",
        "ticket=-1",
        "ticket=a b",
        "ticket=1\n",
        "ticket=" + "1" * 65,
        "ticket=№1",
        "ticket=${EXTEN}",
        "comment",
        "comment=",
        "comment=   ",
        "comment=" + "x" * 501,
        "comment=a\nb",
        "comment=a\x00b",
        "comment=a\x1b[31m",
        "comment=a\u202eb",
        "comment=a\u2028b",
        "comment=a\ud800b",
        "tag\u0000=1",
    ],
)
def test_texts_that_are_no_tag_are_refused_in_words(written):
    with pytest.raises(TagError) as error:
        parse(written)
    assert str(error.value).isprintable()


@given(st.text(max_size=40), st.text(max_size=600))
def test_any_input_is_a_tag_or_refused(name, value):
    try:
        found = read(name, value)
    except TagError:
        return
    assert len(found.value) <= 500
    assert found.value.isprintable() or found.tag is Tag.COMMENT
    assert read(found.tag.value, found.value) == found
