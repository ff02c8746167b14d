"""Runs a command and writes to the file descriptor that is given first how it ended: its exit status and its peak RSS in KiB.

A process of its own, and a small one: the peak that the system tells of a process is at least that of who started it.
"""

import os
import sys

descriptor, *command = sys.argv[1:]
os.set_inheritable(int(descriptor), False)
_, status, used = os.wait4(os.posix_spawn(command[0], command, os.environ), 0)
os.write(int(descriptor), f"{os.waitstatus_to_exitcode(status)} {used.ru_maxrss}".encode())
