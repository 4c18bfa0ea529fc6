#!/usr/bin/env bash
# run_fuzz.sh PROGRAM GROWN_CORPUS SEED_CORPUS: ten seconds of one fuzz target. New finds that widen coverage stay in
# GROWN_CORPUS; an input that crashes is written beside it, and its path stands in the output.
# A crash exits with 70: 77, the default of libFuzzer, would be a skipped test.
set -euo pipefail
program=$1 grown=$2 seeds=$3
[[ -x $program ]] || {
  echo "$program is not built: cmake --preset fuzz && cmake --build build/fuzz --target fuzz_targets"
  exit 1
}
mkdir -p "$grown"
folders=("$grown")
if [[ -d $seeds ]]; then folders+=("$seeds"); fi
exec "$program" -max_total_time=10 -timeout=5 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 -error_exitcode=70 \
  "-artifact_prefix=$grown.crash." "${folders[@]}"
