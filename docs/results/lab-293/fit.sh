#!/bin/sh
# fit.sh STUDY: the fits that the page lab-293 is made of: STUDY/page.json.
set -eu
laws=''
for form in logistic exponential probit; do
  for precision in '' _uniform _bits; do laws="$laws --law anchored_$form$precision"; done
done
# shellcheck disable=SC2086 # options and their values
bitlaw fit "$1" --where "quantizer != 'rtn'" --law stratified_power $laws --select --confidence 0.95 \
  --zone 'B == 2' --zone 'B == 3' --zone 'B >= 3' --json "$1/page.json" > /dev/null
