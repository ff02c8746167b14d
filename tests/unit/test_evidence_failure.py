"""A failing test in one line: the first words of its report that say something."""

from __future__ import annotations

import pytest

from pipe.evidence.failure import describe


@pytest.mark.parametrize(
    ("said", "kind", "wrong"),
    [
        (["boom"], "", "boom"),
        (["  a\n\n b\r\nc "], "", "a b c"),
        (["", "the text"], "T", "the text"),
        (["AssertionError", "assert 1 == 2"], "AssertionError", "assert 1 == 2"),
        (["java.lang.AssertionError:\n\tat a.B.c(B.java:1)"], "java.lang.AssertionError", "java.lang.AssertionError"),
        (["", ""], "PHPUnit\\Framework\\ExpectationFailedException", "PHPUnit\\Framework\\ExpectationFailedException"),
        (["ExpectationFailedException\n90 is not 80"], "PHPUnit\\Framework\\ExpectationFailedException", "90 is not 80"),
        (["Failed", "=== RUN   TestX\n    x_test.go:4: want 80\n--- FAIL: TestX"], "", "x_test.go:4: want 80"),
        (["failure"], "TEST_CASE", "failure"),
        (["Failed"], "", "Failed"),
        (["None", "undefined step"], "NoneType", "undefined step"),
        (["cart.cc:3\nFailed"], "", "cart.cc:3"),
        (["/app/cart.cc:3:14: Failure\nValue of: x"], "", "Value of: x"),
        (["(in test file cart.bats, line 3)\n  `false' failed"], "failure", "`false' failed"),
        (["90 !== 80\n    at Context.<anonymous> (m/cart.js:3:41)"], "", "90 !== 80"),
        (["at least 2 items are expected"], "", "at least 2 items are expected"),
        (["no such cart\nTypeError: no such cart\n  more"], "", "no such cart"),
        (["Expected values to be strictly equal:\n\n90 !== 80"], "", "Expected values to be strictly equal: 90 !== 80"),
        (["Expected values to be strictly equal:", "Error: it was 90"], "", "Error: it was 90"),
        (["Expected values to be strictly equal:"], "", "Expected values to be strictly equal"),
        (["expect(received).toBe(expected)", "Error: expect(received).toBe(expected)\n\nExpected: 80\n  > 3 | code"], "",
         "Error: expect(received).toBe(expected) Expected: 80"),
        (["mypy produced messages", "cart.py:2: error: no"], "", "cart.py:2: error: no"),
        (["Shop.Cart::applies a discount\n90 is not 80"], "", "90 is not 80"),
        (["Shop\\Cart::applies a discount (1, [2])\n90 is not 80"], "", "90 is not 80"),
        (["cart.spec.ts:3:5 › applies a discount", "[chromium] › cart.spec.ts:3:5 › applies a discount ───\n\nError: shut"], "",
         "Error: shut"),
        (["applies a discount of 10 %, and must not"], "", "applies a discount of 10 %, and must not"),
        (["applies a discount"], "", ""),
        ([], "", ""),
        (["***"], "", "***"),
    ],
)  # fmt: skip
def test_what_went_wrong_is_the_first_thing_that_says_something(said, kind, wrong):
    entry = describe("Shop.Cart", "applies a discount", *said, kind=kind)
    assert entry == "Shop.Cart.applies a discount" + (f": {wrong}" if wrong else "")


@pytest.mark.parametrize(
    ("suite", "case", "name"),
    [
        ("Cart", "adds", "Cart.adds"),
        ("", "adds", "adds"),
        ("Cart", "", "Cart"),
        ("", "", "a test without a name"),
        ("Cart", "Cart adds", "Cart adds"),
        ("Cart", "Cart.adds", "Cart.adds"),
        ("Cart", "Cartwheel", "Cart.Cartwheel"),
        ("adds", "Cart adds", "Cart adds"),
        ("adds", "adds", "adds"),
        ("test", "adds", "adds"),
        ("a\n b", "c\td", "a b.c d"),
        ("s" * 150, "adds", "adds"),
        ("Cart", "n" * 150, "n" * 119 + "…"),
        ("s" * 150, "", "s" * 119 + "…"),
    ],
)
def test_a_test_is_named_by_its_suite_and_itself(suite, case, name):
    assert describe(suite, case, "boom") == f"{name}: boom"


def test_an_entry_is_cut_and_what_went_wrong_keeps_its_place():
    entry = describe("s" * 100, "n" * 500, "m" * 500)
    assert entry == f"{'n' * 119}…: {'m' * 299}…"
    assert describe("s", "n", "m" * 500) == f"s.n: {'m' * 299}…"


def test_secrets_are_concealed_before_anything_is_cut():
    def conceal(text: str) -> str:
        return text.replace("hunter2", "****")

    assert describe("s", "n", "m" * 297 + "hunter2", conceal=conceal) == f"s.n: {'m' * 297}**…"
    assert describe("hunter2", "n" * 116 + "hunter2", "not hunter2", conceal=conceal) == f"{'n' * 116}****: not ****"
    assert describe("s", "n", "", kind="hunter2", conceal=conceal) == "s.n: ****"
    for escape in ("\x1b[31m", "#x1B[31m"):
        for before in range(90, 98):
            assert "hun" not in describe("s", "n", f"{'m ' * before}hun{escape}ter2", conceal=conceal)
    assert describe("hun\x1b[31mter2", "n", "not", conceal=conceal) == "****.n: not"
    cut = describe("s", "n", "Failed\n" * 1165 + "x\n" * 15 + "hunter2" * 100, conceal=conceal)
    assert "hunt" not in cut


def test_a_long_line_is_looked_at_in_part_and_a_line_that_is_cut_is_left_out():
    assert describe("s", "n", "x" * 100_000) == f"s.n: {'x' * 299}…"
    assert describe("s", "n", "Failed\n" + "x" * 100_000) == "s.n: Failed"
