#!/usr/bin/env bash
# Installs the real agents that tests/agents runs: pinned npm packages, a folder each.
#   packaging/agents.sh [NAME...]        names from packaging/agents.json; default: all (2 GB)
# They go below UNDERGLASS_AGENTS_DIR (default .venv/npm-agents); what is there is not fetched again.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'agents: %s\n' "$*" >&2; }
command -v npm >/dev/null || { say "npm is needed: apt-get install npm"; exit 1; }
cache=${UNDERGLASS_AGENTS_DIR:-.venv/npm-agents}
export npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false

# One line an agent: its name, then its packages as NAME@VERSION.
list=$(python3 - "$@" <<'PYTHON'
import json, sys

agents = json.load(open("packaging/agents.json"))
unknown = set(sys.argv[1:]) - set(agents)
if unknown:
    sys.exit(f"agents: not in packaging/agents.json: {', '.join(sorted(unknown))}")
for name in sys.argv[1:] or agents:
    print(name, *(f"{package}@{version}" for package, version in agents[name].items()))
PYTHON
)
while read -r name packages; do
  folder=$cache/$name
  [ "$(cat "$folder/.installed" 2>/dev/null)" = "$packages" ] && continue
  say "installing $packages"
  rm -rf "$folder"
  mkdir -p "$folder"
  # A package.json of its own keeps npm from installing into a folder further up.
  echo '{"private": true}' > "$folder/package.json"
  # shellcheck disable=SC2086  # a list of packages
  npm install --prefix "$folder" --no-save --loglevel=error $packages >&2 </dev/null
  echo "$packages" > "$folder/.installed"
done <<< "$list"
