/* The states of a stream: how long it waits and for what, and what closing, cutting and hurrying do. */

import assert from 'node:assert/strict'
import {test} from 'node:test'

import {FanStream, MAX_BACKOFF_MS, MAX_WAIT_MS, MISSED_BEATS} from '../../static/fanstream.js'
import {
	begin, created, done, event, LiveAnswer, problem, ScriptedWorld, settle, shutdown, start, watch,
} from './scripted-world.mjs'

const waits = (states) => states.map(({waitMs}) => waitMs).filter((ms) => ms > 0)

test('a connection that is being made again is said to be, and what came before is counted', async () => {
	const world = new ScriptedWorld(
		new LiveAnswer(start).end(), new TypeError('network'), new LiveAnswer(start).end(), new LiveAnswer(done),
	)
	const {states} = await watch(world)
	for (let i = 0; i < 3; i += 1) await world.pass(MAX_BACKOFF_MS)
	assert.deepEqual(states, [
		{state: 'connecting', reconnects: 0},
		{state: 'open', reconnects: 0},
		{state: 'resuming', reconnects: 0, waitMs: 3_000},
		{state: 'resuming', reconnects: 0, waitMs: 0},
		{state: 'resuming', reconnects: 0, waitMs: 4_000},
		{state: 'resuming', reconnects: 0, waitMs: 0},
		{state: 'open', reconnects: 1},
		{state: 'resuming', reconnects: 1, waitMs: 6_000},
		{state: 'resuming', reconnects: 1, waitMs: 0},
		{state: 'open', reconnects: 2},
		{state: 'ended', reconnects: 2, reason: 'done'},
	])
})

for (const [reason, state] of [['drain', 'draining'], ['max_age', 'resuming'], ['lagging', 'resuming']]) {
	test(`shutdown (${reason}) is ${state}, and brings the client back after the time it names`, async () => {
		const world = new ScriptedWorld(new LiveAnswer(start, shutdown(reason, 700)), new LiveAnswer(done))
		const {last, told, types} = await watch(world)
		assert.deepEqual(last(), {state, waitMs: 700, reconnects: 0})
		assert.deepEqual([told.at(-1), types().at(-1)], ['error', 'shutdown'])
		await world.pass(699)
		assert.equal(world.requests.length, 1)
		await world.pass(1)
		assert.match(world.requests[1].headers['last-event-id'], /-1$/)
		assert.equal(last().reason, 'done')
	})
}

const times = [['-5', 0], ['1e15', MAX_WAIT_MS], ['"soon"', 0], ['"900"', 900]]

for (const [asked, waitMs] of times) {
	test(`a shutdown that says ${asked} ms is waited out for ${waitMs}`, async () => {
		const text = `event: shutdown\ndata: {"reconnect_ms": ${asked}}\n\n`
		const {states} = await watch(new ScriptedWorld(new LiveAnswer(text)))
		assert.deepEqual(states[2], {state: 'resuming', waitMs, reconnects: 0})
	})
}

for (const data of ['null', '{broken', '5', '{}', '[]']) {
	test(`a shutdown with the data ${data} brings the client back after the usual time`, async () => {
		const {last} = await watch(new ScriptedWorld(new LiveAnswer(`event: shutdown\ndata: ${data}\n\n`)))
		assert.deepEqual(last(), {state: 'resuming', waitMs: 2_000, reconnects: 0})
	})
}

test('a retry of nothing still spreads those who come back', async () => {
	const {last} = await watch(new ScriptedWorld(new LiveAnswer('retry: 0\n\n').end()))
	assert.equal(last().waitMs, 50)
})

test('retry is the least that is waited, and the width of the jitter', async () => {
	const {last} = await watch(new ScriptedWorld(new LiveAnswer('retry: 5000\n\n').end()))
	assert.equal(last().waitMs, 5_000 + 2_500)
})

test('a retry holds for the connections after it too', async () => {
	const world = new ScriptedWorld(new LiveAnswer('retry: 5000\n\n').end(), new LiveAnswer(start).end())
	const {last} = await watch(world)
	await world.pass(7_500)
	assert.deepEqual(last(), {state: 'resuming', waitMs: 7_500, reconnects: 1})
})

test('a retry beyond all measure is cut down', async () => {
	const {last} = await watch(new ScriptedWorld(new LiveAnswer(`retry: ${'9'.repeat(40)}\n\n`).end()))
	assert.equal(last().waitMs, MAX_WAIT_MS)
})

test('the wait doubles with each failure, up to its bound', async () => {
	const world = new ScriptedWorld(...Array.from({length: 8}, () => new TypeError('network')))
	const {states} = await watch(world)
	for (let i = 0; i < 7; i += 1) await world.pass(MAX_BACKOFF_MS)
	assert.deepEqual(waits(states), [3_000, 4_000, 6_000, 10_000, 16_000, 16_000, 16_000, 16_000])
})

for (const [luck, least, most] of [[0, 2_000, 2_000], [0.999999, 3_999, MAX_BACKOFF_MS]]) {
	test(`with the luck ${luck} a wait is never under the retry nor over the bound, however often`, async () => {
		const world = new ScriptedWorld(...Array.from({length: 1_100}, () => new TypeError('network')))
		world.Math = {random: () => luck}
		const {stream, states} = begin(world)
		// A thousand doublings are more than a number holds.
		stream.addEventListener('error', () => stream.hurry())
		for (let i = 0; i < 1_100 && world.requests.length < 1_100; i += 1) await settle()
		const all = waits(states)
		assert.ok(all.length >= 1_099)
		assert.ok(all.every((ms) => ms >= least && ms <= most))
		assert.ok(all.at(-1) > most - 1)
		stream.close()
	})
}

test('an event makes the wait short again', async () => {
	const world = new ScriptedWorld(new TypeError(), new TypeError(), new LiveAnswer(start).end())
	const {last} = await watch(world)
	await world.pass(MAX_BACKOFF_MS)
	await world.pass(MAX_BACKOFF_MS)
	assert.equal(last().waitMs, 3_000)
})

test('a beat alone, or an event known already, does not make the wait short again', async () => {
	const world = new ScriptedWorld(
		new LiveAnswer(start).end(), new LiveAnswer(': beat\n\n').end(), new LiveAnswer(start).end(),
	)
	const {states} = await watch(world)
	await world.pass(MAX_BACKOFF_MS)
	await world.pass(MAX_BACKOFF_MS)
	assert.deepEqual(waits(states), [3_000, 4_000, 6_000])
})

test('503 is asked again after Retry-After', async () => {
	const full = problem(503, {detail: 'full'}, {'Retry-After': '7'})
	const world = new ScriptedWorld(full, new LiveAnswer(done))
	const {last, told} = await watch(world)
	assert.deepEqual([last().state, last().waitMs, last().problem.message], ['resuming', 8_000, 'full'])
	assert.deepEqual(told, ['connecting', 'resuming', 'error'])
	await world.pass(8_000)
	assert.equal(last().reason, 'done')
})

test('Retry-After can be a date', async () => {
	const at = new Date(Date.now() + 20_000).toUTCString()
	const {last} = await watch(new ScriptedWorld(problem(503, {}, {'Retry-After': at})))
	assert.ok(last().waitMs > 15_000 && last().waitMs < 22_000)
})

test('a date of Retry-After that has passed is now, and spread', async () => {
	const world = new ScriptedWorld(problem(503, {}, {'Retry-After': new Date(0).toUTCString()}))
	assert.equal((await watch(world)).last().waitMs, 1_000)
})

test('a Retry-After beyond all measure is cut down', async () => {
	const {last} = await watch(new ScriptedWorld(problem(503, {}, {'Retry-After': '9'.repeat(40)})))
	assert.equal(last().waitMs, MAX_WAIT_MS + 1_000)
})

test('503 without Retry-After, or with nonsense, and other faults of servers are waited out', async () => {
	const nonsense = problem(503, {}, {'Retry-After': 'soon'})
	for (const answer of [problem(503), nonsense, problem(502), problem(500)]) {
		const {last} = await watch(new ScriptedWorld(answer))
		assert.deepEqual([last().state, last().waitMs], ['resuming', 3_000])
		assert.ok(last().problem.status >= 500)
	}
})

test('three beats of silence are a dead connection', async () => {
	const world = new ScriptedWorld(new LiveAnswer(start), new LiveAnswer(done))
	const {last, names, told, stream} = await watch(world, {pingInterval: 10})
	assert.equal(MISSED_BEATS, 3)
	await world.pass(29_999)
	assert.equal(last().state, 'open')
	await world.pass(1)
	assert.ok(world.requests[0].signal.aborted)
	assert.deepEqual(last(), {state: 'stale', waitMs: 3_000, reconnects: 0})
	assert.deepEqual([told.at(-1), stream.readyState], ['error', FanStream.CONNECTING])
	await world.pass(last().waitMs)
	assert.deepEqual(names(), ['connecting', 'open', 'stale', 'resuming', 'open', 'ended'])
})

test('a beat keeps the connection, though it is no event', async () => {
	const answer = new LiveAnswer(start)
	const world = new ScriptedWorld(answer)
	const {last} = await watch(world, {pingInterval: 10})
	for (let i = 0; i < 5; i += 1) {
		await world.pass(20_000)
		answer.say(': beat\n\n')
	}
	await settle()
	assert.equal(last().state, 'open')
})

test('a head that never comes is a dead connection too', async () => {
	const world = new ScriptedWorld(undefined)
	const {last} = await watch(world)
	await world.pass(45_000)
	assert.equal(last().state, 'stale')
})

test('a problem whose text never comes is a dead connection too', async () => {
	const headers = {'Content-Type': 'application/problem+json'}
	const world = new ScriptedWorld()
	world.fetch = async (url, {signal}) => {
		const start = (controller) => {signal.onabort = () => controller.error(signal.reason)}
		return new Response(new ReadableStream({start}), {status: 404, headers})
	}
	const {last} = await watch(world)
	await world.pass(45_000)
	assert.deepEqual([last().reason, last().problem.status], ['refused', 404])
})

test('a time of silence longer than timers take is the longest that they take', async () => {
	for (const pingInterval of [Infinity, 1e9]) {
		const world = new ScriptedWorld(undefined)
		const {stream} = await watch(world, {pingInterval})
		assert.deepEqual(world.dues, [2 ** 31 - 1])
		stream.close()
	}
})

const ends = {
	done: {answers: [new LiveAnswer(done)]},
	gone: {answers: [new Response(null, {status: 204})]},
	refused: {answers: [new TypeError(), problem(404)]},
	unreadable: {answers: [new Response('')]},
	uncertain: {answers: [new TypeError()], params: {}},
}

for (const [reason, {answers, ...options}] of Object.entries(ends)) {
	test(`after the end (${reason}) nothing is told, asked, timed or held, whatever is called`, async () => {
		const world = new ScriptedWorld(...answers)
		const {stream, last, told} = await watch(world, options)
		await world.pass(3_000)
		assert.deepEqual([last().reason, stream.readyState], [reason, FanStream.CLOSED])
		const [before, asked] = [told.length, world.requests.length]
		stream.hurry()
		stream.cut()
		stream.close()
		await world.pass(100_000)
		assert.deepEqual([told.length, world.requests.length, world.timers], [before, asked, 0])
		assert.ok(reason === 'uncertain' || world.requests.every(({signal}) => signal.aborted))
	})
}

const drained = () => new LiveAnswer(start, shutdown('drain', 9_000))
const closings = {
	'before the first request': {answers: [], isEarly: true},
	'before the POST': {answers: [], isEarly: true, params: {}},
	'while connecting': {answers: [undefined], state: 'connecting'},
	'during the POST': {answers: [undefined], state: 'connecting', params: {}},
	'during the GET after the POST': {answers: [created(), undefined], state: 'connecting', params: {}},
	'while open': {answers: [new LiveAnswer(start)], state: 'open'},
	'while stale': {answers: [undefined], state: 'stale', passMs: 45_000},
	'while draining': {answers: [drained()], state: 'draining'},
	'while waiting': {answers: [new TypeError()], state: 'resuming'},
	'while waiting as a server asked': {answers: [problem(503, {}, {'Retry-After': '9'})], state: 'resuming'},
	'while resuming': {answers: [new TypeError(), undefined], state: 'resuming', passMs: 3_000},
}

for (const [when, {answers, state, passMs = 0, isEarly = false, ...options}] of Object.entries(closings)) {
	test(`closing ${when} ends it at once, and it asks no more`, async () => {
		const world = new ScriptedWorld(...answers)
		const {stream, last, told} = begin(world, options)
		if (!isEarly) await world.pass(passMs)
		assert.equal(last()?.state, state)
		const asked = world.requests.length
		const errors = told.filter((name) => name === 'error').length
		stream.close()
		assert.equal(stream.readyState, FanStream.CLOSED)
		await settle()
		assert.deepEqual([last().state, last().reason, world.timers], ['ended', 'closed', 0])
		await world.pass(100_000)
		assert.equal(world.requests.length, asked)
		assert.ok(world.requests.slice(options.params ? 1 : 0).every(({signal}) => signal.aborted))
		assert.equal(told.filter((name) => name === 'error').length, errors)
	})
}

for (const name of ['state', 'open', 'start', 'heard', 'error']) {
	test(`closing in a listener of ${name} ends it at once, and no event follows`, async () => {
		const world = new ScriptedWorld(new LiveAnswer(start + event('ping', {})).end())
		const close = (stream) => stream.close()
		const {last, types} = await watch(world, {}, {[name]: close})
		assert.deepEqual([last().reason, world.timers], ['closed', 0])
		if (['state', 'open', 'start'].includes(name)) assert.deepEqual(types(), name === 'start' ? ['start'] : [])
		await world.pass(100_000)
		assert.ok(world.requests.length <= 1)
	})
}

for (const state of ['connecting', 'open', 'stale', 'draining', 'resuming']) {
	test(`closing when ${state} is told ends it at once`, async () => {
		const answers = {stale: undefined, resuming: new TypeError()}
		const world = new ScriptedWorld(state in answers ? answers[state] : drained())
		const close = (stream, {detail}) => detail.state === state && stream.close()
		const {last, names} = await watch(world, {}, {state: close})
		if (state === 'stale') await world.pass(45_000)
		assert.deepEqual(names().slice(-2), [state, 'ended'])
		assert.deepEqual([last().reason, world.timers], ['closed', 0])
	})
}

test('closing between two pieces tells nothing of the second', async () => {
	const answer = new LiveAnswer(start)
	const {stream, types} = await watch(new ScriptedWorld(answer))
	answer.say(done)
	stream.close()
	await settle()
	assert.deepEqual(types(), ['start'])
})

test('closing ends a stream whose fetch pays no heed to signals', async () => {
	const answer = new LiveAnswer(start)
	const response = answer.response(new AbortController().signal)
	const {stream, told, last} = await watch(Object.assign(new ScriptedWorld(), {fetch: async () => response}))
	stream.addEventListener('heard', () => stream.close())
	answer.say(': beat\n')
	await settle()
	assert.deepEqual([last().reason, told.filter((name) => name === 'heard').length], ['closed', 2])
})

test('closing twice ends it once', async () => {
	const {stream, names} = await watch(new ScriptedWorld(new LiveAnswer(start)))
	stream.close()
	stream.close()
	await settle()
	stream.close()
	await settle()
	assert.deepEqual(names(), ['connecting', 'open', 'ended'])
})

test('a stream that is cut comes back like one that broke', async () => {
	const world = new ScriptedWorld(new LiveAnswer(start), new LiveAnswer(done))
	const {stream, last, told} = await watch(world)
	stream.cut()
	await settle()
	assert.ok(world.requests[0].signal.aborted)
	assert.deepEqual(last(), {state: 'resuming', waitMs: 3_000, reconnects: 0})
	assert.equal(told.at(-1), 'error')
	await world.pass(3_000)
	assert.deepEqual(last(), {state: 'ended', reason: 'done', reconnects: 1})
})

test('cutting and then closing is closing', async () => {
	const {stream, names, last} = await watch(new ScriptedWorld(new LiveAnswer(start)))
	stream.cut()
	stream.close()
	await settle()
	assert.deepEqual([names().at(-2), last().reason], ['open', 'closed'])
})

for (const [state, answer] of [['connecting', undefined], ['resuming', new TypeError()], ['draining', drained()]]) {
	test(`cutting while ${state} does nothing`, async () => {
		const world = new ScriptedWorld(answer)
		const {stream, states, last} = await watch(world)
		assert.equal(last().state, state)
		const before = states.length
		stream.cut()
		await settle()
		assert.equal(states.length, before)
		assert.equal(world.requests[0].signal.aborted, state !== 'connecting')
		stream.close()
	})
}

for (const [state, answer] of [['resuming', new TypeError()], ['draining', drained()], ['stale', undefined]]) {
	test(`hurry cuts a wait while ${state} short`, async () => {
		const world = new ScriptedWorld(answer, new LiveAnswer(done))
		const {stream, states, last} = await watch(world)
		if (state === 'stale') await world.pass(45_000)
		assert.equal(last().state, state)
		stream.hurry()
		await settle()
		const {state: then, waitMs} = states.at(-3)
		assert.deepEqual([then, waitMs], ['resuming', 0])
		assert.deepEqual([last().reason, world.timers], ['done', 0])
	})
}

test('hurry in the listener that is told of a wait cuts it short', async () => {
	const world = new ScriptedWorld(new TypeError(), new LiveAnswer(done))
	const {last} = await watch(world, {}, {error: (stream) => stream.hurry()})
	assert.equal(last().reason, 'done')
})

for (const [state, answer] of [['connecting', undefined], ['open', new LiveAnswer(start)]]) {
	test(`hurry while ${state} does nothing, and shortens no later wait`, async () => {
		const world = new ScriptedWorld(answer)
		const {stream, last} = await watch(world)
		stream.hurry()
		await settle()
		assert.deepEqual([last().state, world.requests.length, world.timers], [state, 1, 1])
		await world.pass(45_000)
		assert.deepEqual([last().state, last().waitMs], ['stale', 3_000])
		stream.close()
	})
}
