// The gzipped size of what a page loads: ours, and with the one dependency. Above its budget it fails.
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const OURS = 6 * 1024;
const WHOLE = 7 * 1024 + 256;
const entries = {
  "raincheck-client": "src/index.ts",
  "raincheck-client/react": "src/react.ts",
  "raincheck-client/webhook": "src/webhook.ts",
};

async function gzipped(entry, external) {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    external,
    write: false,
  });
  return gzipSync(outputFiles[0].contents, { level: 9 }).length;
}

for (const [name, entry] of Object.entries(entries)) {
  const ours = await gzipped(entry, ["react", "eventsource-parser"]);
  const whole = await gzipped(entry, ["react"]);
  console.log(
    `${name}: ${ours} bytes gzipped (${OURS} allowed), ${whole} with eventsource-parser (${WHOLE} allowed)`,
  );
  if (ours > OURS || whole > WHOLE) process.exitCode = 1;
}
