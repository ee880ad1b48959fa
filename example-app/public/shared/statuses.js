/** The statuses of a task and the headings of their columns, in the order of the columns. For the page and the server. */
export const COLUMNS = { todo: 'To do', doing: 'Doing', done: 'Done' }

export const STATUSES = Object.keys(COLUMNS)
