#!/usr/bin/env bash
# Proof that data and configs travel with the wheel: build it, install it into an empty environment outside of the
# checkout, and run in empty folders the first command of every preset of `hrembed init`, then `hrembed demo`. About
# twenty minutes; `--short` leaves the demo out.
#   bash benchmarks/wheel_demo.sh [--short]
set -euo pipefail
unset PYTHONPATH # the checkout must not stand in for what the wheel lacks
root=$(cd "$(dirname "$0")/.." && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
seconds() { date +%s; }
python3 -m venv "$place/build"
"$place/build/bin/pip" install --quiet build
"$place/build/bin/python" -m build --quiet --wheel --outdir "$place" "$root"
start=$(seconds)
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --constraint "$root/constraints.txt" "$place"/hrembed-*.whl
echo "installed in $(($(seconds) - start)) s"
export PATH="$place/env/bin:$PATH"
for preset in table titles audit ci; do
  mkdir "$place/$preset"
  cd "$place/$preset"
  first=$(hrembed init --preset "$preset" < /dev/null | sed -n '/^Next:$/{n;s/^ *//;p;}')
  start=$(seconds)
  code=0
  $first > out.txt 2> err.txt || code=$?
  echo "$preset: $first ended with $code after $(($(seconds) - start)) s"
  case "$code" in 0 | 5 | 6) ;; *) cat err.txt && exit "$code" ;; esac # an audit may end with its verdict
done
if [ "${1:-}" != --short ]; then
  mkdir "$place/empty"
  cd "$place/empty"
  time hrembed demo
  ls -R runs | head -60
fi
