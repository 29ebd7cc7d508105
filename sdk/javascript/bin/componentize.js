#!/usr/bin/env node
// Makes a component of a processor: bundles it with this package, adds the contract
// to its WIT, and hands both to componentize-js.

import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { componentize } from "@bytecodealliance/componentize-js";
import { build } from "esbuild";

const usage = `Make a component of a processor in JavaScript

Usage: flowctl-componentize PROCESSOR.js [--wit DIR] [-o FILE.wasm]

  --wit DIR    folder with the processor's world; default: wit beside PROCESSOR.js
  -o FILE      where to write; default: PROCESSOR.wasm

Example: flowctl-componentize order-filter.js -o order-filter.wasm`;

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      wit: { type: "string" },
      output: { type: "string", short: "o" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help || positionals.length !== 1) {
    (values.help ? console.log : console.error)(usage);
    return values.help ? 0 : 2;
  }
  const source = resolve(positionals[0]);
  const wit = resolve(values.wit ?? join(dirname(source), "wit"));
  const output = resolve(values.output ?? source.replace(/\.[cm]?js$/, "") + ".wasm");
  const work = await mkdtemp(join(tmpdir(), "flowctl-componentize-"));
  try {
    const bundle = join(work, "processor.js");
    await build({
      entryPoints: [source],
      outfile: bundle,
      bundle: true,
      format: "esm",
      target: "es2022",
      conditions: ["component"],
      external: ["flowctl:*"],
      alias: { "flowctl-sdk": join(root, "src/index.js") },
      logLevel: "error",
    });
    const packages = join(work, "wit");
    await gather(wit, packages);
    const { component } = await componentize({
      sourcePath: bundle,
      witPath: packages,
      // what no contract offers: HTTP. The clock and random numbers stay, as for Rust
      disableFeatures: ["http", "fetch-event"],
    });
    await writeFile(output, component);
    console.error(`${output}: ${(component.length / 2 ** 20).toFixed(1)} MiB`);
    return 0;
  } finally {
    await rm(work, { recursive: true });
  }
}

/** The author's WIT, with the contract and the first-party event types among its `deps`. */
async function gather(wit, packages) {
  await cp(wit, packages, { recursive: true });
  const deps = join(packages, "deps");
  await mkdir(deps, { recursive: true });
  const own = await readdir(deps);
  const theirs = [["flowctl-processor", join(root, "wit/flowctl-processor")]];
  for (const name of await readdir(join(root, "wit/events"))) theirs.push([name, join(root, "wit/events", name)]);
  for (const [name, folder] of theirs) {
    if (!own.includes(name)) await cp(folder, join(deps, name), { recursive: true });
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
