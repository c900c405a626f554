/* Requests with fetch's options. Refused, they throw a Problem; unanswered, another error. */

const TIMEOUT_MS = 15_000 // for the whole answer

/** A refusal (RFC 9457): a message, and the parameter at fault, if one was. */
export class Problem extends Error {
	constructor(status, {detail, title, parameter} = {}) {
		super(detail ?? title ?? `the server answered with status ${status}`)
		Object.assign(this, {name: 'Problem', status, parameter})
	}

	static async read(response) {
		const isJson = /json\b/i.test(response.headers.get('Content-Type'))
		const document = isJson && (await response.json().catch(() => null))
		return new Problem(response.status, document || {})
	}
}

/**
 * Make a run of a feed, or join one, with one POST.
 * @param {object|string} params Or their JSON, where JavaScript's numbers are short.
 * @returns {Promise<{run: string, params: object, url: string}>}
 */
export async function createRun(feed, params, options) {
	const body = typeof params === 'string' ? params : JSON.stringify(params)
	const headers = asJson(options?.headers)
	headers.set('Content-Type', 'application/json')
	const response = await ask(feed, {...options, method: 'POST', headers, body})
	const location = response.headers.get('Location')
	if (location === null) throw new TypeError('the answer has no Location')
	const url = String(new URL(location, response.url || feed))
	return {...(await response.json()), url}
}

export async function stopRun(run, options) {
	await ask(run, {...options, method: 'DELETE'})
}

export async function readJson(url, options) {
	return (await ask(url, {...options, headers: asJson(options?.headers)})).json()
}

function asJson(more) {
	const headers = new Headers(more)
	headers.set('Accept', 'application/json')
	return headers
}

async function ask(url, {world = globalThis, signal, ...options}) {
	const bounds = [AbortSignal.timeout(TIMEOUT_MS), signal].filter(Boolean)
	const response = await world.fetch(url, {...options, signal: AbortSignal.any(bounds)})
	if (!response.ok) throw await Problem.read(response)
	return response
}
