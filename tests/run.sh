#!/bin/sh
# Installs what the build needs, builds everything and runs all tests. Arguments go to ctest, e.g. -R records.
set -eu
cd "$(dirname "$0")/.."
sh .ci/install
sh .ci/build -DBITLAW_TESTS=ON
# Tests run side by side, one thread each.
OMP_NUM_THREADS=1 ctest --test-dir build/release --output-on-failure --parallel "$(nproc)" "$@"
