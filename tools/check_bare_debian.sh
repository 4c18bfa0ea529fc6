#!/usr/bin/env bash
# Proves the five-minute claim: a fresh Debian 12, nothing but git and bash in it, a clone, scripts/run --once.
#
#   tools/check_bare_debian.sh              scripts/run --once
#   tools/check_bare_debian.sh --test       and scripts/test
#   tools/check_bare_debian.sh --shell      and then a shell inside, before all is removed
#
# Needs root and debootstrap. What is tested is the last commit, not the working tree. Mirrors, keys and proxies are
# those of this machine's /etc/apt. WEIR_BARE_DIR (default: a temporary folder) takes the chroot, about 4 GB.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

repo=$PWD
root=
tests=0
shell=0
for word in "$@"; do
  case $word in
    --test) tests=1 ;;
    --shell) shell=1 ;;
    *) fail "unknown argument $word; see the head of tools/check_bare_debian.sh" ;;
  esac
done

# The first mirror that apt uses for bookworm, from either format of its sources.
first_mirror() {
  {
    cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -n 's/^URIs:[[:space:]]*\([^[:space:]]*\).*/\1/p'
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
      sed -n 's/^deb[[:space:]]\(\[[^]]*\][[:space:]]*\)\{0,1\}\([^[:space:]]*\)[[:space:]]bookworm[[:space:]].*/\2/p'
  } | grep -m 1 . || true
}

unmount_all() {
  local point
  for point in dev/pts dev proc sys; do
    if mountpoint -q "$root/$point"; then umount -R "$root/$point" 2>/dev/null || umount -l "$root/$point"; fi
  done
}

# Never removes a tree with something mounted in it: /dev of this machine would go with it.
clean_up() {
  local status=$?
  [[ -n $root ]] || exit "$status"
  unmount_all
  if grep -q " $root/" /proc/mounts; then
    warn "$root still has mounts in it and is left alone"
  else
    rm -rf --one-file-system "$root"
  fi
  exit "$status"
}

make_chroot() {
  local mirror
  mirror=$(first_mirror)
  [[ -n $mirror ]] || fail 'found no mirror for bookworm in /etc/apt'
  say 'making a bare Debian 12'
  quietly build/bare/debootstrap.log debootstrap --variant=minbase --include=git,ca-certificates bookworm "$root" "$mirror"
  # This machine's view of the mirrors, so that updates and security fixes come along.
  rm -f "$root/etc/apt/sources.list"
  cp -a /etc/apt/. "$root/etc/apt/"
  mkdir -p "$root/usr/share/keyrings"
  cp -a /usr/share/keyrings/. "$root/usr/share/keyrings/"
  cp -L /etc/resolv.conf "$root/etc/resolv.conf"
  cp -L /etc/hosts "$root/etc/hosts"
  mount -t proc proc "$root/proc"
  mount --rbind --make-rslave /dev "$root/dev" 2>/dev/null || mount --bind /dev "$root/dev"
}

clone() {
  say "cloning $(git rev-parse --short HEAD)"
  git clone -q --no-hardlinks "$repo" "$root/weir"
}

# Inside, with a clean environment: only what a first visitor would have.
inside() {
  local proxies=() name
  for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    [[ -n ${!name:-} ]] && proxies+=("$name=${!name}")
  done
  chroot "$root" env -i HOME=/tmp PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    "${proxies[@]}" bash -c "cd /weir && $1"
}

[[ $(id -u) -eq 0 ]] || fail 'run this as root: it makes and enters a chroot'
command -v debootstrap >/dev/null || install_packages debootstrap || fail 'debootstrap is needed'
root=$(mktemp -d "${WEIR_BARE_DIR:-${TMPDIR:-/tmp}}/weir_bare.XXXXXX")
chmod 755 "$root" # apt drops its rights to download, and must still reach the folders below
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
make_chroot
clone
start=$SECONDS
say 'scripts/run --once'
inside 'WEIR_PORT=23999 scripts/run --once'
say "from clone to answer: $((SECONDS - start)) s"
if ((tests)); then inside 'scripts/test'; fi
if ((shell)); then inside 'exec bash -i' || true; fi
say 'a bare Debian 12 can do it'
