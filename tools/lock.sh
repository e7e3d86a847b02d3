#!/bin/sh
# Writes requirements.lock from pyproject.toml: exact versions, hashes, no address of any index. What is locked stays;
# with --upgrade everything becomes the newest.
set -eu
cd "$(dirname "$0")/.."
CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/pip-compile --quiet "$@" --generate-hashes --allow-unsafe \
    --strip-extras --extra dev --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
    --output-file requirements.lock pyproject.toml
grep -c '^[a-zA-Z0-9].*==' requirements.lock | sed 's/$/ packages locked/'
