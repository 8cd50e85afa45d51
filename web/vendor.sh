#!/bin/sh
# Fetches what is not kept in git: onnxruntime-web and mediabunny at the locked versions, and the released models.
# Usage: ./vendor.sh [folder of released models] [update: write their SHA-256 and size into models.json]
set -eu
cd "$(dirname "$0")"
models=${1:-../models/released}
trap 'rm -rf node_modules' EXIT # it is only the way to vendor/, and not to be published
npm ci --ignore-scripts --no-audit --no-fund
to=vendor/ort-1.30.0
mkdir -p "$to" models
for file in ort.wasm.min.mjs ort-wasm-simd-threaded.mjs ort-wasm-simd-threaded.wasm \
    ort.webgpu.min.mjs ort-wasm-simd-threaded.asyncify.mjs ort-wasm-simd-threaded.asyncify.wasm; do
    cp "node_modules/onnxruntime-web/dist/$file" "$to/$file"
done
cp node_modules/mediabunny/dist/bundles/mediabunny.min.mjs vendor/mediabunny-1.61.0.mjs
for name in general fast psnr gan cctv; do
    cp "$models/$name/generator.onnx" "models/$name.onnx"
done
# The page refuses a model whose SHA-256 is not the one in models.json; better to learn of it here.
node -e '
const { readFileSync, writeFileSync } = require("fs"), { createHash } = require("crypto");
const list = JSON.parse(readFileSync("models.json")), update = process.argv[1] === "update";
for (const model of list.models) {
  const content = readFileSync(model.file), sha256 = createHash("sha256").update(content).digest("hex");
  if (!update && (sha256 !== model.sha256 || content.length !== model.bytes)) {
    console.error(`${model.file}: is not the file that models.json describes: ${sha256}, ${content.length} bytes`);
    process.exitCode = 1;
  }
  Object.assign(model, { sha256, bytes: content.length });
}
if (update) writeFileSync("models.json", `${JSON.stringify(list, null, 2)}\n`);
' "${2:-check}"
