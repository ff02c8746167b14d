"""All rules. Each module holds those about one thing."""

from pipe.check.rules import alerts, by_hand, exit_codes, gates, layout, never, places, tellers, values, variables

__all__ = ["alerts", "by_hand", "exit_codes", "gates", "layout", "never", "places", "tellers", "values", "variables"]
