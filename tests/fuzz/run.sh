#!/bin/sh
# Fuzzes the readers with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer; builds what that takes.
#
#   tests/fuzz/run.sh                    every target, ten minutes each
#   tests/fuzz/run.sh yaml               one target, ten minutes
#   tests/fuzz/run.sh "yaml json" 60     these targets, a minute each
#   tests/fuzz/run.sh all 60             every target, a minute each
#   tests/fuzz/run.sh --merge [target]   keeps of the corpus what covers something of its own
#
# Two builds, since no clang of Debian 12 takes the headers of its libtorch: clang's (build/fuzz) for all targets but
# those that need libtorch, g++'s with the engine of clang's runtime (build/fuzz-torch) for those of targets/tensor,
# where one is named or FUZZ_TORCH=yes is set.
#
# $CXX names the clang++ (the newest that is found), $FUZZ_GXX the g++ (g++), $FUZZ_BUILD the build folder, $FUZZ_JOBS
# the compilers at once (2). What a target finds is kept in <build folder>/findings/<target>, and is tried again by the
# next run. The last lines are a table of the targets and the verdict. Exit status: 0 nothing found, 1 a finding or a target
# that did not run, 2 no compiler, no such target, or a build that failed.
set -u
cd "$(dirname "$0")/../.." || exit 2

merge=no
if [ "${1:-}" = --merge ]; then
  merge=yes
  shift
fi
wanted=${1:-all}
seconds=${2:-600}
build=${FUZZ_BUILD:-build/fuzz}
jobs=${FUZZ_JOBS:-2}

die() {
  echo "$*" >&2
  exit 2
}
case $seconds in '' | *[!0-9]* | 0) die "'$seconds' is no number of seconds." ;; esac

compiler=${CXX:-}
for name in clang++ clang++-19 clang++-18 clang++-17 clang++-16 clang++-15 clang++-14; do
  [ -n "$compiler" ] || compiler=$(command -v "$name" || true)
done
[ -n "$compiler" ] || die "No clang++ found. Debian: apt install clang llvm (or set CXX)."

# A build folder that another compiler made is configured from the start: CMake alone would forget the preset.
configure() {
  fresh=
  compiler_path=$(command -v "$3" || echo "$3")
  grep -qs "^CMAKE_CXX_COMPILER:[A-Z]*=$compiler_path\$" "$2/CMakeCache.txt" || fresh=--fresh
  preset=$1 folder=$2
  shift 3
  # shellcheck disable=SC2086 # nothing, or an option
  cmake $fresh --preset "$preset" -B "$folder" -DCMAKE_CXX_COMPILER="$compiler_path" "$@" >/dev/null
}

# Every target that the sources register; a build that lacks one fails.
registered() { sed -n 's/^const Register k[A-Za-z]*("\([a-z_]*\)".*/\1/p' "$@"; }
left_out=
torch_targets=$(registered tests/fuzz/targets/tensor/*.cc)
targets=$(registered tests/fuzz/targets/*.cc tests/fuzz/targets/tensor/*.cc | sort)
[ -n "$targets" ] || die "tests/fuzz/targets registers no target."
if [ "$wanted" != all ]; then
  for target in $wanted; do
    echo "$targets" | grep -qx "$target" || die "No target '$target'. Targets: $(echo $targets)"
  done
  targets=$wanted
fi
if [ "$wanted" = all ] && [ "${FUZZ_TORCH:-no}" != yes ]; then
  for target in $torch_targets; do targets=$(echo "$targets" | grep -vx "$target"); done
  left_out=$(echo $torch_targets)
fi
is_torch() { echo "$torch_targets" | grep -qx "$1"; }
folder_of() { if is_torch "$1"; then echo "$build-torch"; else echo "$build"; fi; }

plain=no torch=no
for target in $targets; do
  if is_torch "$target"; then torch=yes; else plain=yes; fi
done
if [ $plain = yes ]; then
  { configure fuzz "$build" "$compiler" &&
    cmake --build "$build" --parallel "$jobs" --target bitlaw_fuzz bitlaw_fuzz_replay; } ||
    die "The build of $build failed."
fi
if [ $torch = yes ]; then
  engine=$("$compiler" -print-file-name=libclang_rt.fuzzer-x86_64.a)
  [ -f "$engine" ] || engine=$("$compiler" -print-file-name=libclang_rt.fuzzer.a)
  [ -f "$engine" ] || die "$compiler has no libFuzzer. Debian: apt install llvm (libclang-rt-*-dev)."
  { configure fuzz-torch "$build-torch" "${FUZZ_GXX:-g++}" -DBITLAW_FUZZ_ENGINE="$engine" &&
    cmake --build "$build-torch" --parallel "$jobs" --target bitlaw_fuzz bitlaw_fuzz_replay; } ||
    die "The build of $build-torch failed."
fi
for target in $targets; do
  folder=$(folder_of "$target")
  "$folder/bin/bitlaw_fuzz_replay" --list | grep -qx "$target" || die "$folder was built without target '$target'."
done

export ASAN_OPTIONS="detect_leaks=1:allocator_may_return_null=0:detect_container_overflow=0:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
summary=$build/summary.txt
mkdir -p "$build"
: >"$summary"
failed=
for target in $targets; do
  folder=$(folder_of "$target")
  corpus=$folder/corpus/$target findings=$folder/findings/$target samples=$folder/samples/$target
  log=$folder/logs/$target.log
  mkdir -p "$corpus" "$findings" "$samples" "$folder/logs"
  if ! "$folder/bin/bitlaw_fuzz_replay" "$target" --write-samples="$samples"; then
    echo "$target: its samples cannot be written" | tee -a "$summary"
    failed="$failed $target"
    continue
  fi
  # What an earlier run found is tried again: mended, it is one more seed.
  given="$samples $findings"
  for kind in seeds regressions; do
    [ ! -d "tests/fuzz/$kind/$target" ] || given="$given tests/fuzz/$kind/$target"
  done
  if [ $merge = yes ]; then
    rm -rf "$corpus.merged"
    mkdir "$corpus.merged"
    # shellcheck disable=SC2086 # a list of folders
    if "$folder/bin/bitlaw_fuzz" --target="$target" -merge=1 -timeout=10 -rss_limit_mb=2048 "$corpus.merged" \
      "$corpus" $given >"$log" 2>&1; then
      rm -rf "$corpus"
      mv "$corpus.merged" "$corpus"
      echo "$target: $(find "$corpus" -type f | wc -l) inputs kept"
    else
      echo "$target: merging failed, see $log"
      failed="$failed $target"
    fi
    continue
  fi
  echo "== $target: $seconds s"
  before=$(date +%s)
  # shellcheck disable=SC2086
  "$folder/bin/bitlaw_fuzz" --target="$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -malloc_limit_mb=1024 -max_len=16384 -print_final_stats=1 -artifact_prefix="$findings/" "$corpus" $given \
    >"$log" 2>&1
  status=$?
  took=$(($(date +%s) - before))
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
  covered=$(grep -oE ' (cov|ft): [0-9]+' "$log" | tail -2 | tr -d '\n')
  verdict=ok
  if [ $status -ne 0 ]; then
    kept=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
    verdict="FOUND (status $status) ${kept:-no input: see $log}"
    failed="$failed $target"
    grep -E '^(SUMMARY|==[0-9]+==ERROR|fuzz: |.*runtime error)|Test unit written' "$log" | head -5
  elif [ "${runs:-0}" -eq 0 ]; then
    verdict="DID NOT RUN, see $log"
    failed="$failed $target"
  fi
  printf '%-17s %10s inputs %5s s %-22s %s\n' "$target" "${runs:-0}" "$took" "$covered" "$verdict" | tee -a "$summary"
done
if [ $merge = no ]; then
  echo
  echo "Target, inputs tried, seconds, edges and features covered, verdict (also in $summary):"
  cat "$summary"
fi
if [ -n "$failed" ]; then
  echo "FAILED:$failed. What was found is kept in $build*/findings; tests/fuzz/README.md says what to do with it."
  exit 1
fi
echo "$(echo $targets | wc -w) targets, nothing found.${left_out:+ Left out: $left_out (FUZZ_TORCH=yes).}"
