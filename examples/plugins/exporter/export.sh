#!/bin/sh
# Quantizes a small model and writes it in the format of the plugin, to the folder `exported`.
#   sh export.sh [bitlaw]
set -eu
bitlaw=${1:-bitlaw}
model=../../knowledge-lab/models/lab-qwen3-123k
"$bitlaw" quantize "$model" --quantizer rtn --option bits=4 --option group_size=32 --output codes.safetensors
"$bitlaw" --plugin build export codes.safetensors --model "$model" --format my_exporter --output exported
cat exported/layers.csv
