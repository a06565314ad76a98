#!/bin/sh
# Whether each relative link of the pages below a folder, symbolic links followed, leads to a file. Links in code do not count.
set -eu
folder=$1
links=$(mktemp)
trap 'rm -f "$links"' EXIT
find -L "$folder" -name '*.md' | while read -r page; do
  awk '/^```/ { code = !code } !code' "$page" | grep -oE '\]\([^)#:]+' | sed 's/^](//' | grep -vx 'https\?' | while read -r link; do
    [ -e "$(dirname "$page")/$link" ] || echo "$page links to $link, which is not there"
    echo "$link" >> "$links"
  done
done > "$links.missing"
missing=$(cat "$links.missing"); rm -f "$links.missing"
if [ -n "$missing" ]; then echo "$missing"; exit 1; fi
count=$(wc -l < "$links")
[ "$count" -ge 100 ] || { echo "only $count links below $folder"; exit 1; }
echo "every link is there: $count"
