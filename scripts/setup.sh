# shellcheck shell=bash
# Sourced by run, test, bench: makes ready what they need and does nothing where it is there.
#
#   . scripts/setup.sh              sets $root and $venv, defines set_up
#   set_up runtime|dev [PROGRAM…]   .venv with the locked packages; PostgreSQL, Redis, Mosquitto,
#                                   and what Mosquitto's plugin is built with;
#                                   for dev also what builds the broker's image without a daemon,
#                                   and a browser, where the system's packages have one;
#                                   other programs, each of the system package of its name
#
# Messages go to standard error, one line a step. Several at once are safe.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv

say() { printf 'plumbline: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit 2
}

set_up() {
    local kind=$1
    shift
    if _servers_installed && _tools_installed "$kind" && _has_programs "$@" &&
        _packages_installed "$kind" && _plugin_tools_settled && _browser_settled "$kind"; then
        return 0
    fi
    mkdir -p "$root/.cache"
    exec 9>"$root/.cache/set-up.lock"
    flock 9
    _install_system_packages "$kind" "$@"
    _plugin_tools_settled || _install_plugin_tools
    _browser_settled "$kind" || _install_browser
    _packages_installed "$kind" || _install_packages "$kind"
    exec 9>&-
}

# --- Python ---------------------------------------------------------------------------------

# All that decides what belongs into .venv; the path too, as the installation names it.
_fingerprint() {
    {
        printf '%s\n' "$1" "$root"
        cat "$root/pyproject.toml" "$root/requirements/$1.txt"
    } | sha256sum | cut -d ' ' -f 1
}

_packages_installed() {
    local installed
    [ -x "$venv/bin/python" ] && installed=$(cat "$venv/installed" 2>/dev/null) || return 1
    # What the tests need holds all that the system needs.
    [ "$installed" = "$(_fingerprint "$1")" ] || [ "$installed" = "$(_fingerprint dev)" ]
}

_is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

_find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11 python3.14; do
        if command -v "$name" >/dev/null && _is_new_enough "$name"; then
            command -v "$name"
            return
        fi
    done
    die "Python 3.11 or newer is needed, and none was found"
}

# Debian splits this off Python.
_can_make_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

_venv_works() {
    _is_new_enough "$venv/bin/python" && [ ! -e "$venv/incomplete" ]
}

_make_venv() {
    local python
    python=$(_find_python) || exit 2
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear "$venv" || die "$python could not make .venv"
    printf '%s\n' "$root" >"$venv/root"
}

_pip() {
    # Settings of the user's that would install elsewhere.
    PIP_USER=0 PIP_TARGET='' PIP_PREFIX='' PYTHONPATH='' \
        "$venv/bin/python" -m pip -qq --disable-pip-version-check --no-input "$@" 9>&- >&2
}

_install_packages() {
    # What an interrupted installation left is not trusted; what was moved names its old place.
    if ! _venv_works || [ "$(cat "$venv/root" 2>/dev/null || printf '%s' "$root")" != "$root" ]; then
        _make_venv
    elif ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        "$venv/bin/python" -m ensurepip >/dev/null || _make_venv
    fi
    : >"$venv/incomplete"
    rm -f "$venv/installed"
    say "installing Python packages from requirements/$1.txt"
    if ! _pip install --require-hashes -r "$root/requirements/$1.txt" ||
        ! _pip install --no-deps --no-build-isolation -e "$root"; then
        die "the Python packages could not be installed"
    fi
    _fingerprint "$1" >"$venv/installed"
    rm "$venv/incomplete"
}

# --- Servers --------------------------------------------------------------------------------

_has_program() {
    command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || [ -x "/usr/local/sbin/$1" ]
}

_has_programs() {
    local program
    for program in "$@"; do
        _has_program "$program" || return 1
    done
}

_has_postgres() {
    local program version
    for program in /usr/lib/postgresql/*/bin/postgres; do
        version=${program#/usr/lib/postgresql/}
        if [ -x "$program" ] && [ "${version%%/*}" -ge 15 ] 2>/dev/null; then
            return 0
        fi
    done
    command -v postgres >/dev/null && command -v initdb >/dev/null
}

_servers_installed() {
    _has_postgres && _has_program redis-server && _has_program mosquitto
}

_tools_installed() {
    [ "$1" != dev ] || { _has_program buildah && _has_program mmdebstrap; }
}

_install_system_packages() {
    local packages=() python program kind=$1
    shift
    _tools_installed "$kind" || packages+=(buildah mmdebstrap debian-archive-keyring)
    _has_postgres || packages+=(postgresql)
    _has_program redis-server || packages+=(redis-server)
    _has_program mosquitto || packages+=(mosquitto)
    for program in "$@"; do
        _has_program "$program" || packages+=("$program")
    done
    if ! _venv_works; then
        python=$(_find_python) || exit 2
        _can_make_venv "$python" ||
            packages+=("$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')")
    fi
    [ ${#packages[@]} -eq 0 ] || _apt_install "${packages[@]}"
    _has_postgres || die "PostgreSQL 15 or newer is needed; this system's package is older"
}

# --- The broker's plugin ---------------------------------------------------------------------

_no_plugin_tools=$root/.cache/no-plugin-tools

_plugin_tools_settled() {
    [ -e "$_no_plugin_tools" ] || _has_plugin_tools
}

_has_plugin_tools() {
    # shellcheck disable=SC2086 # each is a list of words
    printf '#include <%s>\n' stdio.h mosquitto.h mosquitto_broker.h mosquitto_plugin.h |
        ${CC:-cc} ${CPPFLAGS:-} -shared ${LDFLAGS:-} -o /dev/null -x c - -lmosquitto >/dev/null 2>&1
}

# Without them the broker runs and keeps less: `plumbline up` and `plumbline status` say so.
_install_plugin_tools() {
    # In a shell of its own, as nothing else needs them: what fails here does not end the set-up.
    if ! (_apt_install gcc libc6-dev mosquitto-dev libmosquitto-dev) || ! _has_plugin_tools; then
        say "WARNING: the broker's plugin cannot be built here. A crash of the broker will lose" \
            "readings that it has acknowledged. To try again: rm $_no_plugin_tools"
        : >"$_no_plugin_tools"
    fi
}

# --- Browser --------------------------------------------------------------------------------

_no_browser=$root/.cache/no-browser

_browser_settled() {
    local program
    [ "$1" = dev ] && [ ! -e "$_no_browser" ] || return 0
    for program in chromium-headless-shell chromium chromium-browser google-chrome; do
        if command -v "$program" >/dev/null; then
            return 0
        fi
    done
    return 1
}

# Without one, the test that looks at a page is skipped; nothing else needs it.
_install_browser() {
    if command -v apt-get >/dev/null && { [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null; }; then
        _as_root apt-get -qq update >/dev/null 2>&1 9>&- || true
        if [ -n "$(apt-cache show chromium-headless-shell 2>/dev/null)" ]; then
            _apt_install chromium-headless-shell
            return
        fi
    fi
    say "no browser among the system's packages: the test of the page is skipped"
    : >"$_no_browser"
}

_as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# Installs packages without the services that they would start on their default ports: Plumbline
# starts servers of its own, with data directories of its own.
_apt_install() {
    command -v apt-get >/dev/null || die "please install $*; there is no apt-get to do it"
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        die "please run as root: apt-get install $*"
    fi
    say "installing $* with apt-get"
    _hold_services
    trap _release_services EXIT
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600)
    # One source may be away, and another have it.
    _as_root "${apt[@]}" update >"$root/.cache/apt.log" 2>&1 9>&- || true
    if ! _as_root "${apt[@]}" install --yes --no-install-recommends "$@" \
        >>"$root/.cache/apt.log" 2>&1 9>&-; then
        tail -n 20 "$root/.cache/apt.log" >&2
        die "apt-get could not install $*"
    fi
    local package
    for package in "$@"; do
        case $package in redis-server | mosquitto)
            _as_root systemctl --quiet disable "$package" >/dev/null 2>&1 || true
            ;;
        esac
    done
    trap - EXIT
    _release_services
}

_policy=/usr/sbin/policy-rc.d
_cluster=/etc/postgresql-common/createcluster.d/plumbline-set-up.conf

_hold_services() {
    if [ -e "$_policy" ] && ! grep -q 'set-up of Plumbline' "$_policy"; then
        _as_root mv "$_policy" "$_policy.before-plumbline"
    fi
    # Should the set-up be killed, what it leaves here allows everything again.
    printf '#!/bin/sh\n# Of the set-up of Plumbline.\nkill -0 %s 2>/dev/null && exit 101\nexit 0\n' $$ |
        _as_root tee "$_policy" >/dev/null
    _as_root chmod 755 "$_policy"
    _as_root mkdir -p "${_cluster%/*}"
    printf 'create_main_cluster = false\n' | _as_root tee "$_cluster" >/dev/null
}

_release_services() {
    _as_root rm -f "$_policy" "$_cluster"
    if [ -e "$_policy.before-plumbline" ]; then
        _as_root mv "$_policy.before-plumbline" "$_policy"
    fi
}
