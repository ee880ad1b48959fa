// What of a browser the client uses, where it is there: the same code runs in Node, Deno, Bun and workers, which have parts of it.

/** Parts of `EventTarget`. */
interface Target {
  addEventListener?(type: string, listener: (event: { type: string; persisted?: boolean }) => void): void
  removeEventListener?(type: string, listener: (event: { type: string; persisted?: boolean }) => void): void
}

/** Where the last event id is kept over a reload: parts of `Storage`. */
export interface CursorStorage {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
}

interface Environment extends Target {
  document?: Target & { visibilityState: string; baseURI: string }
  location?: { href: string }
  sessionStorage?: CursorStorage
  reportError?(error: unknown): void
}

export const environment = globalThis as unknown as Environment
