#!/bin/sh
# All tests but the long runs. Two halves run at the same time, each with houses of its own: pages and stories, which
# mostly wait, beside everything else. Then, alone, what measures how fast a page is. With arguments: those tests only.
set -u
cd "$(dirname "$0")/.."
pytest() { .venv/bin/python -m pytest -m "not soak and not bench" "$@"; }
[ $# -eq 0 ] || { pytest "$@"; exit; }

beside=$(mktemp)
trap 'rm -f "$beside"; [ -z "${half:-}" ] || kill "$half" 2>/dev/null' EXIT
trap 'exit 130' INT TERM
echo "== protocol, desk, bridges (shown when they are through), beside: pages and stories"
# The search for what was said looks at each half's own houses.
pytest --ignore tests/browser --ignore tests/stories tests tests/stories/test_canary.py > "$beside" 2>&1 &
half=$!
pytest --ignore tests/browser/test_speed.py tests/browser tests/stories
pages=$?
wait "$half"
rest=$?
half=
cat "$beside"
echo "== how fast a page is"
pytest tests/browser/test_speed.py
speed=$?
[ "$pages" -eq 0 ] && [ "$rest" -eq 0 ] && [ "$speed" -eq 0 ]
