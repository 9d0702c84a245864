#!/usr/bin/env bash
# The tests of the plugin half with other versions of Python, or of what the package depends on.
#
#   tests/versions/run.sh python VERSION [TEST...]    3.12, or 3.14t for the free-threaded build
#   tests/versions/run.sh lowest [TEST...]            exactly the lowest versions that pyproject.toml names
#   tests/versions/run.sh newest [TEST...]            the newest releases
#   tests/versions/run.sh pre [TEST...]               the newest releases and pre-releases
#   tests/versions/run.sh list                        the Pythons that are here without Debian's newer suites
#
# TEST: what pytest is given; by default tests/core, tests/config, tests/plugin and tests/publishers. A Python is looked
# for on the PATH and with pyenv. As root where debootstrap is installed, one that is missing comes from Debian's next
# release, in a directory of its own. Each has an environment in .tools/versions, which is used again.
set -euo pipefail
cd "$(dirname "$0")/../.."

root=$PWD
places=$(mkdir -p .tools/versions && cd .tools/versions && pwd -P)
suite=forky
minors=(11 12 13 14 15)
prefix=() # what a command is run by, where the interpreter is that of another Debian

here() { # VERSION -> the interpreter, where this machine has it
  local name=python$1 found
  for found in "$(command -v "$name" || true)" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"${1%t}".*/bin/"$name"; do
    # A shim of pyenv is there for versions that are not; it fails when it is run.
    if [[ -n $found ]] && "$found" -c '' 2>/dev/null; then
      echo "$found"
      return
    fi
  done
  return 1
}

debian() { # make another Debian, once
  local base=$places/$suite version=$1
  if [[ $(id -u) != 0 ]] || ! command -v debootstrap >/dev/null; then
    echo "python$version is missing: install it, or run this as root where debootstrap is installed" >&2
    return 1
  fi
  if ! [[ -e $base/.ready ]]; then
    echo "Making a Debian $suite" >&2
    rm -rf "$base"
    # g++ and the libraries: google-re2 has no wheel for every Python.
    debootstrap --variant=minbase \
      --include=ca-certificates,git,g++,libabsl-dev,libre2-dev,pybind11-dev,python3.14-venv,python3.15-venv,python3.15-dev \
      $suite "$base" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" /usr/share/debootstrap/scripts/sid >&2
    cp /etc/ssl/certs/ca-certificates.crt "$base/etc/ssl/certs/"
    touch "$base/.ready"
  fi
  [[ -x $base/usr/bin/python$version ]] || { echo "Debian $suite has no python$version" >&2; return 1; }
}

inside() { # BASE PLACES ROOT DIRECTORY... -- COMMAND...: run a command in another Debian, with these directories
  local base=$1 place
  shift
  while [[ $1 != -- ]]; do
    place=$1
    shift
    mkdir -p "$base$place"
    mount --rbind "$place" "$base$place"
  done
  shift
  cp /etc/resolv.conf "$base/etc/resolv.conf"
  exec chroot "$base" /usr/bin/env -C "$PWD" LANG=C.UTF-8 "$@"
}

floors() { # the lowest versions, as constraints
  "$1" - <<'PYTHON'
import re, tomllib

project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = (one for group in project["optional-dependencies"].values() for one in group)
for one in (*project["dependencies"], *extras):
    if found := re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[.*\])?>=([0-9.]+)", one):
        print(f"{found[1]}=={found[2]}")
PYTHON
}

what=${1:?python, lowest, newest, pre or list}
shift
version=3.11
if [[ $what == list ]]; then
  for minor in "${minors[@]}"; do ! here "3.$minor" >/dev/null || echo "3.$minor"; done
  exit
fi
if [[ $what == python ]]; then
  version=${1:?a version, such as 3.12}
  shift
elif ! here $version >/dev/null; then
  version=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
fi
name=$what
[[ $what != python ]] || name=python$version
place=$places/$name
if ! python=$(here "$version"); then
  debian "$version"
  python=/usr/bin/python$version
  export -f inside
  # shellcheck disable=SC2016
  prefix=(unshare --mount bash -c 'inside "$@"' inside "$places/$suite" /proc /dev /tmp "$places" "$root" --)
fi

options=()
case $what in
  lowest) floors .venv/bin/python >"$places/lowest.txt"; options=(--constraint "$places/lowest.txt") ;;
  pre) options=(--pre --upgrade --upgrade-strategy eager) ;;
  *) options=(--upgrade) ;;
esac
[[ -x $place/bin/pytest && $what == lowest && $places/lowest.txt -ot $place/.ready ]] || "${prefix[@]}" "$python" -m venv "$place"
"${prefix[@]}" "$place/bin/python" -m pip install --quiet --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
"${prefix[@]}" "$place/bin/python" -m pip install --quiet --disable-pip-version-check "${options[@]}" \
  --editable '.[all]' --group versions
"${prefix[@]}" "$place/bin/python" -m pip list --disable-pip-version-check |
  grep -iE '^(pytest|coverage|execnet|pluggy|prometheus|psutil)' | tr -s ' ' | paste -sd ',' | sed 's/,/, /g'
(($#)) || set -- tests/core tests/config tests/plugin tests/publishers
"${prefix[@]}" "$place/bin/python" -m pytest -q -p no:cacheprovider -n logical "$@"
