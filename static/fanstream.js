/*
 * A client for event streams: what EventSource does (WHATWG HTML, section 9.2), over fetch. So it
 * can send headers, begin with a POST, see a status, wait out a 503 and notice silence. To use it
 * elsewhere, copy it with event-stream.js and requests.js; it needs no more, and no DOM.
 *
 *   const stream = new FanStream('/feeds/city?city=Oslo');
 *   stream.addEventListener('result', ({ data }) => show(JSON.parse(data)));
 *   stream.addEventListener('state', ({ detail }) => console.log(detail.state));
 */

import { createParser, MAX_RETRY_MS, StreamTooLarge } from './event-stream.js';
import { createRun, Problem } from './requests.js';

/** Beats that may fail to come before a connection counts as dead. */
export const MISSED_BEATS = 3;
/* Milliseconds: between connections, unless `retry:` says another; the longest wait of our own
	 making; the longest that a server can ask for. */
const RETRY_MS = 2_000;
export const MAX_BACKOFF_MS = 30_000;
export const MAX_WAIT_MS = 3_600_000;
/** What came together is told for so many milliseconds without a pause, in such pieces. */
const MAX_BUSY_MS = 20;
const MAX_PIECE_BYTES = 32 * 1024;
/** The events of a run, and their ids, `<run>-<n>`. */
export const RUN_EVENTS = ['start', 'attempt', 'chunk', 'result', 'failure', 'done'];
const RUN_EVENT_ID = /^([0-9a-f]{32})-([0-9]+)$/;

const STALE = new Error('nothing was heard');
const here = { fetch: (...asked) => fetch(...asked), setTimeout, clearTimeout, random: Math.random };

/**
 * One stream, connected again and again until it has ended. As with EventSource, its events are
 * MessageEvents of their own names, `open` is a connection, and `error` one that is lost or refused.
 * `heard` is a piece of any kind, beats too. `state` has in its `detail`:
 *   state       connecting, open, stale (three beats did not come), draining (the server ends),
 *               resuming, ended
 *   reconnects  how often a connection was made after the first
 *   waitMs      milliseconds to the next try; 0 while it is made
 *   problem     what a server has answered: a Problem
 *   reason      of the end: done, gone (204), refused (see `problem`), unreadable (see `detail`),
 *               uncertain (a POST without an answer), closed
 */
export class FanStream extends EventTarget {
	static CONNECTING = 0;
	static OPEN = 1;
	static CLOSED = 2;

	#url; #params; #headers; #credentials; #silenceMs; #world;
	#lastEventId = ''; #run; #n = 0; // the place
	#state = 'connecting'; #opened = 0; #retryMs = RETRY_MS; #failures = 0;
	#verdict = null; // what an event has decided: {end} or {state, waitMs}
	#attempt = new AbortController(); #timer; #wake = () => {}; #isClosed = false;

	/**
	 * @param {string|URL} url A feed, a run, or any event stream.
	 * @param {object} [options]
	 * @param {object|string} [options.params] Parameters, or their JSON, to make a run of with one
	 *   POST, never repeated; it is followed with GET.
	 * @param {HeadersInit|function} [options.headers] Or what gives them for each request, async too.
	 * @param {string} [options.credentials] As fetch has it.
	 * @param {number} [options.pingInterval] The server's, in seconds.
	 * @param {string} [options.lastEventId] The event after which to begin.
	 * @param {object} [options.world] For tests: fetch, setTimeout, clearTimeout, random.
	 */
	constructor(url, {
		params, headers, credentials = 'same-origin', pingInterval = 15, lastEventId = '', world = here,
	} = {}) {
		super();
		this.#url = url;
		this.#params = params;
		this.#headers = headers;
		this.#credentials = credentials;
		this.#world = world;
		this.#isNew(lastEventId);
		this.#lastEventId = lastEventId;
		// A timer that is given more than it takes, such as Infinity, fires at once.
		this.#silenceMs = Math.min(MISSED_BEATS * pingInterval * 1000, MAX_RETRY_MS);
		// Not at once: whoever made this has still to listen.
		queueMicrotask(() => this.#live().catch((error) => {
			this.#end({ reason: 'unreadable', detail: 'an error on this side' });
			throw error;
		}));
	}

	/** What is asked for; after a POST the run that it has made. */
	get url() { return String(this.#url); }

	get readyState() {
		if (this.#isClosed || this.#state === 'ended') return FanStream.CLOSED;
		return this.#state === 'open' ? FanStream.OPEN : FanStream.CONNECTING;
	}

	close() {
		this.#isClosed = true;
		this.#attempt.abort();
		this.#wake();
	}

	/** Lose the connection, as if by the network. */
	cut() { if (this.#state === 'open') this.#attempt.abort(); }

	/** Cut a wait short, as is done when the network is back. */
	hurry() { this.#wake(); }

	async #live() {
		this.#enter('connecting');
		let end = this.#params === undefined ? null : await this.#create();
		while (!end) {
			const next = await this.#connect();
			end = this.#isClosed ? { reason: 'closed' } : next.end;
			if (end) break;
			const { state = 'resuming', ...facts } = next;
			const pause = this.#pause(facts.waitMs); // before a listener cuts it short
			this.#enter(state, facts);
			this.dispatchEvent(new Event('error'));
			await pause;
			if (!this.#isClosed) this.#enter('resuming', { waitMs: 0 });
		}
		this.#end(end);
	}

	/** Make the run; answers an end where there is none. */
	async #create() {
		try {
			const options = await this.#options(this.#attempt.signal);
			this.#url = (await createRun(this.#url, this.#params, options, this.#world)).url;
		} catch (error) {
			if (this.#isClosed) return { reason: 'closed' };
			if (error instanceof Problem) return { reason: 'refused', problem: error };
			return { reason: 'uncertain' };
		}
		return null;
	}

	/** One connection; answers what follows: {end}, or {state, waitMs}. */
	async #connect() {
		const attempt = (this.#attempt = new AbortController());
		if (this.#isClosed) return {};
		this.#watch();
		try {
			const response = await this.#ask(attempt.signal).catch(() => null);
			const next = response && ((await this.#judge(response)) ?? (await this.#read(response)));
			const isStale = attempt.signal.reason === STALE;
			return next ?? { state: isStale ? 'stale' : 'resuming', waitMs: this.#backoff() };
		} finally {
			const { clearTimeout } = this.#world;
			clearTimeout(this.#timer);
			attempt.abort(); // a response that is not read on would hold its connection
		}
	}

	async #ask(signal) {
		const options = await this.#options(signal);
		options.headers.set('Accept', 'text/event-stream');
		// A header's value is bytes: an id beyond ASCII goes as its UTF-8, as EventSource sends it.
		const id = new TextEncoder().encode(this.#lastEventId);
		if (id.length > 0) options.headers.set('Last-Event-ID', String.fromCharCode(...id));
		return this.#world.fetch(this.#url, { ...options, cache: 'no-store' });
	}

	async #options(signal) {
		signal.throwIfAborted();
		const given = typeof this.#headers === 'function' ? this.#headers() : this.#headers;
		const aborted = new Promise((_, reject) => { signal.onabort = () => reject(signal.reason); });
		const headers = new Headers(await Promise.race([given, aborted]));
		return { headers, credentials: this.#credentials, signal };
	}

	/** What the head decides; null where the body is to be read. */
	async #judge(response) {
		const { status } = response;
		if (status === 204) return { end: { reason: 'gone' } };
		if (status === 200) return isEventStream(response) ? null : unreadable('not an event stream');
		const problem = await Problem.read(response);
		if (status >= 500) return { waitMs: this.#waitAsked(response), problem };
		return { end: { reason: 'refused', problem } };
	}

	/** Read to the end; null where it broke, or ended without a word. */
	async #read(response) {
		this.#verdict = null;
		this.#opened += 1;
		this.#enter('open');
		this.dispatchEvent(new Event('open'));
		if (!response.body) return null;
		const reader = response.body.getReader();
		const decoder = new TextDecoder();
		const parser = createParser((event) => this.#receive(event), { lastEventId: this.#lastEventId });
		const isOver = () => this.#verdict || this.#isClosed;
		let busyMs = 0;
		while (!isOver()) {
			// A connection that breaks and a stream that ends are the same here: come back.
			const { done, value } = await reader.read().catch(() => ({ done: true }));
			if (done) return null;
			this.#watch();
			for (let at = 0; at < value.length && !isOver(); at += MAX_PIECE_BYTES) {
				const began = performance.now();
				const piece = value.subarray(at, at + MAX_PIECE_BYTES);
				const fault = feed(parser, decoder.decode(piece, { stream: true }));
				if (fault) return unreadable(fault.message);
				this.dispatchEvent(new Event('heard'));
				busyMs += performance.now() - began;
				if (busyMs > MAX_BUSY_MS) busyMs = await breathe();
			}
			// An id without data is a place too, but that of a run's event only with the event.
			if (!RUN_EVENT_ID.test(parser.lastEventId)) this.#lastEventId = parser.lastEventId;
			this.#retryMs = Math.min(parser.retryMs ?? this.#retryMs, MAX_WAIT_MS);
		}
		return this.#verdict;
	}

	#receive({ event, data, lastEventId }) {
		if (this.#verdict || this.#isClosed) return;
		// Other events bear the id of the one before them.
		if (RUN_EVENTS.includes(event) && !this.#isNew(lastEventId)) return;
		this.#lastEventId = lastEventId;
		this.#failures = 0;
		if (event === 'reset') this.#run = null;
		if (event === 'shutdown') this.#verdict = this.#readShutdown(data);
		if (event === 'done') this.#verdict = { end: { reason: 'done' } };
		this.dispatchEvent(new MessageEvent(event, { data, lastEventId }));
	}

	/** Whether an id may be a new event's; that of a run's event is so once. */
	#isNew(id) {
		const [, run, digits] = RUN_EVENT_ID.exec(id) ?? [];
		const n = Number(digits);
		if (run === undefined) return true;
		if (run === this.#run && n <= this.#n) return false;
		this.#run = run;
		this.#n = n;
		return true;
	}

	#readShutdown(data) {
		const { reason, reconnect_ms = this.#retryMs } = parseObject(data);
		return { state: reason === 'drain' ? 'draining' : 'resuming', waitMs: clamp(reconnect_ms) };
	}

	/** The standard's time, and beyond it full jitter over a span that doubles. */
	#backoff() {
		const span = Math.max(this.#retryMs, 100) * 2 ** this.#failures++;
		const room = Math.max(MAX_BACKOFF_MS - this.#retryMs, 0);
		return this.#retryMs + this.#world.random() * Math.min(span, room);
	}

	#waitAsked(response) {
		const asked = response.headers.get('Retry-After') ?? '';
		const ms = /^[0-9]+$/.test(asked) ? Number(asked) * 1000 : Date.parse(asked) - Date.now();
		if (Number.isNaN(ms)) return this.#backoff();
		// All who were turned away heard the same number: spread them.
		return clamp(ms) + this.#world.random() * this.#retryMs;
	}

	#watch() {
		const { setTimeout, clearTimeout } = this.#world;
		const attempt = this.#attempt;
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => attempt.abort(STALE), this.#silenceMs);
	}

	async #pause(ms) {
		const { setTimeout, clearTimeout } = this.#world;
		let timer;
		const over = new AbortController();
		await new Promise((resolve) => {
			this.#wake = resolve;
			timer = setTimeout(resolve, ms);
			globalThis.addEventListener?.('online', resolve, over);
		});
		clearTimeout(timer);
		over.abort();
	}

	#enter(state, facts = {}) {
		this.#state = state;
		const detail = { state, reconnects: Math.max(this.#opened - 1, 0), ...facts };
		this.dispatchEvent(new CustomEvent('state', { detail }));
	}

	#end(facts) {
		this.#enter('ended', facts);
		if (!['done', 'closed'].includes(facts.reason)) this.dispatchEvent(new Event('error'));
	}
}

/** Let others have their turn. No timer: in the background these are slow. */
async function breathe() {
	const { port1, port2 } = new MessageChannel();
	port2.postMessage(null);
	await new Promise((resolve) => { port1.onmessage = resolve; });
	port1.close();
	return 0;
}

function isEventStream(response) {
	return /^text\/event-stream\s*(;|$)/i.test(response.headers.get('Content-Type') ?? '');
}

function unreadable(detail) {
	return { end: { reason: 'unreadable', detail } };
}

function feed(parser, text) {
	try {
		return parser.feed(text);
	} catch (error) {
		if (error instanceof StreamTooLarge) return error;
		throw error;
	}
}

function parseObject(text) {
	try {
		return Object(JSON.parse(text));
	} catch {
		return {};
	}
}

function clamp(ms) {
	return Math.min(Math.max(Number(ms) || 0, 0), MAX_WAIT_MS);
}
