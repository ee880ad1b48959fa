// Who is here.

const MOST = 12

/** Shows the names of the people in a room, each with its initial in a colour of its own. */
export function showPeople(list, names, me) {
  list.replaceChildren(...names.slice(0, MOST).map((name) => person(name, name === me)))
  if (names.length <= MOST) return
  const rest = document.createElement('li')
  rest.textContent = `and ${names.length - MOST} more`
  list.append(rest)
}

function person(name, isMe) {
  const item = document.createElement('li')
  const initial = document.createElement('span')
  initial.className = 'initial'
  initial.ariaHidden = 'true'
  initial.textContent = [...name][0].toUpperCase()
  initial.style.setProperty('--hue', hueOf(name))
  item.append(initial, isMe ? `${name} (you)` : name)
  return item
}

function hueOf(name) {
  let hue = 0
  for (const character of name) hue = (hue * 31 + character.codePointAt(0)) % 360
  return hue
}
