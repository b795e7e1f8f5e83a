/** Times and quantities for eyes. `clock.now` ticks once a second, for all that is relative to it. */

class Clock {
  now = $state(Date.now());

  constructor() {
    setInterval(() => (this.now = Date.now()), 1000);
  }
}

export const clock = new Clock();

export function span(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.0995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${(seconds / 3600).toFixed(seconds < 36_000 ? 1 : 0)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

export function between(start: string | null, end: string | null | number): number | null {
  if (start === null || end === null) return null;
  const stop = typeof end === "number" ? end : Date.parse(end);
  return Math.max(0, (stop - Date.parse(start)) / 1000);
}

export function ago(moment: string | null, now: number): string {
  if (moment === null) return "–";
  const seconds = (now - Date.parse(moment)) / 1000;
  if (seconds < 0) return `in ${span(Math.max(1, Math.round(-seconds)))}`.replace(".0", "");
  return seconds < 1 ? "just now" : `${span(Math.round(seconds))} ago`.replace(".0", "");
}

/** How long ago something happened; what is newer than the last tick of the clock is no future. */
export function since(moment: string, now: number): string {
  return ago(moment, Math.max(now, Date.parse(moment)));
}

const exactly = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
export const exact = (moment: string | null): string =>
  moment === null ? "" : exactly.format(new Date(moment));

const ofDay = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
/** The time on this machine's clock, as the exact moments beside it are. */
export const timeOfDay = (moment: string): string => ofDay.format(new Date(moment));

const counting = new Intl.NumberFormat();
export const counted = (count: number): string => counting.format(count);

export function bytes(size: number): string {
  if (size < 1024) return `${size} B`;
  return size < 1024 ** 2 ? `${(size / 1024).toFixed(1)} KiB` : `${(size / 1024 ** 2).toFixed(1)} MiB`;
}
