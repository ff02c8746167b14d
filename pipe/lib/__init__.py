"""Tools that nobody must read first; nothing in here knows of builds or alerts."""
