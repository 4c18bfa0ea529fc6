#!/usr/bin/env bash
# run_python.sh FILE: one file of the Python group. Exit status 77, with the reason, where it cannot run at all or
# every test in it was skipped.
set -euo pipefail
file=$1
python=${WEIR_PYTHON:-build/venv/bin/python}
if [[ -s build/python_missing.txt ]]; then
  echo "skipped: $(cat build/python_missing.txt)"
  exit 77
fi
if ! "$python" -c 'import pytest' 2>/dev/null; then
  echo "skipped: $python has no pytest; scripts/test installs tools/requirements-test.txt"
  exit 77
fi
status=0
output=$("$python" -m pytest -q -rs -p no:cacheprovider "$file" 2>&1) || status=$?
printf '%s\n' "$output"
last=$(printf '%s\n' "$output" | tail -n 1)
# pytest answers 5 when a whole module was skipped, 0 when each of its tests was.
if [[ $status -eq 5 || $status -eq 0 ]] && [[ $last == *skipped* && $last != *passed* ]]; then exit 77; fi
exit "$status"
