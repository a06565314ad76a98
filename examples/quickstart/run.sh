#!/bin/sh
# Installs what the build needs, builds the program and runs the quickstart study.
set -eu
cd "$(dirname "$0")/../.."
sh .ci/install
sh .ci/build -DBITLAW_TESTS=OFF
build/release/bin/bitlaw run configs/studies/quickstart.yaml "$@"
