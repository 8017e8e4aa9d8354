#!/usr/bin/env bash
# Proof that data and configs travel with the wheel: build it, install it into an empty environment, and run in empty
# folders the first command of every preset of `hrembed init`, then `hrembed demo`. About twenty minutes.
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
for preset in table titles audit ci; do
  mkdir "$place/$preset"
  cd "$place/$preset"
  first=$("$place/env/bin/hrembed" init --preset "$preset" < /dev/null | sed -n '/^Next:$/{n;p;}')
  echo "$preset: $first"
  code=0
  PATH="$place/env/bin:$PATH" $first || code=$?
  case "$code" in 0 | 5 | 6) ;; *) exit "$code" ;; esac # an audit may end with its verdict
done
mkdir "$place/empty"
cd "$place/empty"
time "$place/env/bin/hrembed" demo
ls -R runs | head -60
