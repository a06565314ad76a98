#!/bin/sh
# trajectories.sh FOLDER: models along training. Trains three rungs as train.sh does and keeps them after 156, 312, 625,
# 1,250 and 2,500 of their 5,000 steps: FOLDER/lab-qwen3-123k-step156 and so on, the finished ones without a step. What is
# there is kept; an interrupted run goes on from its last checkpoint. One core; an hour and a half without AMX.
# configs/studies/lab-trajectories.yaml asks a law in training tokens of them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
bin=$here/../../build/release/bin
folder=$1
mkdir -p "$folder"
for rung in lab-qwen3-123k lab-qwen3-492k lab-qwen3-1.8m; do
  [ -d "$folder/$rung" ] && continue
  "$bin/bitlaw_lab" train "$rung" --output "$folder/training/$rung" --snapshots 156,312,625,1250,2500
  for model in "$folder/training/$rung/$rung"*; do
    [ -d "$model" ] || continue
    rm -rf "$folder/$(basename "$model")"
    cp -r "$model" "$folder/$(basename "$model")"
  done
done
echo "$folder: LAB_TRAJECTORIES=$(cd "$folder" && pwd) bitlaw run configs/studies/lab-trajectories.yaml"
