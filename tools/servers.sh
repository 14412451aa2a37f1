#!/usr/bin/env bash
# Installs the servers that tests start for themselves, where this may be done: Debian and root. Otherwise says by name
# what is missing; the tests of a missing server then skip by name. No service is started: each test owns its server.
set -euo pipefail

packages=(
  samba samba-ad-provision samba-dsdb-modules samba-vfs-modules python3-samba ldb-tools
  slapd slapd-contrib ldap-utils
  postgresql redis-server openssl prometheus
  systemd bubblewrap
)
programs=(samba samba-tool slapd slapadd ldapsearch postgres redis-server openssl prometheus promtool systemd-analyze bwrap)

# What `make bench-scim` needs besides. A node that is there, whoever put it there, is taken as it is.
if [[ ${1:-} == bench ]]; then
  packages+=(wrk)
  programs+=(wrk node npm)
  command -v npm >/dev/null || packages+=(nodejs npm)
fi

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
  done
}

missing_programs() {
  local program
  local PATH="$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
  for program in "${programs[@]}"; do
    command -v "$program" >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/$program" >/dev/null || echo "$program"
  done
}

install() {
  local policy=/usr/sbin/policy-rc.d made=""
  if [[ ! -e $policy ]]; then
    made=$policy
    # Packages ask this file before they start a service; 101 says no.
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  # shellcheck disable=SC2064 -- the file's name as it is now
  trap "[[ -z '$made' ]] || rm -f '$made'" EXIT
  export DEBIAN_FRONTEND=noninteractive
  echo "Installing for the tests: $*"
  apt-get update -qq && apt-get install --quiet=2 --yes --no-install-recommends "$@" >/dev/null ||
    echo "apt-get could not install all of them: the tests that need them will be skipped, or fail where CI is set."
}

if ! command -v apt-get >/dev/null; then
  read -r -a missing <<<"$(missing_programs | tr '\n' ' ')"
  [[ ${#missing[@]} -eq 0 ]] || echo "Missing servers, their tests will be skipped: ${missing[*]}"
  exit 0
fi

read -r -a missing <<<"$(missing_packages | tr '\n' ' ')"
[[ ${#missing[@]} -gt 0 ]] || exit 0
if [[ $(id -u) -eq 0 ]]; then
  install "${missing[@]}"
else
  echo "Missing Debian packages, the tests that need them will be skipped. To have them all:"
  echo "  sudo apt-get install --no-install-recommends ${missing[*]}"
fi
