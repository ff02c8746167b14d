"""Masking: no spelling of a secret passes, and nothing else is touched."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe.lib.masking import Mask
from tests.conftest import KEY

TOKEN = "ATATT3x/Ff+Gf0=A1b2 C3?d4~e5"  # with everything that an encoding changes
MASK = Mask(KEY, (TOKEN, "short"), "ada@example.com")

SPELLINGS = {
    "plain": TOKEN,
    "quote": quote(TOKEN),
    "quote, the slash too": quote(TOKEN, safe=""),
    "quote_plus": quote_plus(TOKEN),
    "quote in lower case": re.sub("%..", lambda code: code[0].lower(), quote(TOKEN)),
    "base64": base64.b64encode(TOKEN.encode()).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(TOKEN.encode()).decode(),
    "base64 without padding": base64.b64encode(TOKEN.encode()).decode().rstrip("="),
    "Basic": base64.b64encode(f"ada@example.com:{TOKEN}".encode()).decode(),
    "Basic of another user": base64.b64encode(f"x-token-auth:{TOKEN}".encode()).decode(),
    "base64 of a line with it": base64.b64encode(f"export TOKEN='{TOKEN}'\n".encode()).decode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_secret_is_masked_however_it_is_written(spelling):
    masked = MASK.text(f"before {spelling} behind")
    assert "****" in masked
    assert masked.startswith("before ")
    assert masked.endswith(" behind")
    assert spelling[-12:-4] not in masked


@pytest.mark.parametrize("line", ["\n", "\r\n", "\n    ", "\\n", "\\r\\n"])
@pytest.mark.parametrize("columns", [60, 64, 76, 20])
def test_a_secret_in_base64_is_masked_where_that_is_broken_into_lines(columns, line):
    for text in (
        f"ada@example.com:{TOKEN}",
        f"{'a header before it ' * 4}{TOKEN}{' and more' * 9}",
        f"{KEY} {KEY} {KEY}",
    ):
        encoded = base64.b64encode(text.encode()).decode()
        lines = [encoded[at : at + columns] for at in range(0, len(encoded), columns)]
        masked = MASK.text(f"Authorization:{line}{line.join(lines)}{line}behind")
        assert masked.startswith("Authorization:")
        assert masked.endswith(f"{line}behind")
        left = re.sub(r"\s|\\[rn]", "", masked)
        assert not any(part in left for secret in (TOKEN, KEY) for part in _pieces(secret))


def _pieces(secret: str) -> Iterator[str]:
    """What ten of its bytes can be in base64."""
    for at in range(len(secret) - 10):
        for before in range(3):
            yield base64.b64encode(b"\0" * before + secret[at : at + 10].encode()).decode()[4:-4]


def test_of_the_integration_key_the_last_four_characters_stay():
    assert MASK.key_shown == "…ee44"
    assert MASK.text(f"key={KEY}") == "key=…ee44"
    assert KEY[:6] not in MASK.text(base64.b64encode(f"a{KEY}b".encode()).decode())
    assert MASK.text(base64.b64encode(KEY.encode()).decode()) == "…ee44"


@given(
    st.binary(max_size=9),
    st.text(alphabet=st.characters(codec="ascii", min_codepoint=33), min_size=12),
    st.binary(max_size=9),
)
def test_no_eight_characters_of_a_secret_s_base64_stay_wherever_it_stands(before, secret, behind):
    encoded = base64.b64encode(before + secret.encode() + behind).decode()
    masked = Mask(others=(secret,)).text(encoded)
    assert "****" in masked
    for part in masked.split("****"):
        left = base64.b64decode(part[: len(part) // 4 * 4] or b"", validate=False)
        assert secret.encode()[:8] not in left


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("git clone https://ada:hunter2@example.com/a.git", "git clone https://****@example.com/a.git"),
        ("https://x-token-auth:abc@bitbucket.org/", "https://****@bitbucket.org/"),
        ("https://glpat-abc@example.com", "https://****@example.com"),
        ("postgres://app:p@ss?w#rd@db:5432/shop", "postgres://****@db:5432/shop"),
        ("a://u:p@h b://v:q@i", "a://****@h b://****@i"),
        ("https://example.com/?mail=ada@example.com", "https://example.com/?mail=ada@example.com"),
        ("https://example.com?mail=ada@example.com", "https://example.com?mail=ada@example.com"),
        ('{"url":"http://h:80","mail":"ada@example.com"}', '{"url":"http://h:80","mail":"ada@example.com"}'),
        ("ada@example.com://", "ada@example.com://"),
        ("https://ada:a/b/c@example.com/a.git", "https://****@example.com/a.git"),
        ("docker://registry.example:5000/app@sha256:0ff", "docker://registry.example:5000/app@sha256:0ff"),
        (r'{"url":"https:\/\/ada:hunter2@example.com\/a"}', r'{"url":"https:\/\/****@example.com\/a"}'),
        (r"https:\/\/host:80\/a@b", r"https:\/\/host:80\/a@b"),
        ("?to=https%3A%2F%2Fada%3Ahunter2%40example.com%2Fa", "?to=https%3A%2F%2F****%40example.com%2Fa"),
        ("https%3A//ada%3Ahunter2%40example.com/a", "https%3A//****%40example.com/a"),
        ("https://ada:hunter2%40example.com/a", "https://****%40example.com/a"),
        ("https:%2F%2Fada:hunter2@example.com/a", "https:%2F%2F****@example.com/a"),
        ("https%3A%2F%2Fada:hunter2@example.com%2Fa", "https%3A%2F%2F****@example.com%2Fa"),
        (r"https:\\/\\/ada:hunter2@example.com", r"https:\\/\\/****@example.com"),
        (r"https:\u002F\u002fada:hunter2@example.com", r"https:\u002F\u002f****@example.com"),
        ("https://www.npmjs.com/package/%40acme%2Fshop", "https://www.npmjs.com/package/%40acme%2Fshop"),
        ("https%3A%2F%2Fregistry.npmjs.org%2F%40acme%2Fshop", "https%3A%2F%2Fregistry.npmjs.org%2F%40acme%2Fshop"),
        ("https://example.com?mail=ada%40example.com", "https://example.com?mail=ada%40example.com"),
        ("?to=https%3a%2f%2fada%3ahunter2%40example.com", "?to=https%3a%2f%2f****%40example.com"),
        ("?to=https%3A%2F%2Fexample.com%2Fa&mail=ada%40b.c", "?to=https%3A%2F%2Fexample.com%2Fa&mail=ada%40b.c"),
    ],
)
def test_the_login_of_a_url_is_masked_whoever_it_belongs_to(text, masked):
    assert Mask().text(text) == masked


@pytest.mark.parametrize("text", ["", "short", "c0ffee", "nothing to hide", "100 %", "🚀", "base64=="])
def test_everything_else_stays_as_it_is(text):
    assert MASK.text(text) == text
    assert Mask().text(text) == text


def test_the_longer_of_two_secrets_is_masked_whole():
    assert Mask(others=(f"{TOKEN}-and-more", TOKEN)).text(f"<{TOKEN}-and-more>") == "<****>"


def test_a_json_value_is_masked_to_its_depth_with_its_names():
    value = {"a": [TOKEN, {"b": (f"x{TOKEN}", 1, None, True)}], TOKEN: 2.5}
    assert MASK.all(value) == {"a": ["****", {"b": ("x****", 1, None, True)}], "****": 2.5}


HOSTILE = ["://" * 100_000, "://" + ":" * 300_000, "://" + "a:" * 150_000, "://" + "@" * 300_000, KEY[:-1] * 10_000,
           "%2" * 150_000, "A" * 300_000, "://a@" * 60_000, "://a:" * 60_000 + " @", "%3A%2F%2Fa" * 30_000 + " %40",
           "%3A%2F%2F" + "a" * 300_000 + " %40", "://" + "a" * 300_000 + " %40", "%3A//a" * 60_000 + " %40 @", ":" + "\\" * 300_000 + "/@",
           ":\\" * 150_000 + "@", "://" * 100_000 + "%40", ("A" + " " * 99 + "\n") * 3000, ":%2F%2F" * 50_000 + " @"]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_takes_no_longer_than_any_other(text):
    began = time.process_time()
    MASK.text(text)
    assert time.process_time() - began < 2
