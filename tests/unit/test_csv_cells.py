from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_usage import usage_record
from openai_proxy.page.csv_cells import csv_cell, csv_chunks, csv_rows
from openai_proxy.records import schema

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (12, "12"),
        (-12, "-12"),
        (Decimal("0.00000001"), "0.00000001"),
        (NOON, "2026-11-23T12:00:00.000Z"),
        ({"a": [1]}, '{"a":[1]}'),
        ([], "[]"),
        ([{"unit": "=audio", "quantity": Decimal("1.50")}], '[{"unit":"=audio","quantity":"1.50"}]'),
        ("gpt-4.1", "gpt-4.1"),
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("\n=1", "'\n'=1"),
        ("＝1", "'＝1"),  # noqa: RUF001 - the full-width sign is what is tested
        ("gpt;=1+1", "gpt;'=1+1"),
        ('gpt; ""=1', 'gpt; ""\'=1'),
        ("a|@SUM(A1)", "a|'@SUM(A1)"),
        ("a;b=1", "a;b=1"),
        ({"project": "x;=1"}, '{"project":"x;\'=1"}'),
    ],
)
def test_a_cell_is_plain_and_begins_no_formula(value: object, cell: str) -> None:
    assert csv_cell(value) == cell


def test_no_record_makes_the_line_of_columns_alone() -> None:
    assert "".join(csv_chunks([])) == ",".join(column["name"] for column in schema()) + "\r\n"


@given(model=st.text(max_size=40))
def test_any_text_comes_back_from_one_cell_of_one_line(model: str) -> None:
    text = "".join(csv_chunks([usage_record("e1", NOON, "ada", model).row()]))
    (row,) = csv.DictReader(io.StringIO(text, newline=""))

    assert row["response_model"] == csv_cell(model)
    assert not row["response_model"].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert row["input_tokens"] == "1000"


@given(model=st.text(alphabet=';,\t\n\r|" =+-@a', max_size=12))
def test_no_cell_begins_a_formula_however_a_spreadsheet_separates(model: str) -> None:
    text = "".join(csv_rows(["model"], [[model]]))

    for separator in (",", ";", "\t", "|"):
        for line in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            assert not [cell for cell in line if cell.lstrip(' "').startswith(("=", "+", "-", "@"))]


def test_many_records_come_in_pieces() -> None:
    chunks = list(csv_chunks(usage_record(f"e{number}", NOON, "ada").row() for number in range(500)))

    assert len(chunks) > 2
    assert max(map(len, chunks)) < 40_000
    assert len(list(csv.reader(io.StringIO("".join(chunks), newline="")))) == 501
