// The names of people.

/** JSON schema of a person's name. It has no comma, since commas separate names. The description is used in error messages. */
export const PERSON = {
  type: 'string',
  minLength: 1,
  maxLength: 30,
  pattern: "^ *[\\p{L}\\p{N}][\\p{L}\\p{M}\\p{N} .'_-]*$",
  description: "A person's name takes up to 30 letters, digits, spaces and . ' _ - and begins with a letter or a digit"
}

/** Folds a name for comparison: two names are the same person's if their folded forms are equal. */
export function fold(name) {
  return name.trim().normalize('NFKC').toLowerCase()
}
