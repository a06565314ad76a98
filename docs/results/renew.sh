#!/bin/sh
# renew.sh PAGE...: writes each result anew that a page of this folder shows.
#
# Between "<!-- result -->" and "<!-- end -->" a page has a fenced block of shell commands and, after it, what they
# printed, as Markdown. The commands are run in the root of the repository, with build/release/bin before all else on the
# path, and what they print takes the place of what stood there. A command that fails leaves the page as it was.
# Needs jq where the commands do.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
PATH=$root/build/release/bin:$PATH
export PATH
for page; do
  new=$(mktemp)
  trap 'rm -f "$new" "$new.sh"' EXIT
  awk -v root="$root" -v script="$new.sh" '
    function fail(what) {
      print FILENAME ":" NR ": " what > "/dev/stderr"
      failed = 1
      exit 1
    }
    /^<!-- result -->$/ {
      if (inside) fail("a result begins within the one of line " begun ": its \"<!-- end -->\" is missing.")
      inside = 1; begun = NR; state = "before"; commands = ""
    }
    inside && /^<!-- end -->$/ {
      if (state != "after") fail("the result of line " begun " has no block of commands between ```sh and ```.")
      printf "cd \"%s\"\nset -e\n%s", root, commands > script
      close(script)
      print ""
      fflush()
      if (system("sh \"" script "\"") != 0) fail("the commands of line " begun " failed; the page is as it was.")
      print ""
      print
      inside = 0
      next
    }
    !inside { print; next }
    state == "before" { print; if ($0 == "```sh") state = "commands"; next }
    state == "commands" { print; if ($0 == "```") state = "after"; else commands = commands $0 "\n"; next }
    { next }  # What the commands printed last time.
    END { if (!failed && inside) fail("the result of line " begun " has no \"<!-- end -->\".") }
  ' "$page" > "$new"
  cat "$new" > "$page"
done
