/** Arguments of Node that make a process which a test starts run the package's sources, as the test itself does. */
export const RUN_SOURCES = [`--import=${new URL('../typescript/register.js', import.meta.url).href}`]
