#!/bin/sh
# Cross-compiles the NEON kernels, the scalar reference and their comparison for aarch64 and runs them under qemu-user.
# Exit status: 0 the same bits, 77 skipped because a tool is absent (CTest shows it as skipped), anything else failed.
# NEON_STRIDE=1 runs every case (minutes under the emulator); the default takes every 5th.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
compiler=${AARCH64_CXX:-aarch64-linux-gnu-g++}
emulator=${QEMU_AARCH64:-qemu-aarch64}
for tool in "$compiler" "$emulator"; do
  if ! command -v "$tool" > /dev/null 2>&1; then
    echo "skipped: $tool is not installed (Debian: g++-aarch64-linux-gnu, qemu-user)"
    exit 77
  fi
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags="-std=c++20 -O2 -Wall -Wextra -Werror -Wno-missing-field-initializers -ffp-contract=off -I $root/src"
objects=
compile() {  # compile SOURCE [FLAG...]
  source=$1; shift
  object=$work/$(echo "$source" | tr / _).o
  # shellcheck disable=SC2086
  "$compiler" $flags "$@" -c "$root/src/$source" -o "$object"
  objects="$objects $object"
}
compile kernels/cpu/neon.cc -march=armv8.2-a+dotprod+fp16
compile kernels/cpu/neoni8mm.cc -march=armv8.2-a+dotprod+fp16+i8mm
for source in kernels/cpu/scalar.cc kernels/cpu/portable.cc kernels/cpu/kv_write.cc kernels/cpu/pack.cc kernels/cpu/quantise.cc kernels/cpu/table_compare.cc \
              kernels/cpu/neon_main.cc tensor/dtype.cc base/status.cc base/check.cc base/units.cc base/log.cc base/output.cc base/output_lane.cc base/write_now.cc \
              base/thread.cc base/fatal.cc; do
  compile "$source"
done
# shellcheck disable=SC2086
"$compiler" -static $objects -o "$work/neon_check"
"$emulator" -cpu max "$work/neon_check" "${NEON_STRIDE:-5}"
