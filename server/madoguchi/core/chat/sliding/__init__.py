"""Simplified sliding sync (MSC4186): of the rooms that a client looks at, what has changed since it looked."""
