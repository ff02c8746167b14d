"""The quickest rows of the matrix, and that docs/faults.md says of all of them what the matrix demands."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.faults import running, table
from tests.faults.matrix import CONNECTION, DELIVERED, PRINTED, ROWS, STATUSES, Row
from tests.faults.running import Seen
from tests.faults.servers import answers, reply

AT_ONCE = 4
A_BUSY_MACHINE = 60.0  # seconds behind TIMEOUT: no counterexample here; `make faults` is strict
QUICK = [row for row in ROWS if row.quick]
# Rows that do not hold, each for a reason that must be told.
EXPECTED_OTHERWISE = replace(next(row for row in CONNECTION if row.name.startswith("refused")), expected=PRINTED)
NOT_PRINTED = Row("status", "500", DELIVERED, answers(reply(500)), timeout=1)


@pytest.fixture(scope="module")
def seen() -> Iterator[Callable[[Row], Seen]]:
    """What came of a row. All of them are begun at once."""
    if not shutil.which("openssl"):
        pytest.skip("openssl, which makes the certificates, is not on this machine")
    with running.ready(A_BUSY_MACHINE) as field, ThreadPoolExecutor(AT_ONCE) as pool:
        rows = [*QUICK, EXPECTED_OTHERWISE, NOT_PRINTED]
        begun = {id(row): pool.submit(running.play, row, field) for row in rows}
        yield lambda row: begun[id(row)].result()


@pytest.mark.parametrize("row", QUICK, ids=lambda row: f"{row.group}: {row.name}")
def test_what_comes_of_a_fault(seen, row):
    assert not seen(row).wrong, seen(row).log


def test_what_does_not_hold_is_told(seen):
    assert seen(EXPECTED_OTHERWISE).wrong[0] == "printed was expected, retried, printed was seen"
    assert "delivered was expected, retried, printed was seen" in seen(NOT_PRINTED).wrong


@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
def test_the_key_is_found_in_whatever_form_it_leaks(before):
    key = "0123456789abcdefghijklmnopqrstuv"
    percent = "".join(f"%{ord(letter):02X}" for letter in key)
    encoded = base64.b64encode(f"{before}{key} and more".encode()).decode()
    for text in (key, key[:-1], f"…{key[5:20]}", percent, encoded):
        assert any(form in text for form in running._forms(key)), text
    assert not any(form in f"integration key …{key[-4:]}" for form in running._forms(key))


def test_the_document_has_every_row_and_what_must_come_of_it():
    assert table.read() == table.expected()


def test_no_row_is_named_twice():
    names = [(row.group, row.name) for row in (*ROWS, *STATUSES)]
    assert len(set(names)) == len(names)
