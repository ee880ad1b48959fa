// Node's timers and clock as they are when this file is loaded. Tests replace the global ones by mocks: waits must end all the same.

export const { setTimeout, clearTimeout, queueMicrotask } = globalThis

export const now: () => number = performance.now.bind(performance)
