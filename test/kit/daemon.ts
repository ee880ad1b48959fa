// Starts and stops servers that are not Node programs.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

export interface DaemonOptions {
  /** Where it will listen on 127.0.0.1. */
  port: number
  /** By name, written into its folder before it starts. */
  files: Record<string, string>
  /** Its arguments, of the folder's path. */
  args(folder: string): string[]
  env?(folder: string): Record<string, string>
}

/** Runs a server that is no program of Node, in the foreground and in a folder of its own, until the end of the test. */
export async function startDaemon(t: Test, binary: string, { port, files, args, env }: DaemonOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'pylon-sse-daemon-'))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  let output = ''
  const child = spawn(binary, args(folder), {
    cwd: folder,
    env: { ...process.env, ...env?.(folder) },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const exit = once(child, 'exit')
      child.kill('SIGTERM')
      await exit
    }
    await rm(folder, { recursive: true, force: true })
  })
  while (!(await listens(port))) {
    if (child.exitCode !== null) throw new Error(`${binary} has ended: ${output}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
