// The globals that the client uses. Each may be missing: Node, Deno, Bun and workers have only some of what browsers have.

type Listener = (event: { type: string; persisted?: boolean }) => void

/** The part of `EventTarget` that is used. */
interface Target {
  addEventListener?(type: string, listener: Listener): void
  removeEventListener?(type: string, listener: Listener): void
}

/** A place that keeps the last event id over a reload: the part of `Storage` that is used. If a method throws, nothing is kept. */
export interface CursorStorage {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
}

/** The part of the Web Locks API that is used. */
export interface Locks {
  request(name: string, options: { signal?: AbortSignal; steal?: boolean }, held: () => Promise<void>): Promise<unknown>
  query(): Promise<{ held?: { name?: string }[] }>
}

/** The part of `BroadcastChannel` that is used. */
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

/** Resolves a URL relative to the page. @throws TypeError if it is invalid */
export function resolve(url: string | URL): URL {
  return new URL(url, environment.document?.baseURI ?? environment.location?.href)
}

export function isHidden(): boolean {
  return environment.document?.visibilityState === 'hidden'
}
