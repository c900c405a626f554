/* The runs that this browser knows, newest first: {run, feed, params (JSON), title, time, word, failed}. */

const KEY = 'fanstream runs'
const MAX_RUNS = 50

let unstored = null // the list, where storage is full or forbidden

export function knownRuns() {
	try {
		return unstored ?? JSON.parse(localStorage.getItem(KEY)).filter(isEntry)
	} catch {
		return []
	}
}

// Other pages of this origin can have written there too.
function isEntry({run, params, title, word}) {
	return [run, params, title, word].every((it) => typeof it === 'string') && JSON.parse(params)
}

/** Keep facts of a run, or forget it where they are null. */
export function keepRun(run, facts) {
	const before = knownRuns()
	const at = Math.max(before.findIndex((each) => each.run === run), 0)
	const known = before.filter((each) => each.run !== run)
	if (facts) known.splice(at, 0, {...before.find((each) => each.run === run), ...facts, run})
	known.length = Math.min(known.length, MAX_RUNS)
	try {
		localStorage.setItem(KEY, JSON.stringify(known))
		unstored = null
	} catch {
		unstored = known
	}
}
