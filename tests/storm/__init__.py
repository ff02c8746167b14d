"""Many pipes at once against one integration key: does each page get through PagerDuty's rate limit, or is it printed?

`make storm` lets 100 pipes loose with the default TIMEOUT, then 300 with TIMEOUT: 300. `STORM="40 200" make storm` is one
storm of 40 pipes with TIMEOUT: 200; with a third word, `strict`, a throttled call counts against the limit too.
"""
