/*
 * One connection for all tabs: who reads, who is told, and who goes on when a tab leaves or is
 * silent. Locks, channels and the server are doubles; the FanStreams are real ones.
 */

import assert from 'node:assert/strict'
import {test} from 'node:test'

import {followRun} from '../../static/shared-stream.js'

const SILENCE_MS = 4 * 15_000 + 30_000
const URL_OF_RUN = 'runs/r'

/** A browser and a server that has one run: `say` adds events to it, `cut` ends its connections. */
class ScriptedBrowser {
	requests = []
	refusal = null // what further requests are answered
	#log = []
	#held = new Set() // names of locks
	#queue = [] // {tab, name, grant}
	#channels = new Set()
	#timers = new Map()
	#nextId = 1
	#now = 0

	constructor(...events) {this.say(...events)}

	/** A tab's world. It can be frozen, and lost. */
	tab() {
		const browser = this
		const tab = {isFrozen: false, inbox: [], posted: []}
		tab.lose = () => this.#lose(tab)
		tab.thaw = () => this.#thaw(tab)
		tab.world = {
			Math: {random: () => 0.5},
			fetch: (url, asked) => this.#fetch(tab, url, asked),
			setTimeout: (call, ms) => this.#setTimeout(tab, call, ms),
			clearTimeout: (id) => this.#timers.delete(id),
		}
		tab.locks = {request: (name, options, call) => this.#request(tab, name, options, call)}
		tab.BroadcastChannel = class {
			tab = tab
			constructor(name) {this.name = name; browser.#channels.add(this)}
			postMessage(data) {browser.#post(this, data)}
			close() {browser.#channels.delete(this)}
		}
		return tab
	}

	get timers() {return this.#timers.size}
	/** The requests whose connections stand. */
	get open() {return this.requests.filter(({controller, signal}) => controller && !signal.aborted)}

	say(...events) {
		for (const event of events) this.#log.push(event)
		this.tell(events.map(written).join(''))
	}

	tell(text) {
		for (const {tab, controller} of this.open) {
			const enqueue = () => controller.enqueue(Buffer.from(text))
			if (tab.isFrozen) tab.inbox.push(enqueue)
			else enqueue()
		}
	}

	/** The network fails; what is asked from then on is answered with `refusal`, if there is one. */
	cut(refusal = null) {
		this.refusal = refusal
		for (const request of this.open) {
			request.controller.error(new TypeError('network'))
			request.controller = null
		}
	}

	/** Let time pass, and with it what is due where it is not frozen. */
	async pass(ms) {
		await settle()
		this.#now += ms
		for (const [id, {tab, call, at}] of [...this.#timers]) {
			if (at <= this.#now && !tab.isFrozen && this.#timers.delete(id)) call()
		}
		await settle()
	}

	#fetch(tab, url, {signal, headers}) {
		const request = {tab, url, signal, lastEventId: new Headers(headers).get('Last-Event-ID')}
		this.requests.push(request)
		if (this.refusal) return Promise.resolve(this.refusal.clone())
		const from = Number(request.lastEventId?.split('-')[1] ?? 0)
		const missed = this.#log.filter(([, n]) => n > from).map(written).join('')
		const body = new ReadableStream({
			start(controller) {
				request.controller = controller
				controller.enqueue(Buffer.from(`retry: 1000\n\n${missed}`))
				signal.addEventListener('abort', () => request.controller?.error(signal.reason))
			},
		})
		return Promise.resolve(new Response(body, {headers: {'Content-Type': 'text/event-stream'}}))
	}

	#request(tab, name, {signal}, call) {
		return new Promise((resolve, reject) => {
			const grant = async () => {
				const said = await call()
				this.#release(name)
				resolve(said)
			}
			const waiting = {tab, name, grant}
			this.#queue.push(waiting)
			signal.addEventListener('abort', () => {
				this.#queue = this.#queue.filter((each) => each !== waiting)
				reject(signal.reason)
			})
			if (!this.#held.has(name)) this.#release(name)
		})
	}

	/** Pass a lock on. */
	#release(name) {
		this.#held.delete(name)
		const next = this.#queue.find((waiting) => waiting.name === name)
		if (!next) return
		this.#queue = this.#queue.filter((each) => each !== next)
		this.#held.add(name)
		next.tab.holds = name
		setImmediate(next.grant)
	}

	#post(from, data) {
		from.tab.posted.push(data)
		for (const to of this.#channels) {
			if (to === from || to.name !== from.name) continue
			const copy = structuredClone(data)
			const take = () => this.#channels.has(to) && to.onmessage({data: copy})
			setImmediate(() => (to.tab.isFrozen ? to.tab.inbox.push(take) : take()))
		}
	}

	#thaw(tab) {
		tab.isFrozen = false
		for (const take of tab.inbox.splice(0)) take()
	}

	/** The tab is gone: nothing of it is left. */
	#lose(tab) {
		tab.isFrozen = true
		for (const channel of this.#channels) if (channel.tab === tab) this.#channels.delete(channel)
		for (const [id, timer] of this.#timers) if (timer.tab === tab) this.#timers.delete(id)
		for (const request of this.open) if (request.tab === tab) request.controller = null
		this.#queue = this.#queue.filter((each) => each.tab !== tab)
		if (tab.holds) this.#release(tab.holds)
	}

	#setTimeout(tab, call, ms) {
		this.#timers.set(this.#nextId, {tab, call, at: this.#now + ms})
		return this.#nextId++
	}
}

/** Let everything happen that waits for nothing. */
async function settle() {
	for (let i = 0; i < 60; i += 1) await new Promise((resolve) => {setImmediate(resolve)})
}

const written = ([name, n, data = '{}']) => `id: r-${n}\nevent: ${name}\ndata: ${data}\n\n`
const range = (from, to) => Array.from({length: to - from + 1}, (_, i) => from + i)
const chunks = (from, to) => range(from, to).map((n) => ['chunk', n])
const start = ['start', 1]

/** Follow the run in a new tab; `seen` and `states` are what it is told. */
async function follow(browser, {tab = browser.tab(), locks = tab.locks, url = URL_OF_RUN} = {}) {
	const seen = []
	const states = []
	const onEvent = (event) => seen.push(event)
	const onState = (detail) => states.push(detail)
	const world = {navigator: {locks}, BroadcastChannel: tab.BroadcastChannel}
	const stream = followRun(url, {onEvent, onState, world: tab.world}, world)
	await settle()
	const numbers = () => seen.map(({type, lastEventId}) => (type === 'reset' ? type : Number(lastEventId.split('-')[1])))
	return {tab, stream, seen, states, numbers, last: () => states.at(-1)}
}

// --------------------------------------------------------------- who reads, who is told

test('tabs that have caught up hold one connection, and are told the same', async () => {
	const browser = new ScriptedBrowser(start)
	const tabs = [await follow(browser), await follow(browser), await follow(browser)]
	browser.say(['result', 2, '{"body":1}'])
	await settle()
	assert.deepEqual(browser.open.map(({tab}) => tab), [tabs[0].tab])
	assert.deepEqual(tabs[1].seen.map(({data}) => data), ['{}', '{"body":1}'])
	for (const {numbers} of tabs) assert.deepEqual(numbers(), [1, 2])
})

test('a tab that comes late is told all from the beginning, once', async () => {
	const browser = new ScriptedBrowser(start, ...chunks(2, 5_000))
	await follow(browser)
	const late = await follow(browser)
	browser.say(...chunks(5_001, 5_003))
	await settle()
	assert.deepEqual(late.numbers(), range(1, 5_003))
	assert.equal(browser.open.length, 1)
})

test('each state says whether another tab reads', async () => {
	const browser = new ScriptedBrowser(start)
	const a = await follow(browser)
	const b = await follow(browser)
	assert.deepEqual([a.last().state, a.last().shared], ['open', false])
	assert.deepEqual([b.last().state, b.last().shared], ['open', true])
})

test('events that come together are one message', async () => {
	const browser = new ScriptedBrowser()
	const a = await follow(browser)
	browser.say(start, ...chunks(2, 50))
	await settle()
	assert.deepEqual(a.tab.posted.filter(({events}) => events?.length > 0).length, 1)
})

test('a tab that has missed something reads until it has caught up', async () => {
	const browser = new ScriptedBrowser(start)
	const a = await follow(browser)
	const b = await follow(browser)
	b.tab.isFrozen = true
	browser.say(...chunks(2, 3))
	await settle()
	b.tab.inbox = [] // lost
	b.tab.thaw()
	browser.say(...chunks(4, 9))
	await settle()
	assert.deepEqual(b.numbers(), range(1, 9))
	assert.deepEqual(browser.open.map(({tab}) => tab), [a.tab])
	assert.equal(browser.requests.at(-1).lastEventId, 'r-1')
})

test('a tab that is ahead of the one that reads is told nothing twice', async () => {
	const browser = new ScriptedBrowser(start, ...chunks(2, 3))
	const a = await follow(browser)
	const b = await follow(browser)
	const old = {after: 1, events: [{type: 'chunk', data: '{}', lastEventId: 'r-2'}]}
	const channel = new a.tab.BroadcastChannel(`fanstream ${URL_OF_RUN}`)
	channel.onmessage = () => {}
	channel.postMessage(old)
	await settle()
	assert.deepEqual(b.numbers(), [1, 2, 3])
})

test('a tab that is ahead of one that was told of a gap reads on for itself', async () => {
	const browser = new ScriptedBrowser(start, ...chunks(2, 3))
	const a = await follow(browser)
	const b = await follow(browser)
	const [reset, ...kept] = ['reset', 'start', 'chunk'].map((type, i) => ({type, data: '{}', lastEventId: `r-${[1, 1, 9][i]}`}))
	const channel = new a.tab.BroadcastChannel(`fanstream ${URL_OF_RUN}`)
	channel.onmessage = () => {}
	channel.postMessage({after: 1, events: [reset, ...kept]})
	browser.say(...chunks(4, 9))
	await settle()
	assert.deepEqual(b.numbers(), range(1, 9))
})

test('a reset of the server is told to all', async () => {
	const browser = new ScriptedBrowser(start, ...chunks(2, 3))
	const a = await follow(browser)
	const b = await follow(browser)
	browser.tell(`event: reset\ndata: {"reason":"trimmed"}\n\n${written(start)}${written(['chunk', 3])}`)
	await settle()
	assert.deepEqual(a.numbers(), [1, 2, 3, 'reset', 1, 3])
	assert.deepEqual(b.numbers(), a.numbers())
})

test('two runs do not disturb each other', async () => {
	const browser = new ScriptedBrowser(start)
	await follow(browser)
	await follow(browser, {url: 'runs/other'})
	assert.deepEqual(browser.open.map(({url}) => url), [URL_OF_RUN, 'runs/other'])
})

const refuse = {request: async () => {throw new DOMException('an opaque origin', 'SecurityError')}}
for (const [why, locks] of [['are none', null], ['are refused', refuse]]) {
	test(`where locks ${why} each tab reads for itself`, async () => {
		const browser = new ScriptedBrowser(start)
		const tabs = [await follow(browser, {locks}), await follow(browser, {locks})]
		browser.say(...chunks(2, 3))
		await settle()
		for (const {numbers} of tabs) assert.deepEqual(numbers(), [1, 2, 3])
		assert.equal(browser.open.length, 2)
	})
}

// --------------------------------------------------------------------------- takeovers

test('when the tab that reads is gone, the next resumes from the last that it was told', async () => {
	const browser = new ScriptedBrowser(start, ...chunks(2, 4))
	const [a, b, c] = [await follow(browser), await follow(browser), await follow(browser)]
	a.tab.lose()
	browser.say(...chunks(5, 6))
	await settle()
	assert.deepEqual(browser.open.map(({tab, lastEventId}) => [tab, lastEventId]), [[b.tab, 'r-4']])
	assert.deepEqual(b.numbers(), range(1, 6))
	assert.deepEqual(c.numbers(), range(1, 6))
})

test('a takeover is a reconnection, for all', async () => {
	const browser = new ScriptedBrowser(start)
	const [a, b, c] = [await follow(browser), await follow(browser), await follow(browser)]
	a.tab.lose()
	await settle()
	assert.deepEqual([b.last().state, b.last().reconnects, b.last().shared], ['open', 1, false])
	assert.deepEqual([c.last().state, c.last().reconnects, c.last().shared], ['open', 1, true])
})

test('a tab that reads and leaves passes the run on', async () => {
	const browser = new ScriptedBrowser(start)
	const a = await follow(browser)
	const b = await follow(browser)
	a.stream.close()
	await settle()
	browser.say(...chunks(2, 3))
	await settle()
	assert.deepEqual(browser.open.map(({tab}) => tab), [b.tab])
	assert.deepEqual([a.last().reason, b.last().state], ['closed', 'open'])
	assert.deepEqual([a.numbers(), b.numbers()], [[1], [1, 2, 3]])
})

test('a tab that is told and leaves is told no more, and never reads', async () => {
	const browser = new ScriptedBrowser(start)
	const a = await follow(browser)
	const b = await follow(browser)
	b.stream.close()
	browser.say(['chunk', 2])
	await settle()
	a.tab.lose()
	await settle()
	assert.deepEqual([b.last().reason, b.numbers()], ['closed', [1]])
	assert.equal(browser.open.length, 0)
})

test('after a silence longer than any wait, a tab reads for itself', async () => {
	const browser = new ScriptedBrowser(start)
	const a = await follow(browser)
	const b = await follow(browser)
	a.tab.isFrozen = true
	await browser.pass(SILENCE_MS - 1)
	assert.ok(browser.open.every(({tab}) => tab === a.tab))
	await browser.pass(1)
	browser.say(['chunk', 2])
	await settle()
	assert.ok(browser.open.some(({tab}) => tab === b.tab))
	assert.deepEqual(b.numbers(), [1, 2])
})

test('when the frozen tab wakes, it is the only one that reads', async () => {
	const browser = new ScriptedBrowser(start)
	const a = await follow(browser)
	const b = await follow(browser)
	a.tab.isFrozen = true
	await browser.pass(SILENCE_MS)
	browser.say(['chunk', 2])
	await settle()
	a.tab.thaw()
	browser.say(['chunk', 3])
	await settle()
	assert.deepEqual(browser.open.map(({tab}) => tab), [a.tab])
	for (const {numbers} of [a, b]) assert.deepEqual(numbers(), [1, 2, 3])
})

test('a tab that could not read for itself shows how the shared one stands', async () => {
	const browser = new ScriptedBrowser(start)
	const a = await follow(browser)
	const b = await follow(browser)
	a.tab.isFrozen = true
	browser.refusal = new Response(null, {status: 503})
	await browser.pass(SILENCE_MS)
	assert.equal(b.last().state, 'resuming')
	a.tab.thaw()
	browser.tell(': beat\n\n')
	await settle()
	assert.deepEqual([b.last().state, b.last().shared], ['open', true])
})

test('beats are signs of life', async () => {
	const browser = new ScriptedBrowser(start)
	const a = await follow(browser)
	await follow(browser)
	for (let i = 0; i < 10; i += 1) {
		await browser.pass(15_000)
		browser.tell(': beat\n\n')
	}
	await settle()
	assert.deepEqual(browser.open.map(({tab}) => tab), [a.tab])
})

test('who waits for a server that asked to be left alone is not taken for silent', async () => {
	const browser = new ScriptedBrowser(start)
	await follow(browser)
	const b = await follow(browser)
	const before = browser.requests.length
	browser.tell('event: shutdown\ndata: {"reason":"drain","reconnect_ms":600000}\n\n')
	await browser.pass(2 * SILENCE_MS)
	assert.deepEqual([b.last().state, browser.requests.length], ['draining', before])
})

// ------------------------------------------------------------------------ buttons and ends

for (const [which, at] of [['that reads', 0], ['that is told', 1]]) {
	test(`cut in the tab ${which} loses the one connection, which is resumed`, async () => {
		const browser = new ScriptedBrowser(start)
		const tabs = [await follow(browser), await follow(browser)]
		tabs[at].stream.cut()
		await settle()
		assert.equal(browser.open.length, 0)
		assert.deepEqual(tabs.map(({last}) => last().state), ['resuming', 'resuming'])
		browser.say(['chunk', 2])
		await browser.pass(60_000)
		for (const {numbers} of tabs) assert.deepEqual(numbers(), [1, 2])
	})
}

test('the end is told to all, and leaves no timer, no connection and no further request', async () => {
	const browser = new ScriptedBrowser(start)
	const a = await follow(browser)
	const b = await follow(browser)
	const before = browser.requests.length
	browser.say(['done', 2])
	await browser.pass(10 * SILENCE_MS)
	assert.deepEqual([a.last().reason, b.last().reason, b.last().shared], ['done', 'done', true])
	assert.deepEqual([b.numbers(), browser.timers], [[1, 2], 0])
	assert.deepEqual([browser.open.length, browser.requests.length], [0, before])
})

test('a tab that comes after the end reads it', async () => {
	const browser = new ScriptedBrowser(start)
	await follow(browser)
	browser.say(['done', 2])
	await settle()
	const late = await follow(browser)
	assert.deepEqual([late.last().reason, late.numbers()], ['done', [1, 2]])
})

test('a tab that is given the lock before the word of the end has ended all the same', async () => {
	const browser = new ScriptedBrowser(start)
	const a = await follow(browser)
	const b = await follow(browser)
	const channel = new a.tab.BroadcastChannel(`fanstream ${URL_OF_RUN}`)
	channel.postMessage({after: 1, events: [{type: 'done', data: '{}', lastEventId: 'r-2'}]})
	channel.close()
	browser.refusal = new Response(null, {status: 204})
	await settle()
	a.tab.lose()
	await settle()
	assert.deepEqual([b.last().reason, b.numbers()], ['done', [1, 2]])
})

test('a refusal is told to all, with its status', async () => {
	const browser = new ScriptedBrowser(start)
	await follow(browser)
	const b = await follow(browser)
	browser.cut(Response.json({detail: 'no such run'}, {
		status: 404, headers: {'Content-Type': 'application/problem+json'},
	}))
	await browser.pass(60_000)
	const {reason, shared, problem} = b.last()
	assert.deepEqual([reason, shared], ['refused', true])
	assert.deepEqual(problem, {status: 404, message: 'no such run'})
})
