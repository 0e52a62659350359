"""Lists of numbers as offices keep them: read whole, or refused with the line that is wrong."""

import codecs

import pytest

from callsteward.config import Config
from callsteward.exceptions import CallstewardError
from callsteward.outgoing import number_file, office_file
from callsteward.outgoing.guard import Guard

read = Guard(Config()).read
A, B = "+79031234567", "+79000000001"


def listed(text: str, column: str | None = None) -> dict[str, str]:
    """Numbers and their comments."""
    found: dict[str, str] = {}

    def take(entry: number_file.NumberRow) -> str:
        found[entry.number] = number_file.comment_of(entry)
        return ""

    assert number_file.each(text, "list.csv", read, take, column) == len(found)
    return found


def refused(text: str, column: str | None = None) -> list[str]:
    with pytest.raises(CallstewardError) as error:
        listed(text, column)
    said = str(error.value).splitlines()
    assert said[-1] == "nothing was imported"
    return said[:-1]


def many(count: int, comment: str = "asked") -> list[str]:
    return [f"790000000{number:02},{comment}" for number in range(1, count + 1)]


def test_one_quote_that_is_not_closed_does_not_swallow_the_lines_behind_it():
    lines = many(51)
    lines[0] = '79000000001,"asked on the phone'
    assert refused("\n".join(lines)) == [
        "list.csv:1: the quote opened here is closed nowhere: close it, or leave it out"
    ]


def test_a_quote_that_the_next_one_closes_by_chance_is_named():
    lines = many(20)
    lines[4] = '79000000005,"asked'
    lines[9] = '79000000010,"'
    (said,) = refused("\n".join(lines))
    assert said == (
        "list.csv:5: the quote opened here is closed in line 10 only, with 6 telephone numbers between:"
        " is a quote missing, or one too many?"
    )
    lines[9] = '79000000010,"asked"'
    assert refused("\n".join(lines)) == [
        "list.csv:5: the quote opened here runs on into line 10: is a quote missing, or one too many?"
    ]


def test_a_quote_within_quotes_is_named():
    assert refused('79031234567,"LLC "Sun" asked"\n') == [
        'list.csv:1: a quote within a cell in quotes: write it twice (""), or put no quotes around the cell'
    ]
    assert listed('79031234567,LLC "Sun"\n') == {A: 'LLC "Sun"'}


def test_a_comment_of_two_lines_is_one_comment():
    assert listed(f'number,comment\n{A},"asked\nagain, twice"\n{B},once\n') == {
        A: "asked again, twice",
        B: "once",
    }
    assert listed(f'"asked\nagain";{A}\n"once";{B}', "2") == {A: "asked again", B: "once"}


@pytest.mark.parametrize(
    "content",
    [
        "Телефон;Причина\r\n8 903 123-45-67;просил\r\n8 900 000-00-01;спам\r\n".encode("cp1251"),
        codecs.BOM_UTF8 + "Телефон;Причина\n89031234567;просил\n89000000001;спам\n".encode(),
        "Телефон\tПричина\n89031234567\tпросил\n89000000001\tспам\n".encode("utf-16"),
        "sep=;\r\nТелефон;Причина\r\n89031234567;просил\r\n89000000001;спам".encode(),
        'Причина,Телефон\n"просил","89031234567"\n"спам",89000000001\n'.encode(),
        "89031234567\tпросил\r89000000001\tспам\r".encode("cp1251"),
        # Characters that spreadsheets and address books put around a number.
        'Телефон;Причина\n="89031234567";просил\n'.encode()
        + "\u202a8\u00a0900\u00a0000\u201100\u201101\u202c;спам\n".encode(),
        "Телефон;Причина\n79031234567.0;просил\n'79000000001;спам\n".encode(),
    ],
    ids=["windows-1251", "utf-8 bom", "utf-16", "sep", "second column", "old mac", "dressed", "fraction"],
)
def test_files_as_offices_have_them(tmp_path, content):
    file = tmp_path / "list.csv"
    file.write_bytes(content)
    text = office_file.text_of(file).text
    column = "телефон" if text.startswith("Причина") else None
    assert listed(text, column) == {A: "просил", B: "спам"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04rest", "list.csv is a workbook of Excel: save it there as CSV UTF-8"),
        (b"79031234567\x00", "list.csv is no text"),
        ("79031234567;просил\n79000000001;про".encode() + b"\xd1\n", "list.csv:2: neither UTF-8 nor"),
        (b"79031234567;\x98\n", "list.csv:1: neither UTF-8 nor Windows-1251"),
    ],
    ids=["workbook", "binary", "damaged utf-8", "neither"],
)
def test_a_file_that_is_no_list_is_reported(tmp_path, content, said):
    file = tmp_path / "list.csv"
    file.write_bytes(content)
    with pytest.raises(CallstewardError) as error:
        office_file.text_of(file)
    assert said in str(error.value)


@pytest.mark.parametrize("text", ["", "\n \n", "\ufeff"])
def test_an_empty_file_is_reported(text, tmp_path):
    file = tmp_path / "list.csv"
    file.write_text(text)
    assert refused(office_file.text_of(file).text) == ["list.csv: the file is empty"]


def test_a_heading_may_have_a_digit_and_a_number_too_few_of_them():
    assert listed("Телефон 1;Причина\n89031234567;просил\n") == {A: "просил"}
    for first in ("12", "8-903-123", "7903l234567"):
        assert refused(f"{first}\n89031234567\n") == [f"list.csv:1: {first!r} is no telephone number"]


def test_a_heading_without_rows_is_reported():
    assert refused("Телефон;Причина\n") == ["list.csv: there is no telephone number in it"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Телефон;Имя\n79031234567;a\n7,9031E+10;b\n", "list.csv:3: '7,9031E+10'"),
        ("7.9031E+10,b\n", "list.csv:1: '7.9031E+10'"),
        ("79031234567,a\n7,9031E+10,b\n", "list.csv:2: '7,9031E+10'"),
    ],
)
def test_a_number_that_excel_rounded_is_named_as_such(text, said):
    (line,) = refused(text)
    assert line == (
        f"{said} is a number that Excel has rounded: its last digits are gone. In Excel give the column the"
        " format Number without decimal places, then save the file again"
    )


def test_numbers_in_another_column_are_proposed_and_never_guessed():
    text = "№;Клиент;Телефон\n1;Иванов;89031234567\n2;Петров;89000000001\n"
    (said,) = refused(text)
    assert said == (
        "list.csv: the telephone numbers seem to stand in column 3 (Телефон), not in the first: if so, add"
        " --column 3"
    )
    for column in ("3", "Телефон", "телефон"):
        assert listed(text, column) == {A: "1, Иванов", B: "2, Петров"}
    assert refused(text, "4") == ["list.csv: there is no column 4; the file has 3"]
    (said,) = refused(text, "Телефн")
    assert said == (
        "list.csv: there is no one column 'Телефн' in its heading: №, Клиент, Телефон;"
        " did you mean 'Телефон'?"
    )
    assert refused("89031234567\n", "Телефон") == [
        "list.csv: the file has no heading: say the column by its place, such as --column 2"
    ]


def test_two_columns_that_may_hold_the_numbers_are_asked_about():
    body = "7707083893;89031234567\n7707083893;89000000001\n"
    (said,) = refused(body)
    assert said == (
        "list.csv: telephone numbers may stand in column 1, column 2: say which with --column, such as"
        " --column 1"
    )
    # The heading decides; the option is proposed all the same.
    assert refused("ИНН;Телефон\n" + body)[0].endswith("add --column 2")
    assert listed("Телефон;ИНН\n89031234567;7707083893\n") == {A: "7707083893"}


def test_the_comment_is_the_cell_with_such_a_heading():
    text = "Телефон;Дата;Причина\n89031234567;29.11.2026;просил\n89000000001;29.11.2026;\n"
    assert listed(text) == {A: "просил", B: ""}


def test_a_delimiter_that_stands_in_comments_too_is_not_taken_for_one():
    assert listed("89031234567;asked, twice\n89000000001;called, wrote\n") == {
        A: "asked, twice",
        B: "called, wrote",
    }
    assert listed("number,comment\n89031234567,asked; twice\n89000000001,called; wrote\n") == {
        A: "asked; twice",
        B: "called; wrote",
    }
