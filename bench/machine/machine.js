// What the operating system says of the machine and of processes. Linux, as it reads /proc.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import os from 'node:os'

const PAGE = 4096
/** Clock tick of /proc, µs. */
const TICK = 10_000

/** The machine that the figures were measured on. */
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

/** The hard limit of file descriptors of a process. */
export function openFilesLimit() {
  const limit = execFileSync('/bin/sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim()
  return limit === 'unlimited' ? 1_048_576 : Number(limit)
}

/** Resident memory of a process, bytes; 0 after its exit. */
export function residentBytes(pid) {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE
  } catch {
    return 0
  }
}

/** CPU time of a single-threaded process, µs, exact to the nanosecond. */
export function cpuTime(pid) {
  return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e3
}

/** CPU time of a process with all its threads, µs, exact to 10 ms; 0 after its exit. */
export function cpuTimeOfThreads(pid) {
  try {
    // The fields after the process's name, which is in brackets and may contain anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
    return (Number(fields[11]) + Number(fields[12])) * TICK
  } catch {
    return 0
  }
}

/** Processes that a process has started, and that are there still. */
export function childrenOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

/** CPU times of some processes (`own`) and of the machine (`busy`, `all`), µs, to be compared with later ones. */
export function timesOf(pids) {
  return { own: pids.reduce((sum, pid) => sum + cpuTimeOfThreads(pid), 0), ...machineTime() }
}

/** Share of the machine's time between two `timesOf` that went to other processes, or to other guests of the same host. */
export function othersShare(before, after) {
  return Math.max(0, (after.busy - before.busy - (after.own - before.own)) / (after.all - before.all))
}

/** Time of all cores, µs: busy, time stolen by other guests of the host included, and in total. */
function machineTime() {
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
