// node listen.js http://localhost:3000
import { listen } from './client.js'

const server = process.argv[2]

/** Logs in each time the stream is opened, since the previous token may have expired. */
async function getToken() {
  const answer = await fetch(`${server}/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'ann', password: 'demo-ann' })
  })
  return (await answer.json()).token
}

const source = listen(`${server}/events?topic=user.ann`, getToken)
source.onopen = () => console.log('connected')
source.onmessage = ({ data }) => console.log(data)
