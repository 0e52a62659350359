"""Whatever happens to a list of numbers, it is imported whole or not at all."""

from hypothesis import given
from hypothesis import strategies as st

from callsteward.config import Config
from callsteward.exceptions import CallstewardError
from callsteward.outgoing import number_file
from callsteward.outgoing.guard import Guard

read = Guard(Config()).read

COMMENTS = st.sampled_from(
    ["", "asked", "просил", "asked, twice", "a; b", 'LLC "Sun"', "on the phone\nand again", "'quoted'"]
)


@st.composite
def lists(draw: st.DrawFn) -> tuple[str, int]:
    """A table as a spreadsheet saves it, and how many numbers stand in it."""
    delimiter = draw(st.sampled_from([",", ";", "\t"]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    comments = draw(st.lists(COMMENTS, min_size=1, max_size=12))
    quoted = draw(st.booleans())

    def cell(text: str) -> str:
        if quoted or any(char in text for char in '"\n,;\t'):
            return '"' + text.replace('"', '""') + '"'
        return text

    lines = [f"790000000{place:02}{delimiter}{cell(text)}" for place, text in enumerate(comments, 1)]
    if draw(st.booleans()):
        lines.insert(0, f"number{delimiter}comment")
    return end.join(lines) + draw(st.sampled_from(["", end])), len(comments)


def imported(text: str) -> int | None:
    """How many numbers were read; None where the file was refused."""
    found: list[str] = []

    def take(entry: number_file.NumberRow) -> str:
        found.append(entry.number)
        return ""

    try:
        taken = number_file.each(text, "list.csv", read, take)
    except CallstewardError:
        return None
    assert taken == len(found)
    return taken


@given(lists())
def test_a_list_as_a_spreadsheet_saves_it_is_read_whole(made):
    text, numbers = made
    assert imported(text) == numbers


@given(lists(), st.data())
def test_a_list_that_was_damaged_is_read_whole_or_refused(made, data):
    text, numbers = made
    place = data.draw(st.integers(0, len(text)))
    if data.draw(st.booleans()):
        damaged = text[:place] + data.draw(st.sampled_from(['"', '""', "'"])) + text[place:]
    else:
        quotes = [at for at, char in enumerate(text) if char == '"'] or [len(text)]
        at = data.draw(st.sampled_from(quotes))
        damaged = text[:at] + text[at + 1 :]
    assert imported(damaged) in {numbers, None}


@given(st.text(alphabet='+7903 12,;\t"\n\rE.абв', max_size=200))
def test_no_text_breaks_the_reader(text):
    imported(text)
