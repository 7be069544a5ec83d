#!/bin/sh
# chroot.sh SUITE DIR PACKAGES... : a Debian chroot with the given packages, for live tests.
#
# Idempotent: a finished chroot (stamp file that names the same suite and packages) is kept,
# anything else in DIR is thrown away and built anew.  A relative DIR lies under
# ${SPOOLCK_LIVE:-/var/tmp/spoolck-live}.  The mirror is the one this machine's apt uses.
# Debconf answers may be given in the environment variable SPOOLCK_DEBCONF, one a line.
set -eu

die() { echo "chroot.sh: $*" >&2; exit 1; }

[ $# -ge 2 ] || die "usage: chroot.sh SUITE DIR PACKAGES..."
suite=$1 dir=$2
shift 2
case $dir in /*) ;; *) dir=${SPOOLCK_LIVE:-/var/tmp/spoolck-live}/$dir ;; esac
stamp=$dir/.spoolck-chroot
want="$suite $*"

# Tests that want the same one wait for each other.
mkdir -p "${dir%/*}"
exec 9>"$dir.lock"
flock 9

# A finished one is reused, before anything is asked of this machine.
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then
    echo "$dir"
    exit 0
fi

[ "$(id -u)" = 0 ] || die "must run as root (debootstrap, chroot, mount)"
missing=
for tool in debootstrap unshare chroot mount mknod apt-get; do
    command -v $tool >/dev/null 2>&1 || missing="$missing $tool"
done
[ -z "$missing" ] || die "not installed:$missing (debootstrap: apt-get install debootstrap)"

# Refuse to delete what is not ours: an existing directory must be empty, or carry our mark.
case $dir in /*/*) ;; *) die "refusing to build in $dir" ;; esac
if [ -d "$dir" ] && [ -n "$(ls -A "$dir")" ] && [ ! -e "$dir/.spoolck-building" ] && [ ! -e "$stamp" ]; then
    die "$dir exists and was not made by this script; remove it yourself"
fi
if grep -q " $dir/" /proc/self/mounts; then die "something is mounted below $dir"; fi

host_suite=$(. /etc/os-release; echo "${VERSION_CODENAME:-}")

# The mirror: the repository apt uses for this machine's own release; failing that, what the
# sources files say.
find_mirror() {
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 2>/dev/null |
        awk -v s="$host_suite" '$1 == s { print $2; exit }'
}
mirror=$(find_mirror)
if [ -z "$mirror" ] && [ -f /etc/apt/sources.list.d/debian.sources ]; then
    mirror=$(awk '$1 == "URIs:" { print $2; exit }' /etc/apt/sources.list.d/debian.sources)
fi
[ -n "$mirror" ] || die "no Debian mirror found in this machine's apt configuration"

rm -rf --one-file-system "$dir"
mkdir -p "$dir"
: > "$dir/.spoolck-building"

log=$dir.log
run() { "$@" >>"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; die "failed: $1 (log: $log)"; }; }
: > "$log"
run debootstrap --variant=minbase "$suite" "$dir" "$mirror"

# The same sources, keys and settings as the host, with the suite's name put in.
mkdir -p "$dir/etc/apt/sources.list.d" "$dir/etc/apt/apt.conf.d" "$dir/usr/share/keyrings"
rm -f "$dir/etc/apt/sources.list"
for f in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/debian.list; do
    [ -f "$f" ] || continue
    sed "s/$host_suite/$suite/g" "$f" > "$dir$f"
done
cp -a /etc/apt/apt.conf.d/. "$dir/etc/apt/apt.conf.d/"
if [ -d /usr/share/keyrings ]; then cp -a /usr/share/keyrings/. "$dir/usr/share/keyrings/"; fi
if [ -d /etc/apt/trusted.gpg.d ]; then cp -a /etc/apt/trusted.gpg.d/. "$dir/etc/apt/trusted.gpg.d/"; fi
if [ -f /etc/resolv.conf ]; then cp -L /etc/resolv.conf "$dir/etc/resolv.conf"; fi
if [ -f /etc/hosts ]; then cp -L /etc/hosts "$dir/etc/hosts"; fi

# No service starts by itself.
printf '#!/bin/sh\nexit 101\n' > "$dir/usr/sbin/policy-rc.d"
chmod 755 "$dir/usr/sbin/policy-rc.d"
for d in "null 3" "zero 5" "full 7" "random 8" "urandom 9" "tty 0"; do
    set_name=${d% *} set_minor=${d#* }
    [ -e "$dir/dev/$set_name" ] && continue
    major=1
    [ "$set_name" = tty ] && major=5
    mknod -m 666 "$dir/dev/$set_name" c $major "$set_minor"
done

in_chroot() {
    run unshare -m -p -f --kill-child chroot "$dir" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        sh -c 'mount -t proc proc /proc && exec "$@"' sh "$@"
}
if [ -n "${SPOOLCK_DEBCONF:-}" ]; then
    printf '%s\n' "$SPOOLCK_DEBCONF" > "$dir/root/debconf"
    in_chroot debconf-set-selections /root/debconf
fi
in_chroot apt-get -q update
if [ $# -gt 0 ]; then in_chroot apt-get -q -y --no-install-recommends \
    -o Dpkg::Options::=--force-confold install "$@"; fi
in_chroot apt-get clean

rm -f "$dir/.spoolck-building"
printf '%s\n' "$want" > "$stamp.tmp"
mv "$stamp.tmp" "$stamp"
echo "$dir"
