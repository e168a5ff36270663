#!/usr/bin/env bash
# Installs the build given first into a scratch folder, and builds and runs examples/consumer of the source given second.
set -euo pipefail
build="$1" source="$2"
scratch="$build/consumer"
rm -rf "$scratch"
cmake --install "$build" --prefix "$scratch/prefix" >/dev/null
env -u CMAKE_PREFIX_PATH cmake -G Ninja -S "$source/examples/consumer" -B "$scratch/build" -DCMAKE_PREFIX_PATH="$scratch/prefix" -DCMAKE_BUILD_TYPE=Release
cmake --build "$scratch/build"
"$scratch/build/consumer" | grep -F "out [1, 1, 64, 64], gradient [64, 261]"
"$scratch/prefix/bin/perceive" --version
