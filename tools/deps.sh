#!/bin/sh
# Installs what is missing of the programs that build, demo and tests use (Debian's names). As another
# user than root, says what to install. `deps.sh large`: also what `make test-apps` needs.
set -eu

missing=
need() { # PROGRAM PACKAGE
  PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need gcc gcc
need make make
need nginx nginx-light
need wget wget
need curl curl
need python3 python3
need setpriv util-linux
need script bsdutils
need ps procps
need ip iproute2
need ss iproute2
need ping iputils-ping
need traceroute traceroute
need tracepath iputils-tracepath
need tshark tshark
need tcpdump tcpdump
need arping iputils-arping
need dnsmasq dnsmasq-base
need dig bind9-dnsutils
need host bind9-host
need busybox busybox-static
need musl-gcc musl-tools
need radvd radvd
need iperf3 iperf3
need ifconfig net-tools
need socat socat
need redis-server redis-server
need redis-cli redis-tools
need openssl openssl
need sshd openssh-server
need ssh openssh-client
need git git
need rsync rsync
need vsftpd vsftpd
need nc.openbsd netcat-openbsd
need nc.traditional netcat-traditional
need memcached memcached
need haproxy haproxy
need ethtool ethtool
need nft nftables
need vde_switch vde-switch
need wirefilter vde-wirefilter
need clang-format clang-format
need cppcheck cppcheck
[ -e /usr/include/linux/seccomp.h ] || missing="$missing linux-libc-dev"
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
[ -e /usr/lib/python3.11/test/test_socket.py ] || missing="$missing python3.11 libpython3.11-testsuite"
[ -e /usr/lib/postgresql ] || missing="$missing postgresql"
[ "${1-}" != large ] || need javac openjdk-17-jdk-headless
[ "${1-}" != large ] || need go golang-go
[ -z "$missing" ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "make deps: please install:$missing (on Debian, as root: apt-get install$missing)" >&2
  exit 1
fi

# Debian starts a daemon when it installs one, unless this file forbids it (101: action not allowed).
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  trap 'exit 1' HUP INT TERM
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod +x $policy
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of names
apt-get install -qq --no-install-recommends $missing >/dev/null
