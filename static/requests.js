/*
 * The requests that are no streams. Their options are fetch's: headers, credentials, signal. They
 * throw a Problem where they are refused, and another error where there was no answer.
 */

/** Milliseconds, for the whole answer. */
const TIMEOUT_MS = 15_000;

/** A refusal (RFC 9457): a message for a person, and the parameter at fault, if one was. */
export class Problem extends Error {
	constructor(status, { detail, title, parameter } = {}) {
		super(detail ?? title ?? `the server answered with status ${status}`);
		this.name = 'Problem';
		this.status = status;
		this.parameter = parameter;
	}

	static async read(response) {
		const isJson = /[/+]json\b/i.test(response.headers.get('Content-Type') ?? '');
		const document = isJson ? await response.json().catch(() => null) : null;
		return new Problem(response.status, document ?? {});
	}
}

/**
 * Make a run of a feed, or join the one that there is, with one POST.
 *
 * @param {object|string} params Parameters, or their JSON where JavaScript's numbers are short.
 * @returns {Promise<{run: string, params: object, url: string}>} Follow it at `url`.
 */
export async function createRun(feed, params, options = {}, world = globalThis) {
	const body = typeof params === 'string' ? params : JSON.stringify(params);
	const headers = asJson(options.headers);
	headers.set('Content-Type', 'application/json');
	const response = await ask(feed, { ...options, method: 'POST', headers, body }, world);
	const location = response.headers.get('Location');
	if (location === null) throw new TypeError('the answer does not say where the run is');
	const url = new URL(location, response.url || feed);
	return { ...(await response.json()), url: String(url) };
}

/** End a run for all its viewers. */
export async function stopRun(run, options = {}, world = globalThis) {
	await ask(run, { ...options, method: 'DELETE' }, world);
}

/** @returns {Promise<object>} What is there: the feeds, or how a run stands. */
export async function readJson(url, options = {}, world = globalThis) {
	return (await ask(url, { ...options, headers: asJson(options.headers) }, world)).json();
}

function asJson(more) {
	const headers = new Headers(more);
	headers.set('Accept', 'application/json');
	return headers;
}

async function ask(url, options, world) {
	const { signal = new AbortController().signal } = options;
	const bounded = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
	const response = await world.fetch(url, { ...options, signal: bounded });
	if (!response.ok) throw await Problem.read(response);
	return response;
}
