#!/usr/bin/env bash
# A big-endian Python beside this machine's own, to prove that files read and decode the same there.
#
#     tools/s390x.sh DIR [SUITE...]   makes DIR/python-be from the first of Debian's suites that can be had whole, trixie or
#                                     else bookworm by default; needs apt-get and dpkg-deb
#     DIR/python-be -m pytest ...     runs it: s390x CPython with numpy, msgpack, zstandard, pytest and hypothesis
#
# Debian's s390x packages are unpacked into DIR (about 105 MB) and run by user-mode emulation.  Nothing is installed on the
# host, no root is needed beyond what apt-get asks for, and binfmt is left alone.  About ten times slower than native.
set -euo pipefail

dir=$(realpath -m "${1:?usage: s390x.sh DIR [SUITE...]}")
shift
suites=("$@")
[ $# -gt 0 ] || suites=(trixie bookworm)
root=$dir/root
apt=$dir/apt
mkdir -p "$root"/usr/{lib,bin,sbin} "$apt"/{lists/partial,cache/archives/partial,etc/apt.conf.d,etc/preferences.d}
: >"$apt/status"
for part in lib bin sbin; do ln -sfn usr/$part "$root/$part"; done # newer suites ship no /lib

mirror=$(sed -n 's/^URIs: //p' /etc/apt/sources.list.d/debian.sources | head -n 1)
cat >"$apt/apt.conf" <<CONF
APT::Architecture "s390x"; APT::Architectures { "s390x"; };
Dir::Etc "$apt/etc"; Dir::Etc::sourcelist "$apt/sources.list"; Dir::Etc::sourceparts "-";
Dir::State "$apt"; Dir::State::lists "$apt/lists"; Dir::State::status "$apt/status"; Dir::Cache "$apt/cache";
APT::Install-Recommends "false"; Acquire::Languages "none"; APT::Sandbox::User "root";
CONF

(
    cd "$dir"
    apt-get -q download qemu-user-static
    dpkg-deb --fsys-tarfile qemu-user-static*.deb | tar x ./usr/bin/qemu-s390x-static
    rm -f qemu-user-static*.deb
)
export APT_CONFIG=$apt/apt.conf
# Around a point release a mirror may list packages that it does not have.
fetch() {
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $1 main" >"$apt/sources.list"
    rm -f "$apt"/cache/archives/*.deb
    apt-get -q update && apt-get -q -y -d install \
        python3 python3-numpy python3-msgpack python3-zstandard python3-pytest python3-hypothesis
}
whole=
for suite in "${suites[@]}"; do
    if fetch "$suite"; then whole=$suite && break; fi
    echo "s390x.sh: $suite cannot be had whole" >&2
done
[ -n "$whole" ] || exit 1
for package in "$apt"/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar x --keep-directory-symlink -C "$root"
done
rm -rf "$apt/cache" "$apt/lists" "$root"/usr/share/{doc,man,locale}

python=$(cd "$root/usr/bin" && ls python3.[0-9]* | grep -E '^python3\.[0-9]+$' | head -n 1)
lib=$root/usr/lib/s390x-linux-gnu
cat >"$dir/python-be" <<RUN
#!/usr/bin/env bash
exec env -i PATH=/usr/bin HOME="$dir" LC_ALL=C.UTF-8 LD_LIBRARY_PATH="$lib:$lib/blas:$lib/lapack" \\
    PYTHONPATH="\${BE_PYTHONPATH:-}" PYTHONDONTWRITEBYTECODE=1 AEFORMAT_REQUIRE_ALL="\${AEFORMAT_REQUIRE_ALL:-}" \\
    AEFORMAT_DATA="\${AEFORMAT_DATA:-}" "$dir/usr/bin/qemu-s390x-static" -L "$root" "$root/usr/bin/$python" "\$@"
RUN
chmod +x "$dir/python-be"
