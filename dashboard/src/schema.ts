/** JSON Schema as a form needs it: references followed, and a value to begin with. */

import type { OpenApi, Schema } from "./api";

export function resolved(document: OpenApi, schema: Schema): Schema {
  if (schema.$ref) {
    const name = schema.$ref.split("/").at(-1) ?? "";
    return { ...resolved(document, document.components?.schemas?.[name] ?? {}), ...without(schema) };
  }
  if (schema.allOf?.length === 1) return { ...resolved(document, schema.allOf[0]!), ...without(schema) };
  const some = schema.anyOf?.find(({ type }) => type !== "null");
  return some ? { ...resolved(document, some), ...without(schema) } : schema;
}

export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Which control a value gets; what is neither text nor number nor a choice is written as JSON. */
export function field(
  given: Schema,
  shape: Schema,
): { kind: "boolean" | "number" | "text" | "choice" | "json"; nullable: boolean } {
  const nullable = given.anyOf?.some(({ type }) => type === "null") ?? false;
  const several = (given.anyOf?.filter(({ type }) => type !== "null").length ?? 0) > 1;
  if (several) return { kind: "json", nullable };
  if (shape.enum) return { kind: "choice", nullable };
  if (shape.type === "boolean" && !nullable) return { kind: "boolean", nullable };
  if (shape.type === "integer" || shape.type === "number") return { kind: "number", nullable };
  return { kind: shape.type === "string" ? "text" : "json", nullable };
}

function without({ $ref: _ref, allOf: _all, anyOf: _any, ...rest }: Schema): Schema {
  return rest;
}

/** A value of the schema: its defaults, and the least that fits where there are none. */
export function skeleton(document: OpenApi, given: Schema, depth = 0): unknown {
  const schema = resolved(document, given);
  if (schema.default !== undefined) return schema.default;
  if (schema.enum) return schema.enum[0];
  if (given.anyOf?.some(({ type }) => type === "null")) return null;
  switch (schema.type) {
    case "object": {
      if (depth > 5) return {};
      const entries = Object.entries(schema.properties ?? {});
      return Object.fromEntries(entries.map(([name, each]) => [name, skeleton(document, each, depth + 1)]));
    }
    case "array":
      return schema.prefixItems?.map((each) => skeleton(document, each, depth + 1)) ?? [];
    case "integer":
      return schema.minimum ?? (schema.exclusiveMinimum === undefined ? 0 : schema.exclusiveMinimum + 1);
    case "number":
      return schema.minimum ?? (schema.exclusiveMinimum === undefined ? 0 : schema.exclusiveMinimum + 1);
    case "boolean":
      return false;
    case "string":
      return "x".repeat(schema.minLength ?? 0);
    default:
      return null;
  }
}
