// Node's timers and clock as they are when this file is loaded: tests replace the global ones with mocks, and waits of the
// test client must still end.

export const { setTimeout, clearTimeout, queueMicrotask } = globalThis

export const now: () => number = performance.now.bind(performance)
