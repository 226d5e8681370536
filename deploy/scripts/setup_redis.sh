#!/bin/sh
# Installs a server for local installations: Valkey 7.2 or Redis 7.0, or newer.
# Does nothing where one is installed; starts no server and leaves no system service behind.
set -eu

usage() {
    cat <<'TEXT'
Usage: setup_redis.sh [--dry-run] [--docker] [--help]

Installs valkey-server or redis-server (Valkey 7.2, Redis 7.0 or newer) by the system's
package manager (apt, dnf, yum, apk, pacman, zypper, Homebrew), unless one is installed.

  --dry-run  print the commands instead of running them
  --docker   run Valkey in a container on 127.0.0.1:6379 instead (topology: standalone)
  --help     print this text

Exit status: 0 a server is there, 2 wrong usage, 3 none can be installed here.
TEXT
}

DRY_RUN=
DOCKER=
for argument in "$@"; do
    case $argument in
        --dry-run) DRY_RUN=yes ;;
        --docker) DOCKER=yes ;;
        --help | -h) usage; exit 0 ;;
        *) echo "setup_redis.sh: unknown argument $argument; --help lists them" >&2; exit 2 ;;
    esac
done

CONTAINER=guarita-valkey
IMAGE=valkey/valkey:8.1
WITHOUT='run without one by: make run STORE=memory'

say() { echo "setup_redis.sh: $*"; }
give_up() { echo "setup_redis.sh: $*; $WITHOUT" >&2; exit 3; }
has() { command -v "$1" >/dev/null 2>&1; }

run() {
    if [ -n "$DRY_RUN" ]; then echo "$*"; else "$@"; fi
}

# Root by sudo where needed; never waits for a password that nobody can type.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        run "$@"
    elif ! has sudo; then
        give_up "installing a server needs root, and sudo is not here"
    elif [ -n "$DRY_RUN" ]; then
        run sudo "$@"
    elif sudo -n true 2>/dev/null; then
        sudo -n "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        give_up "installing a server needs root, and sudo asks for a password"
    fi
}

# is_new_enough NAME VERSION
is_new_enough() {
    major=${2%%.*}
    rest=${2#*.}
    minor=${rest%%[!0-9]*}
    case $1 in valkey*) oldest=702 ;; *) oldest=700 ;; esac
    [ "$((major * 100 + ${minor:-0}))" -ge "$oldest" ] 2>/dev/null
}

# Says which server is installed; false where none is new enough.
find_server() {
    for name in valkey-server redis-server; do
        if has "$name"; then
            # What the program calls itself counts: redis-server may be a link to Valkey.
            line=$("$name" --version 2>/dev/null) || continue
            version=$(echo "$line" | sed -n 's/.* v=\([0-9][0-9.]*\).*/\1/p')
            case $line in Valkey*) family=valkey ;; *) family=redis ;; esac
            if [ -n "$version" ] && is_new_enough "$family" "$version"; then
                say "$name $version is installed: $(command -v "$name")"
                return 0
            fi
        fi
    done
    return 1
}

# The version that apt would install, without its epoch; empty where it has none.
apt_version() {
    apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: \([0-9]*:\)\{0,1\}\([0-9].*\)/\2/p'
}

apt_package() {
    for package in valkey-server redis-server; do
        version=$(apt_version "$package")
        if [ -n "$version" ] && is_new_enough "$package" "$version"; then
            echo "$package"
            return 0
        fi
    done
    return 1
}

# Debian's packages start and enable a system service on port 6379, which nobody asked for.
POLICY=/usr/sbin/policy-rc.d
unset_policy() { as_root rm -f "$POLICY"; }

with_apt() {
    as_root apt-get update -q || say "the package lists could not be updated; trying as they are"
    if ! package=$(apt_package); then
        [ -z "$DRY_RUN" ] || { as_root apt-get install -y valkey-server; return 0; }
        give_up "apt has neither Valkey 7.2 nor Redis 7.0 or newer"
    fi
    if [ ! -e "$POLICY" ]; then
        [ -n "$DRY_RUN" ] || trap unset_policy EXIT
        as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$POLICY && chmod 755 $POLICY"
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$package"
    if [ -d /run/systemd/system ]; then
        as_root systemctl disable "$package" || say "the service $package could not be disabled"
    fi
    if [ -n "$DRY_RUN" ] && [ ! -e "$POLICY" ]; then unset_policy; fi
}

# with_rpm dnf|yum
with_rpm() {
    package=redis
    if "$1" -q list valkey >/dev/null 2>&1; then package=valkey; fi
    as_root "$1" install -y "$package"
}

with_apk() {
    as_root apk update -q
    package=redis
    if [ -n "$(apk search -q -e valkey 2>/dev/null)" ]; then package=valkey; fi
    as_root apk add "$package"
}

with_zypper() {
    package=redis
    if zypper -q --non-interactive search -x valkey >/dev/null 2>&1; then package=valkey; fi
    as_root zypper --non-interactive install "$package"
}

with_docker() {
    has docker || give_up "--docker needs docker, which is not here"
    if docker container inspect "$CONTAINER" >/dev/null 2>&1; then
        run docker start "$CONTAINER" || give_up "docker could not start $CONTAINER"
    else
        run docker run -d --name "$CONTAINER" -p 127.0.0.1:6379:6379 "$IMAGE" \
            || give_up "docker could not run $IMAGE"
    fi
    say "Valkey in the container $CONTAINER: topology standalone, 127.0.0.1:6379"
}

install_server() {
    if [ "$(uname -s)" = Darwin ]; then
        has brew || give_up "no server is installed and Homebrew (https://brew.sh) is not here"
        run brew install valkey
    elif has apt-get; then with_apt
    elif has dnf; then with_rpm dnf
    elif has yum; then with_rpm yum
    elif has apk; then with_apk
    elif has pacman; then as_root pacman -S --noconfirm --needed valkey
    elif has zypper; then with_zypper
    else give_up "no server is installed and no known package manager is here"
    fi
}

if [ -n "$DOCKER" ]; then
    with_docker
    exit 0
fi
find_server && exit 0
say "no Valkey 7.2 or Redis 7.0 or newer is installed yet"

set +e
(set -e; install_server)
status=$?
set -e
[ "$status" != 3 ] || exit 3
[ "$status" = 0 ] || give_up "the installation failed (status $status, see above)"
[ -z "$DRY_RUN" ] || exit 0
find_server || give_up "what the package manager installed is older than Valkey 7.2 and Redis 7.0"
