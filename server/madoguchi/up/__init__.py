"""`madoguchi up`: the supervisor, the embedded PostgreSQL and what they need."""


class Problem(Exception):
    """Something on this machine stands in the way; the text says what, and what to do about it."""
