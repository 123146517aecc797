#!/bin/sh
# install.sh LIB BIN: copies what runs to LIB and links the commands into BIN. Nothing is fetched: the
# packages that ioth needs at run time are copied from node_modules.
set -eu
lib=$1 bin=$2

rm -rf "$lib"
mkdir -p "$lib/dist" "$lib/build" "$bin"
cp package.json LICENSE "$lib/"
cp -R dist/src dist/cli "$lib/dist/"
cp build/libioth.so build/ioth-launch build/ioth-undertaker build/ioth-supervisor "$lib/build/"
npm ls --all --parseable --omit=dev 2>/dev/null | sed -n "s|^$(pwd)/||p" | sort | while read -r package; do
  mkdir -p "$lib/${package%/*}"
  cp -R "$package" "$lib/${package%/*}/"
done
chmod -R a+rX "$lib" # whatever root's umask is

# Relative links, so that DESTDIR and moving the tree do no harm.
up=$(realpath --relative-to="$bin" "$lib")
for command in ioth ioth-run ioth-switch; do
  ln -sf "$up/dist/cli/$command.js" "$bin/$command"
done
