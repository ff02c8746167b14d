from pipe.settings import Settings  # noqa: F401
