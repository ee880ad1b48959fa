import { useChat } from '@ai-sdk/react'
import { StrictMode, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { RunTransport } from './transport.js'

await fetch('/login', {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ name: 'ann' })
})

// #region chat
function Chat({ id, saved }) {
  const [transport] = useState(() => new RunTransport(saved.answer))
  const { messages, sendMessage, status, error } = useChat({
    id,
    transport,
    messages: saved.messages,
    resume: saved.answer !== null
  })
  const ask = (submit) => {
    submit.preventDefault()
    sendMessage({ text: submit.target.question.value })
  }
  return (
    <>
      <ol>
        {messages.map((message) => (
          <li key={message.id} className={message.role}>
            {message.parts.map((part) => (part.type === 'text' ? part.text : '')).join('')}
          </li>
        ))}
      </ol>
      <form onSubmit={ask}>
        <input name="question" required autoComplete="off" />
        <button type="submit" disabled={status !== 'ready' && status !== 'error'}>
          Ask
        </button>
      </form>
      {status === 'streaming' && (
        <button type="button" onClick={() => transport.stop(id)}>
          Stop
        </button>
      )}
      <p id="state">{error?.message ?? status}</p>
    </>
  )
}

const id = location.hash.slice(1) || crypto.randomUUID()
location.hash = id
const saved = await (await fetch(`/chats/${id}`)).json() // its messages, and whether an answer is under way
createRoot(document.getElementById('root')).render(
  <StrictMode>
    <Chat id={id} saved={saved} />
  </StrictMode>
)
// #endregion
