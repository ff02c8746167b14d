"""Processes of the pipe that need not import a hundred modules each: a run takes a quarter of the time.

One Python has imported what the pipe imports. Each run is a fork of it in which `python -m pipe` begins anew, with its own
variables, folder and streams. What a test starts is this file: it hands them over, and ends as the run ends.
"""

import array
import json
import os
import socket
import sys


def main(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        streams = array.array("i", [1, 2])
        server.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
        variables = {name.hex(): value.hex() for name, value in os.environb.items()}
        server.sendall(json.dumps([os.getcwd(), variables]).encode())
        server.shutdown(socket.SHUT_WR)
        sys.exit(int(server.recv(8)))


def serve(listening: socket.socket) -> None:
    import gc
    import signal
    import threading

    import pipe.__main__
    import pipe.inquiry  # noqa: F401 (what a run with a token imports)

    del sys.modules["pipe.__main__"]
    assert threading.active_count() == 1
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how those who answer have ended
    while True:
        client, _ = listening.accept()
        if not os.fork():
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            answer(client)
        client.close()


def answer(client: socket.socket) -> None:
    _, streams, _, _ = socket.recv_fds(client, 1, 2)
    if run := os.fork():
        _, status = os.waitpid(run, 0)
        client.sendall(str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    with client.makefile("rb") as sent:
        folder, variables = json.load(sent)
    client.close()
    os.chdir(folder)
    os.environb.clear()
    os.environb.update({bytes.fromhex(name): bytes.fromhex(value) for name, value in variables.items()})
    for standard, stream in enumerate(streams, 1):
        os.dup2(stream, standard)
        os.close(stream)
    sys.stdout, sys.stderr = open(1, "w"), open(2, "w")  # noqa: SIM115
    import runpy

    sys.argv = ["pipe"]
    runpy.run_module("pipe", run_name="__main__", alter_sys=True)
    os._exit(70)  # the pipe has ended the process by now


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(socket.socket(fileno=int(sys.argv[2])))
    else:
        main(sys.argv[1])
