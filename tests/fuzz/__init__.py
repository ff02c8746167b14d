"""Whatever an environment, a file, a report or Bitbucket can hold: the whole pipe runs on it, and what must hold, holds.

    make fuzz                    # 20 000 examples, ends in one line of figures
    FUZZ=2000 make fuzz
    pytest tests/fuzz            # a few hundred of them

Read in this order:

- `example.py`     one example, and what the pipe did with it
- `arena.py`       plays it: the pipe's `main` in a process of its own (`worker.py`), real servers, the strict sandbox
- `invariants.py`  what must hold of every run
- `tables.py`      what the design wants of a resolve and of a known failure, written down without the pipe's code
- `values.py`, `environments.py`, `files.py`, `reports.py`, `answers.py`  the four kinds, by hypothesis
"""
