import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import os from 'node:os'

const PAGE = 4096
/** µs of the clock tick in which /proc counts. */
const TICK = 10_000

/** What the figures were taken on. */
export function describeMachine() {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memory: `${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    os: osName(),
    kernel: os.release(),
    node: process.version
  }
}

/** Descriptors that a process may open here at most. */
export function openFilesLimit() {
  const limit = execFileSync('/bin/sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim()
  return limit === 'unlimited' ? 1_048_576 : Number(limit)
}

/** Resident bytes of a process; 0 when it is gone. */
export function residentBytes(pid) {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE
  } catch {
    return 0
  }
}

/** CPU time of a process that is not Node's, µs. */
export function cpuTime(pid) {
  // To the nanosecond, where /proc/<pid>/stat counts hundredths of a second.
  return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e3
}

/** CPU time of a process with all its threads, µs, in hundredths of a second. */
export function cpuTimeOfThreads(pid) {
  try {
    // What follows the name, which is in brackets and may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
    return (Number(fields[11]) + Number(fields[12])) * TICK
  } catch {
    return 0
  }
}

/** CPU time of all cores, µs: in all, and what went to anything, other guests of the same host included. */
export function machineTime() {
  const line = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]
  const [user, nice, system, idle, iowait, irq, softirq, steal] = line.split(/ +/).slice(1).map(Number)
  const busy = user + nice + system + irq + softirq + steal
  return { busy: busy * TICK, all: (busy + idle + iowait) * TICK }
}

function osName() {
  try {
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))[1]
  } catch {
    return `${os.type()} ${os.release()}`
  }
}
