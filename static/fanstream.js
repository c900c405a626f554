/*
 * What EventSource does (WHATWG HTML, section 9.2), over fetch: with headers, a POST to begin with,
 * statuses, and an eye on silence. Copy it with event-stream.js and requests.js; it needs no DOM.
 *
 *   const stream = new FanStream('/feeds/city?city=Oslo')
 *   stream.addEventListener('result', ({data}) => show(JSON.parse(data)))
 */

import {createParser, MAX_RETRY_MS} from './event-stream.js'
import {createRun, Problem} from './requests.js'

export const MISSED_BEATS = 3
const RETRY_MS = 2_000 // until `retry:` says another
/** The longest waits: of our own making, and that a server can ask for. */
export const MAX_BACKOFF_MS = 30_000
export const MAX_WAIT_MS = 3_600_000
// What comes at once is told in pieces, with a pause whenever they took so long.
const MAX_BUSY_MS = 20
const MAX_PIECE_BYTES = 32 * 1024
export const RUN_EVENTS = ['start', 'attempt', 'chunk', 'result', 'failure', 'done']
const RUN_EVENT_ID = /^([0-9a-f]{32})-([0-9]+)$/

/**
 * One stream, connected again and again until it has ended. As with EventSource its events are
 * MessageEvents of their own names, `open` is a connection, `error` one that is lost or refused;
 * `heard` is any piece, beats too. Of `state`, `detail` says: `state` (connecting, open, stale,
 * draining, resuming, ended); `reconnects`; `waitMs` to the next try; `problem`, a server's answer;
 * `reason` of the end (done, gone: 204, refused: `problem`, unreadable: `detail`, uncertain: a POST
 * without an answer, closed).
 */
export class FanStream extends EventTarget {
	static CONNECTING = 0; static OPEN = 1; static CLOSED = 2

	#url; #given; #world
	#lastEventId; #run; #n = 0 // the place
	#state = 'connecting'; #opened = 0; #retryMs = RETRY_MS; #failures = 0
	#verdict = null // what an event has decided: {end} or {state, waitMs}
	#attempt = new AbortController(); #timer; #wake = () => {}; #isClosed = false

	/**
	 * @param {string|URL} url A feed, a run, or any event stream.
	 * @param {object} [options] And `credentials`, as fetch has them; `world` is for tests.
	 * @param {object|string} [options.params] Or their JSON: makes a run, with one POST, to follow.
	 * @param {HeadersInit|function} [options.headers] Or what gives them each time, async too.
	 * @param {number} [options.pingInterval] The server's, in seconds.
	 * @param {string} [options.lastEventId] The event after which to begin.
	 */
	constructor(url, {pingInterval = 15, lastEventId = '', world = globalThis, ...more} = {}) {
		super()
		this.#url = url
		this.#given = {pingInterval, ...more}
		this.#world = world
		this.#lastEventId = lastEventId
		this.#isNew(lastEventId)
		// Not at once: whoever made this has still to listen.
		queueMicrotask(() => this.#live().catch((error) => {
			this.#end({reason: 'unreadable', detail: 'an error on this side'})
			throw error
		}))
	}

	get url() {return String(this.#url)}

	get readyState() {
		if (this.#isClosed || this.#state === 'ended') return FanStream.CLOSED
		return this.#state === 'open' ? FanStream.OPEN : FanStream.CONNECTING
	}

	close() {
		this.#isClosed = true
		this.#attempt.abort()
		this.#wake()
	}

	/** Lose the connection, as if by the network. */
	cut() {if (this.#state === 'open') this.#attempt.abort()}

	/** Cut a wait short. */
	hurry() {this.#wake()}

	async #live() {
		this.#enter('connecting')
		let end = this.#given.params === undefined ? null : await this.#create()
		while (!end) {
			const next = await this.#connect()
			end = this.#isClosed ? {reason: 'closed'} : next.end
			if (end) break
			const {state = 'resuming', ...facts} = next
			const pause = this.#pause(facts.waitMs) // before a listener cuts it short
			this.#enter(state, facts)
			this.dispatchEvent(new Event('error'))
			await pause
			if (!this.#isClosed) this.#enter('resuming', {waitMs: 0})
		}
		this.#end(end)
	}

	async #create() {
		try {
			const options = {...(await this.#options(this.#attempt.signal)), world: this.#world}
			this.#url = (await createRun(this.#url, this.#given.params, options)).url
			return null
		} catch (error) {
			if (this.#isClosed) return {reason: 'closed'}
			return error instanceof Problem ? {reason: 'refused', problem: error} : {reason: 'uncertain'}
		}
	}

	/** One connection; answers what follows, as `#verdict`. */
	async #connect() {
		const attempt = (this.#attempt = new AbortController())
		if (this.#isClosed) return {}
		this.#watch()
		try {
			const response = await this.#ask(attempt.signal).catch(() => null)
			const next = response && ((await this.#judge(response)) ?? (await this.#read(response)))
			const state = attempt.signal.reason === 'stale' ? 'stale' : 'resuming'
			return next ?? {state, waitMs: this.#backoff()}
		} finally {
			this.#world.clearTimeout(this.#timer)
			attempt.abort() // a response that is not read on would hold its connection
		}
	}

	async #ask(signal) {
		const options = await this.#options(signal)
		options.headers.set('Accept', 'text/event-stream')
		// As its UTF-8, which EventSource sends.
		const id = new TextEncoder().encode(this.#lastEventId)
		if (id.length > 0) options.headers.set('Last-Event-ID', String.fromCharCode(...id))
		return this.#world.fetch(this.#url, {...options, cache: 'no-store'})
	}

	async #options(signal) {
		signal.throwIfAborted()
		const {headers, credentials} = this.#given
		const given = typeof headers === 'function' ? headers() : headers
		const aborted = new Promise((_, reject) => {signal.onabort = () => reject(signal.reason)})
		return {headers: new Headers(await Promise.race([given, aborted])), credentials, signal}
	}

	async #judge(response) {
		const {status, headers} = response
		if (status === 204) return {end: {reason: 'gone'}}
		if (status === 200) {
			const isRight = /^text\/event-stream\s*(;|$)/i.test(headers.get('Content-Type'))
			return isRight ? null : unreadable('not an event stream')
		}
		const problem = await Problem.read(response)
		if (status >= 500) return {waitMs: this.#waitAsked(headers.get('Retry-After')), problem}
		return {end: {reason: 'refused', problem}}
	}

	async #read(response) {
		this.#verdict = null
		this.#opened += 1
		this.#enter('open')
		this.dispatchEvent(new Event('open'))
		if (!response.body) return null
		const reader = response.body.getReader()
		const decoder = new TextDecoder()
		const parser = createParser((event) => this.#receive(event), {lastEventId: this.#lastEventId})
		const isOver = () => this.#verdict || this.#isClosed
		let busyMs = 0
		while (!isOver()) {
			const {done, value} = await reader.read().catch(() => ({done: true}))
			if (done) return null
			this.#watch()
			for (let at = 0; at < value.length && !isOver(); at += MAX_PIECE_BYTES) {
				const began = performance.now()
				const piece = value.subarray(at, at + MAX_PIECE_BYTES)
				try {
					parser.feed(decoder.decode(piece, {stream: true}))
				} catch ({message}) {
					return unreadable(message)
				}
				this.dispatchEvent(new Event('heard'))
				busyMs += performance.now() - began
				if (busyMs > MAX_BUSY_MS) busyMs = await breathe()
			}
			// An id without data is a place too, but not one of a run.
			if (!RUN_EVENT_ID.test(parser.lastEventId)) this.#lastEventId = parser.lastEventId
			this.#retryMs = Math.min(parser.retryMs ?? this.#retryMs, MAX_WAIT_MS)
		}
		return this.#verdict
	}

	#receive({event, data, lastEventId}) {
		if (this.#verdict || this.#isClosed) return
		if (RUN_EVENTS.includes(event) && !this.#isNew(lastEventId)) return
		this.#lastEventId = lastEventId
		this.#failures = 0
		if (event === 'reset') this.#run = null
		if (event === 'shutdown') this.#verdict = this.#readShutdown(data)
		if (event === 'done') this.#verdict = {end: {reason: 'done'}}
		this.dispatchEvent(new MessageEvent(event, {data, lastEventId}))
	}

	#isNew(id) {
		const [, run, digits] = RUN_EVENT_ID.exec(id) ?? []
		const n = Number(digits)
		if (run === this.#run && n <= this.#n) return false
		if (run) [this.#run, this.#n] = [run, n]
		return true
	}

	#readShutdown(data) {
		let said = null
		try {said = JSON.parse(data)} catch {}
		const state = said?.reason === 'drain' ? 'draining' : 'resuming'
		return {state, waitMs: clamp(said?.reconnect_ms ?? this.#retryMs)}
	}

	/** Beyond the standard's time full jitter, over a span that doubles. */
	#backoff() {
		const span = Math.max(this.#retryMs, 100) * 2 ** this.#failures++
		const room = Math.max(MAX_BACKOFF_MS - this.#retryMs, 0)
		return this.#retryMs + this.#world.Math.random() * Math.min(span, room)
	}

	#waitAsked(asked) {
		const ms = /^[0-9]+$/.test(asked) ? Number(asked) * 1000 : Date.parse(asked) - Date.now()
		if (Number.isNaN(ms)) return this.#backoff()
		// All who were turned away heard the same.
		return clamp(ms) + this.#world.Math.random() * this.#retryMs
	}

	#watch() {
		const attempt = this.#attempt
		const silenceMs = Math.min(MISSED_BEATS * this.#given.pingInterval * 1000, MAX_RETRY_MS)
		this.#world.clearTimeout(this.#timer)
		this.#timer = this.#world.setTimeout(() => attempt.abort('stale'), silenceMs)
	}

	async #pause(ms) {
		const over = new AbortController()
		let timer
		await new Promise((resolve) => {
			this.#wake = resolve
			timer = this.#world.setTimeout(resolve, ms)
			globalThis.addEventListener?.('online', resolve, over)
		})
		this.#world.clearTimeout(timer)
		over.abort()
	}

	#enter(state, facts) {
		this.#state = state
		const detail = {state, reconnects: Math.max(this.#opened - 1, 0), ...facts}
		this.dispatchEvent(new CustomEvent('state', {detail}))
	}

	#end(facts) {
		this.#enter('ended', facts)
		if (!['done', 'closed'].includes(facts.reason)) this.dispatchEvent(new Event('error'))
	}
}

/** Let others have their turn, by no timer, which is slow in the background. */
function breathe() {
	return new Promise((resolve) => {
		const {port1, port2} = new MessageChannel()
		port1.onmessage = () => {port1.close(); resolve(0)}
		port2.postMessage(null)
	})
}

function unreadable(detail) {return {end: {reason: 'unreadable', detail}}}

function clamp(ms) {return Math.min(Math.max(Number(ms) || 0, 0), MAX_WAIT_MS)}
