import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { checkVectors, type Vectors } from "./vectors.js";

const folder = new URL("../../../../tests/wire/", import.meta.url);
const names = [
  "operations",
  "future_operations",
  "events",
  "streams",
  "hostile_streams",
  "problems",
  "hostile_problems",
  "headers",
] as const;
const vectors = (): Vectors =>
  Object.fromEntries(
    names.map((name) => [name, JSON.parse(readFileSync(new URL(`${name}.json`, folder), "utf8"))]),
  ) as unknown as Vectors;

test("every wire vector is read as all clients read it", async () => {
  const { checked, wrong } = await checkVectors(vectors());
  assert.deepEqual(wrong, []);
  assert.ok(checked > 150, `${checked}`);
});

test("a vector that is read otherwise is told", async () => {
  const changed = vectors();
  changed.problems[0]!.code = "other";
  changed.streams[0]!.frames.pop();
  const { wrong } = await checkVectors(changed);
  assert.equal(wrong.length, 3, wrong.join("\n")); // the stream in its pieces and byte by byte, and the problem
});
