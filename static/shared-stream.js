/*
 * One connection for all tabs on a run. Whoever holds its Web Lock reads for all, and broadcasts
 * {after, events, state}, the events that follow on number `after`. Who has missed some says {hello},
 * and reads for itself until it has caught up.
 */

import {FanStream, MAX_BACKOFF_MS, MISSED_BEATS, RUN_EVENTS} from './fanstream.js'

/** Follow a run: `onState` gets a FanStream's details, and `shared` where another tab reads. */
export function followRun(url, {onEvent, onState, ...options}, {navigator, BroadcastChannel} = globalThis) {
	const leaving = new AbortController()
	let stream = null // while this tab reads
	let release = null // while it does so for all
	let lastEventId = ''
	let unsent = []
	let unsentAfter = 0
	let detail = {reconnects: 0}
	let isDone = false
	let timer

	read()
	// Without locks (they need a secure context) each tab reads for itself.
	const locks = navigator?.locks
	const channel = locks && new BroadcastChannel(`fanstream ${url}`)
	if (channel) channel.onmessage = ({data}) => receive(data)
	locks?.request(`fanstream ${url}`, {signal: leaving.signal}, () => new Promise((resolve) => {
		if (isEnded()) return resolve()
		release = resolve
		if (!stream) read()
	})).catch(() => {}) // left before it was granted
	return {close, cut}

	function isEnded() {return detail.state === 'ended'}

	function close() {
		if (stream) stream.close()
		else enter({...detail, state: 'ended', reason: 'closed'})
	}

	function cut() {
		if (stream) stream.cut()
		else channel.postMessage({cut: true})
	}

	function read() {
		const before = lastEventId ? detail.reconnects + 1 : 0
		const own = (stream = new FanStream(url, {...options, lastEventId}))
		const listen = (type, call) => own.addEventListener(type, (event) => stream === own && call(event))
		for (const type of [...RUN_EVENTS, 'reset']) listen(type, take)
		listen('heard', () => tell())
		listen('state', ({detail: {reconnects, problem, ...facts}}) => enter({
			...facts,
			reconnects: before + reconnects,
			shared: false,
			problem: problem && {status: problem.status, message: problem.message},
		}))
	}

	function take({type, data, lastEventId: id}) {
		if (unsent.length === 0) unsentAfter = numberOf(lastEventId)
		const event = {type, data, lastEventId: id}
		unsent.push(event)
		deliver(event)
	}

	function tell(state) {
		const after = unsent.length > 0 ? unsentAfter : numberOf(lastEventId)
		channel?.postMessage(release ? {after, events: unsent, state} : {hello: true})
		unsent = []
	}

	function receive(message) {
		if (!release) return 'after' in message && catchUp(message)
		if (message.hello) tell(detail)
		if (message.cut) cut()
	}

	function catchUp({after, events, state}) {
		const n = numberOf(lastEventId)
		// What a reset leaves out is missing to whoever is further.
		const isGap = after > n || (after < n && events.some(({type}) => type === 'reset'))
		if (isGap) return stream ?? read()
		for (const event of events) {
			if (after === n || numberOf(event.lastEventId) > numberOf(lastEventId)) deliver(event)
		}
		if (stream && !state) channel.postMessage({hello: true})
		stream?.close()
		stream = null
		if (state) enter({...state, shared: true})
		watch()
	}

	/** A tab can be frozen with the lock: after a silence longer than its waits, read. */
	function watch() {
		const {setTimeout, clearTimeout} = options.world ?? globalThis
		const beatsMs = (MISSED_BEATS + 1) * (options.pingInterval ?? 15) * 1000
		clearTimeout(timer)
		if (isEnded()) return
		timer = setTimeout(() => stream ?? read(), beatsMs + MAX_BACKOFF_MS + (detail.waitMs ?? 0))
	}

	function deliver(event) {
		lastEventId = event.type === 'reset' ? '' : event.lastEventId
		isDone ||= event.type === 'done'
		onEvent(event)
	}

	function enter(state) {
		// The lock can come before the word that the run has ended.
		detail = state = isDone && state.reason === 'gone' ? {...state, reason: 'done'} : state
		if (release && state.reason !== 'closed') tell(state)
		if (isEnded()) {
			watch()
			leaving.abort()
			release?.()
			channel?.close()
		}
		onState(state)
	}
}

function numberOf(id) {
	return Number(/-([0-9]+)$/.exec(id)?.[1] ?? 0)
}
