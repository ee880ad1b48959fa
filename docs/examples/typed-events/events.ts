// Without this import the declaration would stand for the whole package, instead of being added to it.
import 'pylon-sse'

declare module 'pylon-sse' {
  interface SseEvents {
    'todo.created': { id: number; title: string }
  }
  interface SseClientState {
    user: string
  }
}
