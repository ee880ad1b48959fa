/**
 * The environment without what tap has put into it to follow processes, which doubles the time that they take to start.
 * Nor is their coverage measured: they run what has been built.
 */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(_?TAP|NODE_OPTIONS$|NODE_V8_COVERAGE$)/.test(name))
  return { ...Object.fromEntries(own), _TAPJS_PROCESSINFO_COVERAGE_: '0' }
}
