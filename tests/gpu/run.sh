#!/bin/sh
# Checks parity of bitlaw on an NVIDIA GPU with the CPU, and times it beside lm-evaluation-harness, without a network.
#
#   tests/gpu/run.sh [--build TREE] [--carry DIR] [--wheels DIR] [--only PARTS] [--device cpu --shape tiny] [...]
#
# tests/gpu/README.md says what each option means, what the folders hold and what is printed. Where there is no GPU it
# prints one line that begins with "gpu: skipped:" and ends with exit code 0; so it does for a build without CUDA.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$here/../../build/cuda
python=${PYTHON:-python3}
device=cuda
wheels=
libraries=

# Options of this script are taken out; measure.py gets the rest.
count=$#
while [ "$count" -gt 0 ]; do
  word=$1
  shift
  count=$((count - 1))
  case $word in
    --build | --wheels | --device | --library-path)
      [ "$count" -gt 0 ] || { echo "gpu: $word needs a value" >&2; exit 2; }
      case $word in
        --build) build=$1 ;;
        --wheels) wheels=$1 ;;
        --device) device=$1; set -- "$@" "$word" "$1" ;;
        --library-path) libraries="$libraries $1"; set -- "$@" "$word" "$1" ;;
      esac
      shift
      count=$((count - 1)) ;;
    *) set -- "$@" "$word" ;;
  esac
done

if [ "$device" != cpu ]; then
  command -v nvidia-smi >/dev/null 2>&1 || {
    echo "gpu: skipped: no nvidia-smi on PATH, so no NVIDIA GPU here"
    exit 0
  }
  nvidia-smi -L 2>/dev/null | grep -q '^GPU ' || { echo "gpu: skipped: nvidia-smi lists no GPU"; exit 0; }
fi
command -v "$python" >/dev/null 2>&1 || {
  echo "gpu: no '$python' on PATH; name a Python 3.10 or newer with PYTHON=" >&2
  exit 2
}
[ -x "$build/bin/bitlaw" ] || {
  echo "gpu: $build/bin/bitlaw: no such program. Build with the preset 'cuda', or name a tree with --build." >&2
  exit 2
}
if [ "$device" != cpu ]; then
  code=0
  # shellcheck disable=SC2086  # Folders, one a word.
  "$python" -B "$here/program.py" --has-cuda "$build" $libraries || code=$?
  [ "$code" != 3 ] || { echo "gpu: skipped: $build was built against a libtorch without CUDA"; exit 0; }
  [ "$code" = 0 ] || exit "$code"
fi

# Wheels of lm_eval and of what it needs, where the machine's Python lacks them. Python imports them as they are.
if [ -n "$wheels" ]; then
  for wheel in "$(cd "$wheels" && pwd)"/*.whl; do
    case $wheel in
      *-none-any.whl) PYTHONPATH=$wheel${PYTHONPATH:+:$PYTHONPATH} ;;
      *) echo "gpu: $wheel: no wheel of pure Python, or none at all; install it into $python" >&2; exit 2 ;;
    esac
  done
  export PYTHONPATH
fi
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
exec "$python" "$here/measure.py" --build "$build" "$@"
