/** One operation and its log, as a screen takes them: twenty times a second, and bounded. */

import { advance, type Operation, type OperationEvent } from "raincheck-client";

/** How many lines are kept; those before them are counted. */
const SHOWN = 500;
const LONGEST_LINE = 4000;

export interface Line {
  version: number;
  run: number;
  time: string;
  kind: "output" | "log";
  level: string;
  text: string;
  /** Text that goes on where the former chunk ended, such as words of a tale. */
  flowing: boolean;
}

export interface Step {
  version: number;
  run: number;
  time: string;
  status: string;
  attempt: number;
  next: string | null;
}

export class FollowedOperation {
  operation = $state.raw<Operation>();
  lines = $state.raw<Line[]>([]);
  steps = $state.raw<Step[]>([]);
  dropped = $state(0);
  // Events come by the thousand; the screen takes them in portions.
  private waiting: OperationEvent[] = [];
  private scheduled = false;
  private readonly stepped: () => void;

  /** @param stepped Called after each change of the status. */
  constructor(stepped: () => void) {
    this.stepped = stepped;
  }

  /** Begin with the record as it is, and its log after a version: what happened before is known from the record. */
  begin(operation: Operation, after: number): void {
    this.operation = operation;
    this.dropped = after;
    const { created_at: created, started_at: started } = operation;
    const first = { attempt: 0, next: null };
    if (after >= 1) this.steps = [{ ...first, version: -2, run: 0, time: created, status: "queued" }];
    if (after >= 2 && started)
      this.steps = [...this.steps, { ...first, version: -1, run: 1, time: started, status: "running" }];
  }

  take(event: OperationEvent): void {
    this.waiting.push(event);
    if (this.scheduled) return;
    this.scheduled = true;
    setTimeout(() => this.show(), 50);
  }

  private show(): void {
    this.scheduled = false;
    const events = this.waiting;
    this.waiting = [];
    for (const event of events) this.operation = advance(this.operation, event);
    const told = events.flatMap(lineOf);
    if (told.length > 0) {
      const all = joined(this.lines, told);
      this.dropped += Math.max(0, all.length - SHOWN);
      this.lines = all.slice(-SHOWN);
    }
    const steps = events.flatMap(stepOf);
    if (steps.length > 0) {
      this.steps = [...this.steps, ...steps];
      this.stepped();
    }
  }
}

function lineOf(event: OperationEvent): Line[] {
  const { version, run, time } = event;
  if (event.type === "output") {
    const flowing = typeof event.chunk === "string";
    const text = typeof event.chunk === "string" ? event.chunk : JSON.stringify(event.chunk);
    return [{ version, run, time, kind: "output", level: "", text, flowing }];
  }
  if (event.type === "log")
    return [{ version, run, time, kind: "log", level: event.level, text: event.message, flowing: false }];
  return [];
}

function stepOf(event: OperationEvent): Step[] {
  const { version, run, time } = event;
  if (event.type === "status") {
    const { status, attempt, next_attempt_at: next } = event;
    return [{ version, run, time, status, attempt, next }];
  }
  if (event.type === "done") {
    const { status, attempt } = event.resource;
    return [{ version, run, time, status, attempt, next: null }];
  }
  return [];
}

/** Texts of one run flow together until a line ends; other chunks have a line each. */
function joined(former: Line[], news: Line[]): Line[] {
  const all = [...former];
  for (const line of news) {
    const last = all.at(-1);
    const goesOn = last?.flowing && line.flowing && last.run === line.run && !last.text.endsWith("\n");
    if (last && goesOn && last.text.length < LONGEST_LINE)
      all[all.length - 1] = { ...last, text: last.text + line.text };
    else all.push(goesOn ? { ...line, text: line.text.trimStart() } : line);
  }
  return all;
}
