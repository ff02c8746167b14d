"""Bytes of every kind: fragments that went wrong somewhere once, glued together, and bytes without any sense."""

from __future__ import annotations

import base64
from urllib.parse import quote

from hypothesis import strategies as st

KEY = b"c0ffee11c0ffee22c0ffee33c0ffee44"
TOKEN = b"ATCTT3xFfGN0-a+token/of=the&repository"
API_TOKEN = b"ATATT3xFfGF0_an-api-token=4E5F6A7B"
EMAIL = b"ada@example.org"
JWT = b"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwaXBlbGluZSJ9.c2lnbmF0dXJl-_c2lnbmF0dXJl"
OIDC = b"eyJraWQiOiJhYmMiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJhcmk6Y2xvdWQifQ.b2lkYy1zaWduYXR1cmU"
LOGIN = b"correct-horse-battery"  # the password in an address
SECRETS = {
    b"INTEGRATION_KEY": KEY,
    b"BITBUCKET_ACCESS_TOKEN": TOKEN,
    b"ATLASSIAN_API_TOKEN": API_TOKEN,
    b"PIPELINES_JWT_TOKEN": JWT,
    b"BITBUCKET_STEP_OIDC_TOKEN": OIDC,
}


def forms(secret: bytes) -> list[bytes]:
    """As somebody's tool may print it."""
    middle = len(secret) // 2
    return [
        secret,
        quote(secret, safe="").encode(),
        quote(secret, safe="").lower().encode(),
        base64.b64encode(secret),
        base64.urlsafe_b64encode(secret),
        base64.b64encode(EMAIL + b":" + secret),
        base64.b64encode(b"x:" + secret + b"@host"),
        b"Bearer " + secret,
        secret[:middle] + b"\x1b[0m" + secret[middle:],  # the terminal shows it whole
        secret[:middle] + b"\x00\r\xe2\x80\xae"[1:] + secret[middle:],
        b"https://user:" + secret + b"@host.example/path",
    ]


PLANTED = [form for secret in SECRETS.values() for form in forms(secret)]
ODD = [
    b"", b" ", b"\t", b"\n", b"\r\n", b"\x1b[31m", b"\x1b]0;title\x07", b"\x1b[2K\r", b"\x08\x08", b"\x9b1m", b"\xc2\x9b31m",
    b"\xe2\x80\xae", b"\xe2\x81\xa6", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\xf0\x9f\x94\xa5",
    b"\xc3\xa9", b"\x7f", b"\x01", b"$", b"$HOME", b"${BITBUCKET_BRANCH}", b"`id`", b"\\", b"\\u0000", b"\\ud800", b"%", b"%s",
    b"{}", b"{0}", b'"', b"'", b"''", b'"x"', b",", b";", b":", b"/", b"//", b"..", b"../../etc/passwd", b"|", b"*", b"**",
    b"[", b"]", b"[a", b"[!", b"{a,b}", b"{", b"}", b"null", b"true", b"FALSE", b"NaN", b"Infinity", b"-0", b"00", b"0x1f", b"1e3",
    b"0", b"1", b"-1", b"42", b"137", b"999999999999", b"9" * 400, b"\xd9\xa3", b"main", b"acme/shop", b"#812", b"&amp;", b"<b>",
    b"<![CDATA[", b"]]>", b"http://", b"https://example.org/x?y#z", b"https://u:" + LOGIN + b"@example.org/", b"https://[::1", b"@",
    b"://a:b@", b"INFO: ", b"\nINFO: forged", b'{"event_action": "trigger"}', b"result unknown", b"step/unit tests",
]  # fmt: skip

fragments = st.one_of(st.sampled_from(ODD), st.sampled_from(PLANTED))
glued = st.lists(fragments, max_size=5).map(b"".join)
raw = st.binary(max_size=60)
long = st.builds(lambda piece, times: (piece or b"x") * times, fragments, st.sampled_from((50, 300, 1100))).map(
    lambda text: text[:100_000]
)
wild = st.one_of(st.sampled_from(ODD), glued, glued, raw, long)


def without_nul(value: bytes) -> bytes:
    return value.replace(b"\0", b"")


# One change of some bytes: what is done, where (a part of the length), and with what.
changes = st.tuples(st.sampled_from(("insert", "replace", "delete", "double", "cut")), st.integers(0, 999), wild)


def changed(text: bytes, what: list[tuple[str, int, bytes]]) -> bytes:
    for kind, where, piece in what:
        at = len(text) * where // 1000
        end = min(len(text), at + 1 + where % 40)
        text = {
            "insert": text[:at] + piece + text[at:],
            "replace": text[:at] + piece + text[end:],
            "delete": text[:at] + text[end:],
            "double": text[:end] + text[at:],
            "cut": text[:at],
        }[kind]
    return text
