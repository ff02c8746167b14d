"""What was built: the subject of a commit and its author's name, read from the clone without a git binary."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from pipe.lib.text import masked_line
from pipe.lib.wall import Unread

MAX_SUBJECT = 300  # characters
MAX_AUTHOR = 100


def read_commit(clone: Path, commit: str, conceal: Callable[[str], str] = str) -> tuple[str, str]:
    """Subject and author of a commit in the clone, by its hash or the 7 or more digits that it begins with (in
    pull-request runs Bitbucket gives 12). The subject is the message's first paragraph on one line of at most 300
    characters, the author the name without the address, at most 100. Either may be empty.

    To be called behind the wall: whatever is wrong with the repository, dulwich may raise anything. Raises `Unread`
    where that can be said in better words.
    """
    if not re.fullmatch("[0-9a-f]{7,40}", commit):
        raise Unread("not a commit's hash")
    from dulwich.object_store import DiskObjectStore
    from dulwich.objects import Commit

    store = DiskObjectStore(os.path.join(clone, ".git", "objects"))
    found = list(islice(store.iter_prefix(commit.encode()), 2))
    if not found:
        raise Unread("not in this clone")
    if len(found) > 1:
        raise Unread(f"more than one object's hash begins with {commit}")
    kind, content = store.get_raw(found[0])
    if kind != Commit.type_num:
        raise Unread("not a commit")
    return _parsed(content, conceal)


def _parsed(content: bytes, conceal: Callable[[str], str]) -> tuple[str, str]:
    """By hand, for history holds commits whose dates and addresses dulwich does not take."""
    head, _, message = content.partition(b"\n\n")
    fields: dict[bytes, bytes] = {}
    for line in head.split(b"\n"):
        name, _, value = line.partition(b" ")
        fields.setdefault(name, value)
    encoding = fields.get(b"encoding", b"").decode("ascii", "replace")
    paragraph = re.split(rb"\n[ \t\r]*\n", message.lstrip(), maxsplit=1)[0]
    # "name <address> seconds zone"; a name that is an address itself loses what comes after the @
    author = _text(fields.get(b"author", b"").partition(b"<")[0], encoding)
    author = re.sub(r"(\S)@\S+", r"\1", author)
    return masked_line(_text(paragraph, encoding), conceal, MAX_SUBJECT), masked_line(author, conceal, MAX_AUTHOR)


def _text(raw: bytes, encoding: str) -> str:
    """Git takes a message for UTF-8 unless a header says otherwise; what is not becomes U+FFFD."""
    try:
        return raw.decode(encoding or "utf-8", "replace")
    except (LookupError, ValueError):  # a name that no codec has, or one that is no codec of text
        return raw.decode("utf-8", "replace")
