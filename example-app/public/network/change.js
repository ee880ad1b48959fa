// What the server tells of changes, and their order.

/**
 * A change of a task as the board shows it, from what a change event of the database says, or the answer to a request: `cursor`
 * is the place of the event in the log, `user` who made the change, `data` the task as it is since, null for a deleted one.
 *
 * The database keeps deleted tasks for a while, so that deleting can be undone. One that was removed from the database itself
 * comes without its fields, and so without a name.
 */
export function readChange({ row_id, kind, data }, cursor) {
  const isDeleted = data === null || data.deleted_at !== null
  return { cursor, row_id, kind: isDeleted ? 'delete' : kind, data: isDeleted ? null : data, user: data?.changed_by }
}

/**
 * Whether one place in the log is before another one, or the same. An event's id begins with its place: the log, a number,
 * and what else there is, with hyphens between. Places in two logs cannot be compared: new rows follow there.
 */
export function isUpTo(one, other) {
  const [[log, place], [otherLog, otherPlace]] = [one.split('-'), other.split('-')]
  return log === otherLog && Number(place) <= Number(otherPlace)
}
