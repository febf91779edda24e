#!/bin/sh
# Builds multi-party-ecdsa.wasm reproducibly with Debian 12's own compiler and writes its provenance beside it.
#   build.sh [OUTPUT_FOLDER [TARGET_FOLDER]]
# The module is the same for every source folder, target folder and cargo home, given the same compiler.
set -eu
cd "$(dirname "$0")"
CRATE=$(pwd -P)
OUTPUT=${1:-$CRATE}
TARGET=${2:-${TMPDIR:-/tmp}/strongroom-mpc-target}
mkdir -p "$OUTPUT" "$TARGET"
OUTPUT=$(cd "$OUTPUT" && pwd -P)
TARGET=$(cd "$TARGET" && pwd -P)

# rustup's toolchains have no standard library for this target; Debian ships compiler, matching source and libc.
PACKAGES='rustc-web cargo-web rust-web-src lld-22 wasi-libc'
missing=''
for package in $PACKAGES; do
  dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing:$missing" >&2
    apt-get update -q >&2
    # shellcheck disable=SC2086
    apt-get install -q -y --no-install-recommends $missing >&2
  else
    echo "missing Debian 12 packages:$missing" >&2
    echo "install them: sudo apt-get install --no-install-recommends$missing" >&2
    exit 2
  fi
fi

# Settings from outside would change the module without a trace in the provenance.
unset RUSTFLAGS CARGO_BUILD_RUSTFLAGS RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER CARGO_BUILD_TARGET || true
export RUSTC=/usr/bin/rustc
export CARGO_INCREMENTAL=0
export CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}"
# Lets this stable compiler build its own standard library (-Zbuild-std); no unstable language feature is used.
export RUSTC_BOOTSTRAP=1
WASI=/usr/lib/wasm32-wasi
STD=/usr/lib/rustlib/src/rust

separator=$(printf '\037')
flags=''
for flag in \
  -Clinker=/usr/bin/wasm-ld-22 -Clinker-flavor=wasm-ld -Clink-self-contained=no \
  "-Lnative=$WASI" "-Clink-arg=$WASI/crt1-reactor.o" \
  "--remap-path-prefix=$CRATE=/crate" "--remap-path-prefix=$TARGET=/target" \
  "--remap-path-prefix=$CARGO_HOME=/cargo" \
  "--remap-path-prefix=$STD=/std" "--remap-path-prefix=$(readlink -f "$STD")=/std"; do
  flags="$flags${flags:+$separator}$flag"
done
export CARGO_ENCODED_RUSTFLAGS="$flags"

/usr/bin/cargo build --locked --lib --release -Zbuild-std=std,panic_abort \
  --target wasm32-wasip1 --target-dir "$TARGET"

install -m 644 "$TARGET/wasm32-wasip1/release/multi_party_ecdsa_wasm.wasm" "$OUTPUT/multi-party-ecdsa.wasm"
node --import tsx ./write-provenance.ts "$OUTPUT"
