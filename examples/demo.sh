#!/usr/bin/env bash
# Trains the model of fashion_mnist.yaml, and measures it on the test images.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build/perceive img_clf fit --config examples/fashion_mnist.yaml
run="$(ls -td logs/img_clf/version_* | head -n 1)"
build/perceive img_clf test --ckpt_path="$run"
echo
echo "The run is in $run; look at:"
ls "$run"/*.png
