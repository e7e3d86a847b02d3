"""Sync, part by part: what was asked, the answer, its rooms and their timelines, and the counts of what is unread."""
