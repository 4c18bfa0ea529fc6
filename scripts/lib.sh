# Shared by scripts/run and scripts/test; sourced, never run. REQUIRES: set -euo pipefail in the caller.
# shellcheck shell=bash

# Debian 12 package names, the one list of what weir needs. README and tools/check_bare_debian.sh refer to it.
# shellcheck disable=SC2034  # used by the scripts that source this file
BUILD_PACKAGES=(g++ cmake ninja-build pkg-config ccache mold libboost1.81-dev libboost-json1.81-dev libpcre2-dev
  libutf8proc-dev libfmt-dev libcli11-dev libtomlplusplus-dev libxxhash-dev curl ca-certificates)
# shellcheck disable=SC2034
TEST_PACKAGES=(libgtest-dev libgmock-dev libsimde-dev clang-19 libclang-rt-19-dev)
# Tests that need one of these are reported as skipped without it.
# shellcheck disable=SC2034
OPTIONAL_PACKAGES=(g++-aarch64-linux-gnu qemu-user python3-venv shellcheck)

say() { printf '==> %s\n' "$*"; }
warn() { printf 'weir: warning: %s\n' "$*" >&2; }
fail() {
  printf 'weir: error: %s\n' "$*" >&2
  exit 1
}

# Prints those of its arguments that are not installed, one per line.
missing_packages() {
  local package
  for package in "$@"; do
    dpkg -s "$package" 2>/dev/null | grep -q '^Status: install ok installed$' || printf '%s\n' "$package"
  done
}

as_root() {
  if [[ $(id -u) -eq 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo --preserve-env=DEBIAN_FRONTEND "$@"
  else
    warn "not root and no sudo: run this as root: $*"
    return 1
  fi
}

# apt_get LOG ARGUMENT...: sudo may ask on the terminal, apt's hundreds of lines go to LOG.
apt_get() {
  local log=$1
  shift
  export DEBIAN_FRONTEND=noninteractive
  as_root apt-get -q -o Acquire::Retries=3 "$@" </dev/null >>"$log" 2>&1
}

# apt's own retries do not cover a mirror that is busy for a minute.
apt_install() {
  local attempt log=build/apt.log
  for attempt in 1 2 3; do
    if apt_get $log install -y --no-install-recommends "$@"; then return 0; fi
    tail -n 5 $log >&2
    say "apt-get install failed (attempt $attempt of 3); refreshing the package lists"
    sleep $((attempt * 2))
    apt_get $log update || true
  done
  return 1
}

# Installs what is missing of its arguments. RETURNS: 1 when that failed, after saying what to install.
install_packages() {
  local missing
  if ! command -v apt-get >/dev/null; then
    warn "this system has no apt-get; what these packages hold must be there already: $*"
    return 0
  fi
  mapfile -t missing < <(missing_packages "$@")
  [[ ${#missing[@]} -eq 0 ]] && return 0
  say "installing ${missing[*]} (log: build/apt.log)"
  mkdir -p build
  if ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; then apt_get build/apt.log update || true; fi
  apt_install "${missing[@]}" || {
    warn "could not install: ${missing[*]}"
    return 1
  }
}

# quietly LOG COMMAND...: keeps the output in LOG and shows its end when the command fails.
quietly() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 && return 0
  tail -n 40 "$log" >&2
  fail "'$*' failed; all of its output is in $log"
}

port_in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Prints the UTF-8 bytes of a code point, whatever the locale. $1: decimal, 1 to 0x10FFFF.
put_code_point() {
  local code=$1 bytes
  if ((code < 0x80)); then
    bytes=("$code")
  elif ((code < 0x800)); then
    bytes=($((0xC0 | code >> 6)) $((0x80 | code & 0x3F)))
  elif ((code < 0x10000)); then
    bytes=($((0xE0 | code >> 12)) $((0x80 | code >> 6 & 0x3F)) $((0x80 | code & 0x3F)))
  else
    bytes=($((0xF0 | code >> 18)) $((0x80 | code >> 12 & 0x3F)) $((0x80 | code >> 6 & 0x3F)) $((0x80 | code & 0x3F)))
  fi
  # shellcheck disable=SC2059  # the format is made of \x escapes on purpose
  printf "$(printf '\\x%02x' "${bytes[@]}")"
}

# Prints the text of a JSON string ($1: what stands between the quotes). Control characters other than newline and tab
# are dropped: what a model says must not drive the terminal.
put_json_text() {
  local rest=$1 code low
  while [[ -n $rest ]]; do
    if [[ $rest =~ ^[^\\]+ ]]; then
      printf '%s' "${BASH_REMATCH[0]}"
      rest=${rest#"${BASH_REMATCH[0]}"}
      continue
    fi
    case ${rest:1:1} in
      n) printf '\n' ;;
      t) printf '\t' ;;
      u)
        code=$((16#${rest:2:4}))
        if ((code >= 0xD800 && code < 0xDC00)) && [[ ${rest:6:2} == '\u' ]]; then
          low=$((16#${rest:8:4}))
          code=$((0x10000 + ((code & 0x3FF) << 10) + (low & 0x3FF)))
          rest=${rest:6}
        fi
        ((code >= 0x20 && (code < 0x7F || code >= 0xA0))) && put_code_point "$code"
        rest=${rest:4}
        ;;
      '"' | "\\" | /) printf '%s' "${rest:1:1}" ;;
    esac
    rest=${rest:2}
  done
}

# Reads an SSE stream of chat chunks and prints the answer's text as it comes; other lines go to stderr.
# RETURNS: 0 when any text came.
print_answer() {
  local line any=1 content='"content":[[:space:]]*"(([^"\\]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*)"'
  while IFS= read -r line || [[ -n $line ]]; do
    line=${line%$'\r'}
    case $line in
      '' | ':'* | 'data: [DONE]') ;;
      'data: '*'"error"'*) printf '%s\n' "${line#data: }" >&2 ;;
      'data: '*)
        if [[ $line =~ $content && -n ${BASH_REMATCH[1]} ]]; then
          put_json_text "${BASH_REMATCH[1]}"
          any=0
        fi
        ;;
      *) printf '%s\n' "$line" >&2 ;;
    esac
  done
  printf '\n'
  return "$any"
}
