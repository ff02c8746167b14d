"""Whatever becomes of the child behind the wall, its parent gets an answer or `Unread`, and is rid of it."""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from stat import S_ISFIFO

import pytest

from pipe.lib.wall import MAX_ANSWER_BYTES, Unread, ask, ask_all


class Refused(Unread):
    """What a reader of its own kind may raise."""


def refuse():
    raise Refused("the token was refused", advice="take another", refused=True)


def hand_over(text: bytes):
    """A child that has lost its mind: it finds the way to its parent and writes what it likes to it."""
    pipes = [
        handle
        for handle in range(3, 64)
        if os.path.exists(f"/proc/self/fd/{handle}") and S_ISFIFO(os.fstat(handle).st_mode)
    ]
    os.write(pipes[-1], text)
    os._exit(0)


def kill_itself(number: int):
    faulthandler.disable()  # pytest has it on
    os.kill(os.getpid(), number)
    time.sleep(9)


def why_not(question, **limits) -> str:
    with pytest.raises(Unread) as error:
        ask(question, **{"seconds": 5, **limits})
    assert error.value.details == {}
    return str(error.value)


@pytest.mark.parametrize("answer", [None, True, 0, 1.5, "", "é \x1b \u2028", [], {"a": [{"b": None}]}, "x" * 250_000])
def test_the_answer_is_what_the_question_returns(answer):
    assert ask(lambda: answer, seconds=5) == answer


def test_what_the_question_changes_is_lost():
    changed: list[int] = []
    assert ask(lambda: changed.append(os.getpid()) or os.getpid(), seconds=5) != os.getpid()
    assert changed == []


def test_the_reason_of_a_reader_comes_along_and_so_do_its_details():
    with pytest.raises(Unread, match="the token was refused") as error:
        ask(refuse, seconds=5)
    assert error.value.details == {"advice": "take another", "refused": True}


def raises(error: BaseException):
    def question():
        raise error

    return question


@pytest.mark.parametrize(
    ("question", "why"),
    [
        (raises(Unread("a\nb\x1b[31mc" + "d" * 500)), "a bc" + "d" * 195 + "…"),
        (raises(KeyError("a secret")), "not understood (KeyError)"),
        (raises(OSError(2, "No such file", "/a/secret")), "not understood (FileNotFoundError)"),
        (raises(RecursionError()), "not understood (RecursionError)"),
        (raises(MemoryError()), "too large"),
        (lambda: object(), "not understood (TypeError)"),
        (lambda: kill_itself(signal.SIGKILL), "the reader was killed (SIGKILL)"),
        (lambda: kill_itself(signal.SIGSEGV), "the reader was killed (SIGSEGV)"),
        (lambda: kill_itself(signal.SIGTERM), "the reader was killed (SIGTERM)"),
        (lambda: os._exit(0), "the reader gave no answer"),
        (raises(SystemExit()), "the reader gave no answer"),
        (raises(Unread("a reason", details=object())), "the reader gave no answer"),
        (lambda: "x" * MAX_ANSWER_BYTES, f"the answer is larger than {MAX_ANSWER_BYTES} bytes"),
        (lambda: hand_over(b"[" * 100_000), "the answer makes no sense"),
        (lambda: hand_over(b'{"answer":' * 20_000), "the answer makes no sense"),
        (lambda: hand_over(b"\xff\xfe"), "the answer makes no sense"),
        (lambda: hand_over(b'{"answer": 1'), "the answer makes no sense"),
        (lambda: hand_over(b'{"answer": 1}{"answer": 2}'), "the answer makes no sense"),
        (lambda: hand_over(b'{"answer": ' + b"9" * 5000 + b"}"), "the answer makes no sense"),
        (lambda: hand_over(b"7"), "the answer makes no sense"),
        (lambda: hand_over(b"[]"), "the answer makes no sense"),
        (lambda: hand_over(b"{}"), "the answer makes no sense"),
        (lambda: hand_over(b'{"unread": "x", "details": 7}'), "the answer makes no sense"),
    ],
)
def test_whatever_else_becomes_of_the_child_is_said_in_a_few_words(question, why):
    assert why_not(question) == why


LARGE = """
import sys
from pipe.lib.wall import Unread, ask
try:
    print(ask(lambda: eval(sys.argv[1]), seconds=20))
except Unread as error:
    print(error)
"""


@pytest.mark.parametrize("made", ["'x' * 500_000_000", "[str(n) for n in range(10**9)]", "len(bytearray(60_000_000))"])
def test_what_takes_too_much_memory_is_too_large(made):
    # in a process of its own: what this one has once had and given up, a child may take
    run = subprocess.run([sys.executable, "-c", LARGE, made], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("too large\n", "")


def test_the_limits_are_the_caller_s():
    assert ask(lambda: len(bytearray(30_000_000)), seconds=5, memory=40_000_000) == 30_000_000
    assert why_not(lambda: "x" * 100, size=100) == "the answer is larger than 100 bytes"
    assert len(ask(lambda: "x" * 1_000_000, seconds=5, size=2_000_000)) == 1_000_000


def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    time.sleep(60)


def busy():
    return sum(1 for _ in iter(int, 1))


@pytest.mark.parametrize("question", [deaf, busy, lambda: [0] * 10**10])
def test_it_takes_no_longer_than_it_may(question):
    started = time.monotonic()
    assert why_not(question, seconds=0.2) in ("no answer within 0.2 s", "too large")
    assert time.monotonic() - started < 10


def test_of_several_questions_each_has_its_answer_whatever_becomes_of_the_others():
    before, started = children(), time.monotonic()
    late, answer, refused, dead, too_late = ask_all(deaf, lambda: "here", refuse, lambda: os._exit(0), deaf, seconds=2)
    assert time.monotonic() - started < 3.5  # not one after the other
    assert answer == "here"
    assert [str(one) for one in (late, refused, dead, too_late)] == [
        "no answer within 2 s", "the token was refused", "the reader gave no answer", "no answer within 2 s",
    ]  # fmt: skip
    assert refused.details == {"advice": "take another", "refused": True}
    assert children() == before
    assert ask_all(seconds=1) == []


def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert why_not((tmp_path / "fifo").read_text, seconds=0.1) == "no answer within 0.1 s"


def children() -> set[str]:
    """Process ids of this process's children, the ones nobody has reaped among them."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                found.add(stat.parent.name)
    return found


def test_no_child_and_no_open_file_is_left():
    before, had = os.listdir("/proc/self/fd"), children()
    for question in (lambda: 1, deaf, lambda: hand_over(b"?"), lambda: "x" * 10**6, refuse):
        with suppress(Unread):
            ask(question, seconds=0.1)
    assert os.listdir("/proc/self/fd") == before
    assert children() <= had


def test_where_no_process_can_be_started_that_is_said():
    def crowded():
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        if os.getuid() == 0:
            os.setuid(65532)  # root is not counted
        before = os.listdir("/proc/self/fd")
        try:
            return ask(lambda: "started", seconds=5)
        except Unread as error:
            return [str(error), os.listdir("/proc/self/fd") == before]

    assert ask(crowded, seconds=5) == ["no process can be started", True]


SIGNALLED = """
import os, pathlib, signal, sys, time
from pipe.lib.wall import ask

class Ended(BaseException):
    pass

def end(number, frame):
    raise Ended

def question():
    pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
    for number in sys.argv[2:]:
        os.kill(os.getppid(), int(number))
    time.sleep(60)

for number in sys.argv[2:]:
    signal.signal(int(number), end)
try:
    ask(question, seconds=30)
except Ended:
    print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""


@pytest.mark.parametrize("numbers", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]])
def test_a_signal_to_the_parent_ends_the_child_first(tmp_path, numbers):
    started = time.monotonic()
    child = tmp_path / "child"
    command = [sys.executable, "-c", SIGNALLED, str(child), *(str(int(number)) for number in numbers)]
    run = subprocess.run(command, capture_output=True, text=True)  # of one thread: a second one would take the signal
    assert (run.returncode, run.stdout, run.stderr) == (0, "set()\n", "")
    assert time.monotonic() - started < 10
    with pytest.raises(ProcessLookupError):
        os.kill(int(child.read_text()), 0)


def test_a_child_ends_by_itself_when_its_parent_is_killed(tmp_path):
    def question():
        (tmp_path / "child").write_text(str(os.getpid()))
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)

    assert why_not(lambda: ask(question, seconds=1)) == "the reader was killed (SIGKILL)"
    child = int((tmp_path / "child").read_text())
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":  # nobody here to reap it
            return
        time.sleep(0.05)
    pytest.fail("still there")


SCRIPT = """
import atexit, sys
from pipe.lib.wall import Unread, ask
atexit.register(print, "the end")
sys.stdout.write("once ")
for question in (lambda: print("x" * 100_000), lambda: sys.exit(3), lambda: sys.stderr.write("noise")):
    try:
        ask(question, seconds=5)
    except Unread:
        pass
"""


def test_nothing_is_printed_twice_nor_by_the_child():
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "once the end\n", "")


MEASURED = """
import json, re
from pipe.lib.wall import MAX_ANSWER_BYTES, ask
peak = lambda: int(re.search("VmHWM: *([0-9]+) kB", open("/proc/self/status").read().replace("\t", " "))[1])
ask(lambda: 1, seconds=5)
before = peak()
ask(lambda: [{}] * (MAX_ANSWER_BYTES // 4 - 10), seconds=5)
print(peak() - before)
"""


def test_the_largest_answer_takes_little_of_the_parent_s_memory():
    run = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) < 10 * 1024  # KiB
