/**
 * Waits until the clients of two processes have received all events, and collects what went wrong.
 *
 * @param {{ counters: import('./child.js').Child, watchers: import('./child.js').Child }} children
 *   processes of clients/clients.js: watchers parse every event, counters compare bytes with them, or parse as well
 * @param {{ lastSeq: number, within: number, parse?: boolean }} options `lastSeq`: of the last event; `within`: ms;
 *   `parse`: whether the counters parse
 * @returns the totals of both, and the faults in words
 */
export async function waitForArrivals({ counters, watchers }, { lastSeq, within, parse = false }) {
  const watched = await watchers.call('parsed', { lastSeq, within })
  const counted = parse
    ? await counters.call('parsed', { lastSeq, within })
    : await counters.call('counted', { bytes: watched.streamBytes ?? -1, within: watched.done ? within : 0 })
  return { watchers: watched, counters: counted, faults: faultsOf(watched, counted) }
}

function faultsOf(watchers, counters) {
  const found = [...watchers.faults, ...counters.faults]
  if (watchers.lost + counters.lost > 0) found.push(`${watchers.lost + counters.lost} connections were lost`)
  if (!watchers.done) found.push('not all had arrived in time')
  else if (!counters.done) found.push(`${counters.wrong ?? 'some'} clients did not get the same bytes`)
  return found
}
