"""Thousands of build histories, and what must hold in each of them.

A history is a `bitbucket-pipelines.yml` and a list of events: pushes, runs by hand, reruns, a Stop, an expired token, late
finishes. A model of Bitbucket runs it, calls the pipe's real decision code (`pipe.run.plan`) wherever the pipe stands, and
hands the events to a model of PagerDuty. After every run of the pipe the invariants are checked against what is true in
the model, whatever the pipe could see of it.

    make histories                 # 10 000 histories, ends in one line of figures
    HISTORIES=500 make histories
    pytest tests/histories         # 200 of them, and the named cases

Read in this order:

- `pipelines_file.py`  what a team writes, and its YAML
- `bitbucket.py`       runs it: steps, gates, reruns, Stop, told pipelines; `bitbucket_api.py` is what the API says of that
- `pagerduty.py`       open alerts by integration key and dedup key
- `pager.py`           one run of the pipe: the environment in, the plan's events out
- `truth.py`           what each alert is about in truth, and whether that is green
- `invariants.py`      the four invariants, and `limits.py`, their only exceptions, each by its name
- `strategies.py`      files and histories by hypothesis; `real_shapes.py` files like those that teams write
- `story.py`           tells a history, and a violation, in a few lines
- `test_cases.py`      the stories that went wrong once
"""
