from pipe.lib.environment import encodable as mend  # noqa: F401
