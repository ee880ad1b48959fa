/**
 * Refuses to publish while package.json has OWNER in place of the account that holds the repository. No other file names
 * the account: npm resolves the links and pictures of README by `repository`.
 */
import { readFileSync } from 'node:fs'

const { repository, homepage, bugs, author } = JSON.parse(readFileSync('package.json', 'utf8'))
const [, address, owner] = /^git\+(https:\/\/github\.com\/([^/]+)\/pylon-sse)\.git$/.exec(repository.url) ?? []

if (owner === undefined || owner === 'OWNER') {
  fail(`repository.url is ${repository.url}. Put the account that holds the repository in place of OWNER, in all URLs.`)
} else {
  expect('homepage', homepage, `${address}#readme`)
  expect('bugs', bugs, `${address}/issues`)
  expect('author', author, `The pylon-sse authors (https://github.com/${owner})`)
}

function expect(field, got, wanted) {
  if (got !== wanted) fail(`${field} is ${got}, and does not fit repository.url: it should be ${wanted}.`)
}

function fail(problem) {
  console.error(`package.json: ${problem}`)
  process.exitCode = 1
}
