#!/bin/sh
# Fuzzes the readers with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer; builds what that takes (clang).
#
#   tests/fuzz/run.sh                    every target, ten minutes each
#   tests/fuzz/run.sh yaml               one target, ten minutes
#   tests/fuzz/run.sh all 60             every target, a minute each
#   tests/fuzz/run.sh --merge [target]   keeps of the corpus what covers something of its own
#
# $CXX names the compiler (the newest clang++ that is found), $FUZZ_BUILD the build folder (build/fuzz). What a target
# finds lies in <build folder>/findings/<target>; the exit status is 1 if there is anything.
set -eu
cd "$(dirname "$0")/../.."

merge=no
if [ "${1:-}" = --merge ]; then
  merge=yes
  shift
fi
wanted=${1:-all}
seconds=${2:-600}
build=${FUZZ_BUILD:-build/fuzz}

compiler=${CXX:-}
for name in clang++ clang++-19 clang++-18 clang++-17 clang++-16 clang++-15 clang++-14; do
  [ -n "$compiler" ] || compiler=$(command -v "$name" || true)
done
if [ -z "$compiler" ]; then
  echo "No clang++ found. Debian: apt install clang llvm (or set CXX)." >&2
  exit 2
fi
cmake --preset fuzz -B "$build" -DCMAKE_CXX_COMPILER="$compiler" >/dev/null
cmake --build "$build" --parallel "${FUZZ_JOBS:-2}" --target bitlaw_fuzz bitlaw_fuzz_replay

targets=$("$build/bin/bitlaw_fuzz_replay" --list)
if [ "$wanted" != all ]; then
  echo "$targets" | grep -qx "$wanted" || { echo "No target '$wanted'. Targets:" $targets >&2; exit 2; }
  targets=$wanted
fi

export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=1:allocator_may_return_null=0"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-}:print_stacktrace=1"
failed=
for target in $targets; do
  corpus=$build/corpus/$target
  findings=$build/findings/$target
  mkdir -p "$corpus" "$findings" "$build/samples/$target"
  "$build/bin/bitlaw_fuzz_replay" "$target" --write-samples="$build/samples/$target"
  given="$build/samples/$target"
  for kind in seeds regressions; do
    [ ! -d "tests/fuzz/$kind/$target" ] || given="$given tests/fuzz/$kind/$target"
  done
  if [ "$merge" = yes ]; then
    rm -rf "$corpus.merged"
    mkdir "$corpus.merged"
    # shellcheck disable=SC2086 # a list of folders
    "$build/bin/bitlaw_fuzz" --target="$target" -merge=1 -timeout=10 -rss_limit_mb=2048 "$corpus.merged" "$corpus" $given
    rm -rf "$corpus"
    mv "$corpus.merged" "$corpus"
    continue
  fi
  echo "== $target: $seconds s"
  # shellcheck disable=SC2086
  "$build/bin/bitlaw_fuzz" --target="$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -malloc_limit_mb=1024 -max_len=16384 -print_final_stats=1 -artifact_prefix="$findings/" "$corpus" $given \
    >"$findings/log" 2>&1 || failed="$failed $target"
  grep -E '^(stat::number_of_executed_units|stat::peak_rss_mb|SUMMARY|ERROR)' "$findings/log" || true
done
[ -z "$failed" ] || { echo "Findings:$failed (see $build/findings)"; exit 1; }
