// The child processes of a measurement. Calls to them are answered by calls.js.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** A child process that runs a script of the benchmark and answers calls (see calls.js). */
export class Child {
  #process
  #calls = new Map()
  #nextId = 0
  #exited

  /**
   * @param {string} script path below `bench/`
   * @param {{ files: number, nodeArgs?: string[] }} options `files`: descriptors that it may open
   */
  constructor(script, { files, nodeArgs = [] }) {
    const path = fileURLToPath(new URL(`../${script}`, import.meta.url))
    // Node cannot raise the limit of descriptors for a child; a shell can, and gives way to it, with its pid.
    const command = `ulimit -n ${files}; exec "$0" "$@"`
    this.#process = spawn('/bin/sh', ['-c', command, process.execPath, ...nodeArgs, path], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc']
    })
    this.#process.on('message', ({ id, result, error }) => {
      const call = this.#calls.get(id)
      this.#calls.delete(id)
      if (error === undefined) call?.resolve(result)
      else call?.reject(new Error(error))
    })
    this.#exited = new Promise((resolve) => {
      this.#process.once('exit', (code, signal) => {
        this.#process = undefined
        for (const { reject } of this.#calls.values()) reject(new Error(`${script} ended (${signal ?? code})`))
        this.#calls.clear()
        resolve()
      })
    })
  }

  /** Resolves when the process has exited. */
  get exited() {
    return this.#exited
  }

  get pid() {
    return this.#process?.pid
  }

  call(method, args) {
    return new Promise((resolve, reject) => {
      if (this.#process === undefined) {
        reject(new Error('the process has ended'))
        return
      }
      const id = this.#nextId++
      this.#calls.set(id, { resolve, reject })
      this.#process.send({ id, method, args }, (err) => {
        if (err && this.#calls.delete(id)) reject(err)
      })
    })
  }

  /** Kills the process. Resolves when it has exited. */
  kill() {
    this.#process?.kill('SIGKILL')
    return this.#exited
  }
}
