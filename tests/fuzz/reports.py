"""Test reports: those of real tools, changed in places; other encodings; bytes without any sense."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.conftest import ONE_STEP, ROOT
from tests.fuzz import values
from tests.fuzz.environments import BASE
from tests.fuzz.example import Example

ODD_XML = [
    b"<testcase name='a'><failure/></testcase>", b"<testcase><failure message='", b"<failure>", b"</failure>", b"<error type='x'>y</error>",
    b"<skipped/>", b"<testsuite tests='-1' failures='1e9'>", b"<testsuites>", b"</testsuite>", b"<rerunFailure/>", b"<flakyFailure/>",
    b"<system-out>", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'>", b"&b;", b"&#0;", b"&#27;[31m", b"&#x202e;",
    b"&#xd800;", b"<?xml version='1.0' encoding='utf-7'?>", b"<?xml version='1.0' encoding='x'?>", b"<?xml version='1.1'?>", b"<?php ?>",
    b"<!--", b"-->", b"<![CDATA[", b"]]>", b"xmlns='urn:x'", b"<a:b/>", b"<a" * 40, b"<x>" * 3000, b"tests='" + b"9" * 5000 + b"'",
    b"\x0c", b"\xff\xfe<\0a\0>\0", b"name=\"\"", b"classname='a.b.C'", b"message='assert &quot;1&quot;&#10;&#10;E  x'",
]  # fmt: skip

_found = [path.read_bytes() for path in sorted((ROOT / "tests/reports").glob("*.xml"))]
_piece = st.one_of(st.sampled_from(ODD_XML), values.wild)
_change = st.tuples(st.sampled_from(("insert", "replace", "delete", "double", "cut")), st.integers(0, 999), _piece)


def _encoded(text: bytes, encoding: str, declared: bool) -> bytes:
    decoded = text.decode("utf-8", "replace")
    if declared:
        decoded = decoded.replace("UTF-8", encoding).replace("utf-8", encoding)
    return decoded.encode(encoding, "xmlcharrefreplace")


_ENCODINGS = ("utf-16", "utf-16-be", "utf-8-sig", "utf-32", "latin-1", "cp1252", "shift_jis", "cp037")
reports = st.one_of(
    st.builds(values.changed, st.sampled_from(_found), st.lists(_change, max_size=4)),
    st.builds(_encoded, st.sampled_from(_found), st.sampled_from(_ENCODINGS), st.booleans()),
    st.lists(_piece, max_size=8).map(lambda parts: b"<testsuite>" + b"".join(parts) + b"</testsuite>"),
    st.lists(_piece, max_size=8).map(b"".join),
    st.binary(max_size=200),
)
FAILED = {**BASE, b"EXIT_CODE": b"1", b"ALERT_NAME": b"unit tests"}
_secrets = [{}, {name: secret for name, secret in values.SECRETS.items() if b"ATLASSIAN" not in name}]
EXAMPLES = st.builds(
    lambda secrets, report, walled: Example({**FAILED, **secrets}, ONE_STEP.encode(), report, walled=walled),
    st.sampled_from(_secrets),
    reports,
    st.sampled_from((False, False, False, False, True)),
)
