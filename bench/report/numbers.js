// Formats numbers for people.

/** 4,930,000 as `4.93 M`. */
export function short(n) {
  if (n === undefined || !Number.isFinite(n)) return '–'
  if (n >= 1e6) return `${digits(n / 1e6)} M`
  if (n >= 1e4) return `${digits(n / 1e3)} k`
  return n >= 1000 ? Math.round(n).toLocaleString('en') : digits(n)
}

/** Three significant digits, or all before the decimal point. */
export function digits(n) {
  if (n === undefined || !Number.isFinite(n)) return '–'
  if (n >= 100) return n.toFixed(0)
  return n >= 10 ? n.toFixed(1) : n.toFixed(2)
}
