/*
 * The runs that this browser has seen, the newest first: {run, feed, params, title, time, word}, of
 * which `params` is JSON. Without storage they last as long as the page.
 */

const KEY = 'fanstream runs';
const MAX_RUNS = 50;

let unstored = null; // the list, where storage is full or forbidden

export function knownRuns() {
	try {
		return unstored ?? JSON.parse(localStorage.getItem(KEY)).filter(isEntry);
	} catch {
		return []; // none yet, or what nobody can read
	}
}

/** Other pages of this origin can have written there too. */
function isEntry({ run, params, title, word }) {
	return [run, params, title, word].every((it) => typeof it === 'string') && JSON.parse(params);
}

/** Keep what is known of a run, or forget it where `facts` is null. */
export function keepRun(run, facts) {
	const before = knownRuns();
	const at = Math.max(before.findIndex((each) => each.run === run), 0);
	const known = before.filter((each) => each.run !== run);
	if (facts) known.splice(at, 0, { ...before.find((each) => each.run === run), ...facts, run });
	known.length = Math.min(known.length, MAX_RUNS);
	try {
		localStorage.setItem(KEY, JSON.stringify(known));
		unstored = null;
	} catch {
		unstored = known;
	}
}
