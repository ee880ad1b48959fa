// Finds programs that tests need, such as a Redis server: a test without its program is skipped, and fails with
// CI=true.

import { accessSync, constants } from 'node:fs'
import { delimiter, isAbsolute, join } from 'node:path'
import type { Test } from 'tap'

/**
 * The path of a program that a test needs. Where it is missing the test says so and should return: on a user's machine
 * it counts as skipped, with `CI=true` as failed, so that nothing is left untested unnoticed.
 *
 * `path` is tried first where given; a bare name is looked up in PATH.
 */
export function requireBinary(t: Test, name: string, path: string = name): string | undefined {
  const found = findBinary(path)
  if (found) return found
  const message = `${name} is needed and is not at ${path}${path === name ? ' (looked up in PATH)' : ''}`
  if (process.env.CI === 'true') t.fail(message)
  else t.pass(name, { skip: message })
  return undefined
}

export function findBinary(path: string): string | undefined {
  if (isAbsolute(path)) return isExecutable(path) ? path : undefined
  const folders = (process.env.PATH ?? '').split(delimiter)
  return folders.map((folder) => join(folder, path)).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
