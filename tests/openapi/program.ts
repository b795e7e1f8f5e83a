// What a user writes with the generated types. It is type-checked with --strict, and never run.
import createClient from "openapi-fetch";
import type { components, operations, paths } from "./schema.js";

type Report = components["schemas"]["Report"];
type ReportOperation = components["schemas"]["ReportOperation"];
type Status = components["schemas"]["OperationStatus"];
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

const resultIsTyped: Same<NonNullable<ReportOperation["result"]>, Report> = true;
const resultMayBeNull: Extract<ReportOperation["result"], null> = null;
const statuses: Record<Status, boolean> = {
    queued: false, running: false, cancelling: false, succeeded: true, failed: true, cancelled: true,
};
// @ts-expect-error: statuses are a union of their names, and this is none.
const unknown: Status = "finished";

type Submit = operations["create_report"]["responses"];
const answer: Same<Submit[200]["content"]["application/json"], Report> = true;
const accepted: Same<Submit[202]["content"]["application/json"], ReportOperation> = true;
const location: Submit[202]["headers"]["Operation-Location"] = "/operations/op_1";
type Problem = Submit[409]["content"]["application/problem+json"];
const problem: Same<Problem, components["schemas"]["OperationProblem"]> = true;

export async function report(baseUrl: string): Promise<Report | undefined> {
    const client = createClient<paths>({ baseUrl });
    const submitted = await client.POST("/reports", { body: { title: "Rain", pages: 3 } });
    if (submitted.error !== undefined || !("status" in submitted.data)) return undefined;
    const operation_id: string = submitted.data.id;
    const { data, error } = await client.GET("/operations/{operation_id}", {
        params: { path: { operation_id }, query: { wait: 30 } },
    });
    if (error !== undefined) throw new Error(error.title);
    const status: Status = data.status;
    if (statuses[status] && data.error !== null) throw new Error(data.error.title);
    return submitted.data.result ?? undefined;
}

export const checks = [resultIsTyped, resultMayBeNull, unknown, answer, accepted, location, problem];
