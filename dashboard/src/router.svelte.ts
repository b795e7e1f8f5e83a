/** The address: which view, and its filters. Back and forward work, and an address can be sent to a colleague. */

import { base } from "./api";

const root = new URL(`${base}/`).pathname;

function read(): { path: string; query: URLSearchParams } {
  const { pathname, search } = window.location;
  const inside = pathname.startsWith(root) ? pathname.slice(root.length) : "";
  return { path: inside.replace(/\/$/, ""), query: new URLSearchParams(search) };
}

class Router {
  private now = $state.raw(read());

  constructor() {
    window.addEventListener("popstate", () => (this.now = read()));
  }

  get path(): string {
    return this.now.path;
  }

  get query(): URLSearchParams {
    return this.now.query;
  }

  go(address: string): void {
    window.history.pushState(null, "", root + address);
    this.now = read();
    window.scrollTo(0, 0);
    // A screen reader is told that the view is another one.
    queueMicrotask(() => document.getElementById("view")?.focus());
  }

  /** Set or drop parts of the query; typing in a filter makes no history. */
  set(changes: Record<string, string | null>, { replace = false } = {}): void {
    const query = new URLSearchParams(this.now.query);
    for (const [name, value] of Object.entries(changes)) {
      if (value) query.set(name, value);
      else query.delete(name);
    }
    const text = query.toString();
    const address = `${root}${this.now.path}${text ? `?${text}` : ""}`;
    if (replace) window.history.replaceState(null, "", address);
    else window.history.pushState(null, "", address);
    this.now = read();
  }
}

export const router = new Router();

/** Follow links inside of the page without loading it again; other clicks stay the browser's. */
export function followed(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey)
    return;
  const link = (event.target as Element).closest?.("a[data-inside]");
  if (!(link instanceof HTMLAnchorElement)) return;
  event.preventDefault();
  router.go(link.href.slice(new URL(root, window.location.origin).href.length));
}
