// Without this import the declaration would replace the types of the package instead of adding to them.
import 'pylon-sse'

declare module 'pylon-sse' {
  interface SseEvents {
    'todo.created': { id: number; title: string }
  }
  interface SseClientState {
    user: string
  }
}
