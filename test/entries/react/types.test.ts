import { createElement as h } from 'react'
import { renderToString } from 'react-dom/server'
import t from 'tap'
import { useSse, useSseEvent } from '../../../lib/entries/react/react.js'

t.test('a string is refused as topics, since its letters would be the topics', (t) => {
  function Page() {
    return h('p', null, useSse('/events', { topics: 'ab' }).status.state)
  }
  t.throws(() => renderToString(h(Page)), {
    constructor: TypeError,
    message: /^The option 'topics' takes object, but got string: ab/
  })
  t.end()
})

t.test('a type argument gives the events and their data their types', (t) => {
  function Typed() {
    const live = useSse<{ paid: { id: number } }>(null)
    useSseEvent('paid', ({ id }) => id.toFixed(), live)
    useSseEvent('resync', ({ reason }) => reason.length, live)
    useSseEvent('error', (error) => String(error), live)
    // @ts-expect-error there is no such event
    useSseEvent('piad', () => {}, live)
    // @ts-expect-error its id is a number
    useSseEvent('paid', ({ id }) => id.trim(), live)
    // @ts-expect-error it ends with its component
    useSse(null, { signal: new AbortController().signal })
    return null
  }
  t.equal(renderToString(h(Typed)), '')
  t.end()
})
