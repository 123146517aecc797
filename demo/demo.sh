#!/bin/sh
# nginx and wget, unmodified, each an Internet node of its own on a virtual network: a page, a large file
# and its SHA-256; then the same wget over the kernel's loopback, for comparison. Leaves nothing behind.
set -eu
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
size=400000000
ioth_run=$(readlink -f "$(dirname "$0")/../dist/cli/ioth-run.js")

for program in nginx wget sha256sum; do
  command -v $program >/dev/null || { echo "demo: there is no $program (make deps installs it)" >&2; exit 1; }
done

# In memory where there is room for the file: the disk is not what is shown here.
room() { [ "$(df -Pk "$1" 2>/dev/null | awk 'NR == 2 { print $4 }')" -gt $((size / 1000 + 50000)) ] 2>/dev/null; }
if room /dev/shm; then memory=/dev/shm; else memory=${TMPDIR:-/tmp}; fi
dir=$(mktemp -d "$memory/ioth-demo.XXXXXX")
servers=
finish() {
  # shellcheck disable=SC2086 # a list of pids
  [ -z "$servers" ] || kill $servers 2>/dev/null || true
  wait
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# A network of its own, so that nothing else on this machine has these addresses.
export XDG_RUNTIME_DIR="$dir/run" IOTH_SWITCH_LINGER=500
mkdir -p "$dir/run" "$dir/www" "$dir/virtual" "$dir/kernel"
chmod 700 "$dir/run"
echo "Hello. This is nginx at 10.0.0.5." >"$dir/www/index.html"
head -c $size /dev/urandom >"$dir/www/file"

config() { # NAME LISTEN
  cat >"$dir/$1/nginx.conf" <<END
$([ "$(id -u)" -ne 0 ] || echo 'user root;')
daemon off;
pid $dir/$1/pid;
error_log $dir/$1/error.log;
events {}
http {
  access_log off;
  sendfile on;
  client_body_temp_path $dir/$1/body;
  proxy_temp_path $dir/$1/proxy;
  fastcgi_temp_path $dir/$1/fastcgi;
  uwsgi_temp_path $dir/$1/uwsgi;
  scgi_temp_path $dir/$1/scgi;
  server { listen $2; root $dir/www; }
}
END
}
await() { # FILE: until nginx has written its pid there, which it does once it listens
  tries=0
  until [ -s "$1/pid" ]; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { echo "demo: nginx did not start:" >&2; cat "$1"/*log >&2; exit 1; }
    sleep 0.1
  done
}
speed() { sed -n 's/.*(\([0-9.]* [KMG]*B\/s\)).*/\1/p' "$1" | tail -n 1; }
node() { sed -n 's/^ioth-run: [^ ]* is \([^ ]*\) \([^ ]*\) on .*/\2  \1/p' "$1"; }

config virtual 80
"$ioth_run" --verbose --ip 10.0.0.5 nginx -p "$dir/virtual" -e "$dir/virtual/error.log" -c "$dir/virtual/nginx.conf" \
  >"$dir/virtual/start.log" 2>&1 &
servers=$!
await "$dir/virtual"

echo '$ ioth-run --ip 10.0.0.5 nginx'
echo '$ ioth-run --ip 10.0.0.6 wget -q -O - http://10.0.0.5/'
"$ioth_run" --verbose --ip 10.0.0.6 wget -q -O - http://10.0.0.5/ 2>"$dir/page.log" || { cat "$dir/page.log" >&2; exit 1; }
echo
echo "nginx  $(node "$dir/virtual/start.log")"
echo "wget   $(node "$dir/page.log")"
echo

echo '$ ioth-run --ip 10.0.0.6 wget -O - http://10.0.0.5/file | sha256sum'
want=$(sha256sum <"$dir/www/file")
got=$("$ioth_run" --ip 10.0.0.6 wget -q -O - http://10.0.0.5/file | sha256sum)
if [ "$want" != "$got" ]; then
  echo "demo: the file arrived as $got, it was $want" >&2
  exit 1
fi
echo "$size bytes, SHA-256 ${got%% *}, as it should be"
echo

"$ioth_run" --ip 10.0.0.6 wget -O /dev/null http://10.0.0.5/file 2>"$dir/ioth.log" || { cat "$dir/ioth.log" >&2; exit 1; }
port=$((20000 + $$ % 10000))
config kernel "127.0.0.1:$port"
nginx -p "$dir/kernel" -e "$dir/kernel/error.log" -c "$dir/kernel/nginx.conf" >"$dir/kernel/start.log" 2>&1 &
servers="$servers $!"
await "$dir/kernel"
wget -O /dev/null "http://127.0.0.1:$port/file" 2>"$dir/kernel.log" || { cat "$dir/kernel.log" >&2; exit 1; }
echo "throughput, as wget saw it:  ioth $(speed "$dir/ioth.log"),  kernel loopback $(speed "$dir/kernel.log")"
