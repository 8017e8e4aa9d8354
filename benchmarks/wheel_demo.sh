#!/usr/bin/env bash
# Proof that data and configs travel with the wheel: build it, install it into an empty environment, and run
# `hrembed demo` in an empty folder. About ten minutes.
#   bash benchmarks/wheel_demo.sh
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/build"
"$place/build/bin/pip" install --quiet build
"$place/build/bin/python" -m build --quiet --wheel --outdir "$place" "$root"
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --constraint "$root/constraints.txt" "$place"/hrembed-*.whl
mkdir "$place/empty"
cd "$place/empty"
time "$place/env/bin/hrembed" demo
ls -R runs | head -60
