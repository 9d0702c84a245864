#!/usr/bin/env bash
# Brings the real servers that the tests talk to, and what looks at processes for them, into .tools/bin, without root
# and without starting a daemon: apt-get downloads the distribution's packages into .tools/apt, dpkg-deb unpacks them.
# What is on the PATH is left alone. Where that is impossible it says so and ends well: the tests know what to do
# without a program.
#
#   tests/servers/install.sh [--into DIRECTORY] [PROGRAM ...]      default: all
#
# DIRECTORY stands for .tools, and gets what this system has, too; but for the packages that those packages need.
set -euo pipefail

# program | where it is inside its package | the package | what it needs: "libraries" of other packages, or the
# directory with files of its own, which it knows by its whole name
SERVERS="
prometheus-pushgateway | usr/bin/prometheus-pushgateway    | prometheus-pushgateway
prometheus             | usr/bin/prometheus                | prometheus
promtool               | usr/bin/promtool                  | prometheus
prometheus-alertmanager | usr/bin/prometheus-alertmanager  | prometheus-alertmanager | /usr/share/prometheus/alertmanager
amtool                 | usr/bin/amtool                    | prometheus-alertmanager
redis-server           | usr/bin/redis-server              | redis-server           | libraries
initdb                 | usr/lib/postgresql/*/bin/initdb   | postgresql             | libraries
chromium               | usr/lib/chromium/chromium         | chromium               | libraries
postgres               | usr/lib/postgresql/*/bin/postgres | postgresql             | libraries
strace                 | usr/bin/strace                    | strace                 | libraries
"

tools="$(cd "$(dirname "$0")/../.." && pwd)/.tools"
system=yes
if [[ ${1:-} == --into ]]; then
  tools=$(mkdir -p "$2" && cd "$2" && pwd) system=
  shift 2
fi

apt() {
  apt-get -qq -o Dir::State::lists="$tools/apt/lists" -o Dir::Cache="$tools/apt/cache" \
    -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none "$@"
}

# Downloads and unpacks a package, with the packages that it needs and this system lacks where "libraries" is said,
# unless that has been done.
unpack() {
  local package=$1 needs=$2 root="$tools/packages/$1" file
  [[ -d $root ]] && return
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "this system has no apt-get" >&2
    return 1
  fi
  echo "Downloading the package $package"
  mkdir -p "$tools/apt/lists/partial" "$tools/apt/cache/archives/partial" "$tools/packages"
  rm -rf "$tools/apt/download"
  mkdir -p "$tools/apt/download/partial"
  # One of many sources may be out of reach; whether it mattered, the download tells.
  if [[ -z $(find "$tools/apt/updated" -mtime -1 2>/dev/null) ]]; then
    apt update 2>/dev/null || true
    touch "$tools/apt/updated"
  fi
  if [[ $needs == libraries ]]; then
    # Nothing is installed; without the lock it needs no root.
    apt -o Debug::NoLocking=1 -o Dir::Cache::archives="$tools/apt/download" \
      install --download-only --reinstall --yes --no-install-recommends "$package" || return 1
  else
    (cd "$tools/apt/download" && apt download "$package") || return 1
  fi
  for file in "$tools/apt/download"/*.deb; do
    dpkg-deb --extract "$file" "$root.part" || return 1
  done
  mv "$root.part" "$root"
  rm -r "$tools/apt/download"
}

# Prints the first of the files that a pattern names, if there is one.
first() {
  local file
  for file in $1; do
    if [[ -x $file ]]; then
      echo "$file"
      return
    fi
  done
}

# A program that finds the libraries that were unpacked with it.
wrap() {
  local program=$1 root=$2 found=$3 directories
  directories=$(find "$root" -name 'lib*.so*' -printf '%h\n' | sort -u | paste -sd:)
  printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\n' "$directories" "$found" >"$tools/bin/$program.part"
  chmod 755 "$tools/bin/$program.part"
  mv "$tools/bin/$program.part" "$tools/bin/$program"
}

# A program that finds its files where they were unpacked: their directory, written into it as a constant, becomes
# its working directory, by a name of the same length.
relocate() {
  local program=$1 root=$2 found=$3 directory=$4 here
  here=$(printf "%-${#directory}s" /proc/self/cwd | tr ' ' /)
  LC_ALL=C sed "s#$directory#$here#g" "$found" >"$found.relocated"
  chmod 755 "$found.relocated"
  printf '#!/bin/sh\ncd "%s" && exec "%s" "$@"\n' "$root$directory" "$found.relocated" >"$tools/bin/$program.part"
  chmod 755 "$tools/bin/$program.part"
  mv "$tools/bin/$program.part" "$tools/bin/$program"
}

provide() {
  local program=$1 inside=$2 package=$3 needs=$4 found
  if [[ -x $tools/bin/$program ]] || { [[ $system ]] && command -v "$program" >/dev/null; }; then
    return
  fi
  mkdir -p "$tools/bin"
  if [[ $system ]] && found=$(first "/$inside") && [[ $found ]]; then # installed, but not on the PATH
    ln -sf "$found" "$tools/bin/$program"
    return
  fi
  if ! unpack "$package" "$needs" || ! found=$(first "$tools/packages/$package/$inside") || [[ ! $found ]]; then
    echo "$program is missing; install the package $package, or put the program on the PATH" >&2
    return
  fi
  if [[ $needs == libraries ]]; then
    wrap "$program" "$tools/packages/$package" "$found"
  elif [[ $needs ]]; then
    relocate "$program" "$tools/packages/$package" "$found" "$needs"
  else
    ln -sf "../packages/${found#"$tools/packages/"}" "$tools/bin/$program"
  fi
}

while IFS=' |' read -r program inside package needs; do
  if [[ -n $program ]] && [[ $# == 0 || " $* " == *" $program "* ]]; then
    provide "$program" "$inside" "$package" "$needs"
  fi
done <<<"$SERVERS"
