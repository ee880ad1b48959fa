/** JSON schema of a person's name. No commas: names are listed with commas between. The description is for error messages. */
export const PERSON = {
  type: 'string',
  minLength: 1,
  maxLength: 30,
  pattern: "^ *[\\p{L}\\p{N}][\\p{L}\\p{M}\\p{N} .'_-]*$",
  description: "A person's name takes up to 30 letters, digits, spaces and . ' _ - and begins with a letter or a digit"
}

/** What of two names must be equal for them to be one person's. */
export function fold(name) {
  return name.trim().normalize('NFKC').toLowerCase()
}
