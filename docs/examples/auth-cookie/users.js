import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

const derive = promisify(scrypt)
const record = async (password) => {
  const salt = randomBytes(16)
  return { salt, hash: await derive(password, salt, 32) }
}

/** Stands for a database: records by the user's id, which is the name here. */
const users = new Map([
  ['ann', await record('demo-ann')],
  ['bob', await record('demo-bob')]
])
/** Makes an unknown name take as long as a known one. */
const nobody = await record(randomBytes(16))

/** A schema for the body of a login. */
export const credentials = {
  type: 'object',
  required: ['name', 'password'],
  properties: { name: { type: 'string', maxLength: 64 }, password: { type: 'string', maxLength: 256 } }
}

/** Resolves with the user's id, or with nothing if the password is wrong. */
export async function checkPassword({ name, password }) {
  const { salt, hash } = users.get(name) ?? nobody
  const isRight = timingSafeEqual(await derive(password, salt, 32), hash)
  return isRight && users.has(name) ? name : undefined
}
