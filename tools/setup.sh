#!/bin/sh
# Finds a Python that can make an environment and hands over to setup.py: sh tools/setup.sh venv web browser
set -eu
cd "$(dirname "$0")/.."

good() { # a Python of version 3.11 to 3.14 that has venv and pip's bootstrapper
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' >/dev/null 2>&1
}

candidates() {
    # The distribution's own first: it is built with full optimisation, what version managers compile often is not.
    printf '%s\n' "${PYTHON:-}" /usr/bin/python3 /usr/bin/python3.14 /usr/bin/python3.13 /usr/bin/python3.12 \
        /usr/bin/python3.11 python3 python3.14 python3.13 python3.12 python3.11
    ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[1-4]*/bin/python3 2>/dev/null || true
}

find_python() {
    for candidate in $(candidates); do
        if good "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
}

# The environment's own Python stays the one it was made with.
python=""
if [ -x .venv/bin/python ] && good .venv/bin/python; then python=.venv/bin/python; fi
[ -n "$python" ] || python=$(find_python)
if [ -z "$python" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "== Python: installing python3-venv with apt"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q python3-venv >/dev/null 2>&1 ||
        { apt-get update -q >/dev/null 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q python3-venv; } || true
    python=$(find_python)
fi
if [ -z "$python" ]; then
    echo "No Python 3.11 to 3.14 with venv was found. Install one (Debian: apt-get install python3-venv), or say PYTHON=/path/to/python3 make …" >&2
    exit 1
fi
exec "$python" tools/setup.py "$@"
