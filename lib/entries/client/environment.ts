// What of a browser the client uses, where it is there: the same code runs in Node, Deno, Bun and workers, which have parts of it.

type Listener = (event: { type: string; persisted?: boolean }) => void

/** Parts of `EventTarget`. */
interface Target {
  addEventListener?(type: string, listener: Listener): void
  removeEventListener?(type: string, listener: Listener): void
}

/** Where the last event id is kept over a reload: parts of `Storage`. */
export interface CursorStorage {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
}

/** Parts of the Web Locks API. */
export interface Locks {
  request(name: string, options: { signal?: AbortSignal; steal?: boolean }, held: () => Promise<void>): Promise<unknown>
  query(): Promise<{ held?: { name?: string }[] }>
}

/** Parts of `BroadcastChannel`. */
export interface Channel {
  onmessage: ((event: { data: never }) => void) | null
  postMessage(message: unknown): void
  close(): void
}

interface Environment extends Target {
  document?: Target & { visibilityState: string; baseURI: string }
  location?: { href: string }
  sessionStorage?: CursorStorage
  navigator?: { locks?: Locks }
  BroadcastChannel?: new (name: string) => Channel
  reportError?(error: unknown): void
}

export const environment = globalThis as unknown as Environment

/** A URL, relative to the page. @throws TypeError where it is no URL */
export function resolve(url: string | URL): URL {
  return new URL(url, environment.document?.baseURI ?? environment.location?.href)
}

export function isHidden(): boolean {
  return environment.document?.visibilityState === 'hidden'
}
