#!/bin/sh
# Makes .venv with the locked dependencies and this package, or repairs it.
# Does nothing, in a fraction of a second, when nothing has changed since.
set -eu

usage() {
    cat <<'TEXT'
Usage: setup_python.sh [--help]

Makes .venv in the repository's directory from requirements.lock. Takes the newest Python
from 3.11 to 3.14 in the PATH, one built with optimizations before one built without;
PYTHON=/path/to/python chooses another one.

Exit status: 0 .venv is up to date, 2 wrong usage, 3 something is missing on this machine.
TEXT
}

case "${1-}" in
    '') ;;
    --help | -h) usage; exit 0 ;;
    *) echo "setup_python.sh: unknown argument $1; --help lists them" >&2; exit 2 ;;
esac

cd "$(dirname "$0")/../.."
VENV=.venv
STAMP=$VENV/guarita.stamp

say() { echo "setup_python.sh: $*"; }
give_up() { echo "setup_python.sh: $*" >&2; exit 3; }
has() { command -v "$1" >/dev/null 2>&1; }

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# Built as distributions build it, with profile and link time optimization. pyenv and a bare
# ./configure leave them out. Debian's own, below /usr, does not tell its options.
is_optimized() {
    "$1" -c 'import sys, sysconfig
options = sysconfig.get_config_var("CONFIG_ARGS") or ""
sys.exit(sys.base_prefix != "/usr" and "--enable-optimizations" not in options)' >/dev/null 2>&1
}

# Every Python in the PATH that is new enough, the newest first, as a path on a line.
pythons() {
    for name in python3.14 python3.13 python3.12 python3.11 python3; do
        (
            IFS=:
            for folder in $PATH; do
                if has "$folder/$name" && is_new_enough "$folder/$name"; then echo "$folder/$name"; fi
            done
        )
    done
}

find_python() {
    if has "${PYTHON-}" && is_new_enough "$PYTHON"; then
        echo "$PYTHON"
        return 0
    fi
    found=$(pythons)
    [ -n "$found" ] || return 1
    for path in $found; do
        if is_optimized "$path"; then
            echo "$path"
            return 0
        fi
    done
    echo "$found" | sed q
}

# What .venv was made from; empty where it does not work.
digest() {
    "$VENV/bin/python" - 2>/dev/null <<'CODE' || true
import hashlib, os, sys
seen = hashlib.sha256(f"{sys.version} {os.getcwd()}".encode())
for path in ("requirements.lock", "pyproject.toml"):
    with open(path, "rb") as file:
        seen.update(file.read())
print(seen.hexdigest())
CODE
}

is_up_to_date() {
    [ -f "$STAMP" ] && [ -x "$VENV/bin/guarita" ] || return 1
    known=$(cat "$STAMP")
    [ -n "$known" ] && [ "$known" = "$(digest)" ]
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif has sudo && sudo -n true 2>/dev/null; then sudo -n "$@"
    elif has sudo && [ -t 0 ]; then sudo "$@"
    else return 1
    fi
}

# Debian and Ubuntu keep what makes a virtual environment in a package of its own.
add_venv_module() {
    package=python$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv
    has apt-get || give_up "$1 has no ensurepip module: install Python's venv package, then try again"
    say "installing $package"
    as_root apt-get update -q || say "the package lists could not be updated; trying as they are"
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "$package" \
        || give_up "$package is needed and could not be installed: as root, apt-get install $package"
}

make_venv() {
    python=$(find_python) || give_up "Python 3.11 or newer is needed and not in the PATH:" \
        "install it (for example: apt-get install python3, dnf install python3.12, brew install python)"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || add_venv_module "$python"
    say "making $VENV with $("$python" --version) ($python)"
    is_optimized "$python" || say "this Python is built without optimizations (--enable-optimizations" \
        "--with-lto): every request takes more processor time than it has to"
    rm -rf "$VENV"
    "$python" -m venv "$VENV"
}

pip_install() { "$VENV/bin/python" -m pip install --quiet "$@"; }

install_with_uv() {
    sed -n '/^uv==/,/[^\\]$/p' requirements.lock >"$VENV/uv.lock"
    pip_install --require-hashes --no-deps -r "$VENV/uv.lock" || return 1
    index=${PIP_INDEX_URL:-$("$VENV/bin/pip" config get global.index-url 2>/dev/null || true)}
    UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index} "$VENV/bin/uv" pip install \
        --quiet --python "$VENV/bin/python" --require-hashes -r requirements.lock
}

is_up_to_date && exit 0
rm -f "$STAMP"
# pip as a script: its first line is wrong in a .venv that was moved.
if ! { is_new_enough "$VENV/bin/python" && "$VENV/bin/pip" --version; } >/dev/null 2>&1; then
    make_venv
fi
say "installing the locked dependencies (the first time takes a minute or two)"
PIP_DISABLE_PIP_VERSION_CHECK=1
export PIP_DISABLE_PIP_VERSION_CHECK
# uv, from the lock itself, takes 3 s where pip takes 17; pip does it where uv cannot.
install_with_uv || pip_install --require-hashes -r requirements.lock --no-compile \
    || give_up "pip could not install the dependencies (see above); run it again to go on"
pip_install --no-deps --no-build-isolation -e . \
    || give_up "pip could not install this package (see above)"
# On all cores; pip uses one. What cannot be compiled is never imported, and what is large and
# seldom imported is compiled then.
"$VENV/bin/python" -m compileall -q -j 0 \
    -x '/(pip|mypy|mypyc|pygments|virtualenv|distlib|grimp|devtools|trio|graphql|granian)/' \
    "$VENV/lib" service >/dev/null 2>&1 || true
digest >"$STAMP"
say "$VENV is ready"
