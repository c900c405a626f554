/* A world for a FanStream, without network and clock, and what the tests of it say and hear in it. */

import {FanStream, RUN_EVENTS} from '../../static/fanstream.js'

export const FEED = 'https://host/prefix/feeds/city'
export const RUN = '0123456789abcdef'.repeat(2)
export const SELF_SAID = ['message', 'reset', 'shutdown', 'ping']

/** Scripted answers, and timers that `pass` moves on. An answer that is undefined never comes. */
export class ScriptedWorld {
	requests = []
	#answers = []
	#timers = new Map()
	#nextId = 1
	#now = 0

	constructor(...answers) {
		this.#answers = answers
	}

	Math = {random: () => 0.5}

	fetch = (url, {headers, ...options}) => {
		const {signal} = options
		this.requests.push({url: String(url), headers: Object.fromEntries(new Headers(headers)), ...options})
		const answer = this.#answers.shift()
		return new Promise((resolve, reject) => {
			signal.throwIfAborted()
			signal.addEventListener('abort', () => reject(signal.reason))
			if (answer instanceof Error) reject(answer)
			else if (answer) resolve(answer instanceof LiveAnswer ? answer.response(signal) : answer)
		})
	}

	setTimeout = (call, ms) => {
		this.#timers.set(this.#nextId, {call, at: this.#now + ms})
		return this.#nextId++
	}

	clearTimeout = (id) => this.#timers.delete(id)

	get timers() {return this.#timers.size}

	/** When the timers are due, from now. */
	get dues() {return [...this.#timers.values()].map(({at}) => at - this.#now)}

	/** Let time pass, and with it what is due. */
	async pass(ms) {
		await settle()
		this.#now += ms
		for (const [id, {call, at}] of [...this.#timers]) {
			if (at <= this.#now && this.#timers.delete(id)) call()
		}
		await settle()
	}
}

/** A response whose body is written by the test. */
export class LiveAnswer {
	#controller
	#body = new ReadableStream({start: (controller) => {this.#controller = controller}})

	constructor(...texts) {
		for (const text of texts) this.say(text)
	}

	response(signal) {
		signal.addEventListener('abort', () => this.break(signal.reason))
		return new Response(this.#body, {headers: {'Content-Type': 'text/event-stream'}})
	}

	say(text) {this.#controller.enqueue(Buffer.from(text)); return this}
	end() {this.#controller.close(); return this}
	break(reason = new TypeError('network')) {try {this.#controller.error(reason)} catch { /* ended */ }}
}

/** Let everything happen that waits for nothing. */
export async function settle() {
	for (let i = 0; i < 20; i += 1) await new Promise((resolve) => {setImmediate(resolve)})
}

/**
 * Begin a stream in a world, and write down what it tells: `seen`, the events of the stream; `told`,
 * the names of all else; `states`. `listeners` are added before it has begun.
 */
export function begin(world, options = {}, listeners = {}) {
	const seen = []
	const told = []
	const states = []
	const stream = new FanStream(options.url ?? FEED, {world, ...options})
	for (const name of [...RUN_EVENTS, ...SELF_SAID]) {
		stream.addEventListener(name, ({type, data, lastEventId}) => seen.push({type, data, lastEventId}))
	}
	for (const name of ['open', 'error', 'heard']) stream.addEventListener(name, () => told.push(name))
	stream.addEventListener('state', ({detail}) => {
		states.push(detail)
		told.push(detail.state)
	})
	for (const [name, listener] of Object.entries(listeners)) {
		stream.addEventListener(name, (event) => listener(stream, event))
	}
	return {
		stream,
		seen,
		told,
		states,
		types: () => seen.map(({type}) => type),
		names: () => states.map(({state}) => state),
		last: () => states.at(-1),
	}
}

/** The same, once everything has happened that waits for nothing. */
export async function watch(...begun) {
	const watched = begin(...begun)
	await settle()
	return watched
}

export const id = (n) => `${RUN}-${n}`
export const event = (name, data, eventId) => (
	`${eventId ? `id: ${eventId}\n` : ''}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
)
export const start = event('start', {upstreams: ['a']}, id(1))
export const result = event('result', {upstream: 'a'}, id(2))
export const done = event('done', {reason: 'finished'}, id(3))
export const shutdown = (reason, ms) => event('shutdown', {reason, reconnect_ms: ms})

export const problem = (status, body = {}, headers = {}) => new Response(JSON.stringify(body), {
	status,
	headers: {'Content-Type': 'application/problem+json', ...headers},
})

/** What a POST is answered, as from `url`, which a Response that node has made does not know. */
export function created({location = `../runs/${RUN}`, url = FEED, status = 201} = {}) {
	const made = {run: RUN, feed: 'city', params: {city: 'Oslo'}}
	const headers = location === null ? {} : {Location: location}
	return Object.defineProperty(Response.json(made, {status, headers}), 'url', {value: url})
}
