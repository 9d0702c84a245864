#!/usr/bin/env bash
# Brings the real servers that the tests talk to into .tools/bin, without root and without starting a daemon:
# apt-get downloads the distribution's packages into .tools/apt, dpkg-deb unpacks them. What is on the PATH is
# left alone. Where that is impossible it says so and ends well: the tests know what to do without a server.
#
#   tests/servers/install.sh [PROGRAM ...]      default: all
set -euo pipefail

# program | where it is inside its package | the package
SERVERS="
prometheus-pushgateway | usr/bin/prometheus-pushgateway | prometheus-pushgateway
prometheus             | usr/bin/prometheus             | prometheus
promtool               | usr/bin/promtool               | prometheus
"

tools="$(cd "$(dirname "$0")/../.." && pwd)/.tools"

apt() {
  apt-get -qq -o Dir::State::lists="$tools/apt/lists" -o Dir::Cache="$tools/apt/cache" \
    -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none "$@"
}

# Downloads and unpacks a package, unless that has been done.
unpack() {
  local package=$1 root="$tools/packages/$1"
  [[ -d $root ]] && return
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "this system has no apt-get" >&2
    return 1
  fi
  echo "Downloading the package $package"
  mkdir -p "$tools/apt/lists/partial" "$tools/apt/cache/archives/partial" "$tools/packages"
  rm -rf "$tools/apt/download"
  mkdir "$tools/apt/download"
  # One of many sources may be out of reach; whether it mattered, the download tells.
  if [[ -z $(find "$tools/apt/updated" -mtime -1 2>/dev/null) ]]; then
    apt update 2>/dev/null || true
    touch "$tools/apt/updated"
  fi
  (cd "$tools/apt/download" && apt download "$package")
  dpkg-deb --extract "$tools/apt/download/$package"_*.deb "$root.part"
  mv "$root.part" "$root"
  rm -r "$tools/apt/download"
}

provide() {
  local program=$1 inside=$2 package=$3
  if [[ -x $tools/bin/$program ]] || command -v "$program" >/dev/null; then
    return
  fi
  if ! unpack "$package"; then
    echo "$program is missing; install the package $package, or put the program on the PATH" >&2
    return
  fi
  mkdir -p "$tools/bin"
  ln -sf "../packages/$package/$inside" "$tools/bin/$program"
}

while IFS=' |' read -r program inside package; do
  if [[ -n $program ]] && [[ $# == 0 || " $* " == *" $program "* ]]; then
    provide "$program" "$inside" "$package"
  fi
done <<<"$SERVERS"
