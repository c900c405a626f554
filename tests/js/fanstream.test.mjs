/* The events of a stream: what is told, what is known already, and what ends it. */

import assert from 'node:assert/strict'
import {spawnSync} from 'node:child_process'
import {test} from 'node:test'

import {FanStream} from '../../static/fanstream.js'
import {
	begin, done, event, id, LiveAnswer, problem, result, RUN, ScriptedWorld, settle, shutdown, start, watch,
} from './scripted-world.mjs'

const TYPES = {CONNECTING: 0, OPEN: 1, CLOSED: 2}

test('the numbers of the states are those of EventSource', () => {
	for (const [name, number] of Object.entries(TYPES)) assert.equal(FanStream[name], number)
})

test('events are told as messages of their name, with text as it came and their id', async () => {
	const heard = []
	const listeners = {start: (_, told) => heard.push(told)}
	await watch(new ScriptedWorld(new LiveAnswer(`id: ${id(1)}\nevent: start\ndata: {"b":  1}\n\n`)), {}, listeners)
	assert.ok(heard[0] instanceof MessageEvent)
	assert.deepEqual([heard[0].data, heard[0].lastEventId], ['{"b":  1}', id(1)])
})

test('nothing happens before whoever made the stream could listen', async () => {
	const world = new ScriptedWorld(new LiveAnswer(start))
	const {told} = begin(world)
	assert.deepEqual([world.requests.length, told.length], [0, 0])
	await settle()
	assert.equal(told[0], 'connecting')
})

test('all that is told comes in its order', async () => {
	const {told, stream} = await watch(new ScriptedWorld(new LiveAnswer(start, done)))
	assert.deepEqual(told, ['connecting', 'open', 'open', 'heard', 'heard', 'ended'])
	assert.equal(stream.readyState, FanStream.CLOSED)
})

test('readyState is what EventSource would say, in listeners too', async () => {
	const ready = []
	const note = (stream, {type}) => ready.push([type, stream.readyState])
	const world = new ScriptedWorld(new LiveAnswer(start).end(), problem(404))
	const {stream} = begin(world, {}, {open: note, error: note})
	assert.equal(stream.readyState, FanStream.CONNECTING)
	await world.pass(0)
	assert.equal(stream.readyState, FanStream.CONNECTING)
	await world.pass(4_000)
	assert.deepEqual(ready, [['open', 1], ['error', 0], ['error', 2]])
})

test('open and error come again with each connection that stands and is lost', async () => {
	const world = new ScriptedWorld(new LiveAnswer(start).end(), new LiveAnswer(result).end(), new LiveAnswer())
	const {told} = await watch(world)
	await world.pass(4_000)
	await world.pass(4_000)
	assert.deepEqual(told, [
		'connecting', 'open', 'open', 'heard', 'resuming', 'error',
		'resuming', 'open', 'open', 'heard', 'resuming', 'error',
		'resuming', 'open', 'open',
	])
})

test('after done there is no further request', async () => {
	const world = new ScriptedWorld(new LiveAnswer(start, result, done).end())
	const {names, last} = await watch(world)
	await world.pass(100_000)
	assert.equal(world.requests.length, 1)
	assert.deepEqual(last(), {state: 'ended', reason: 'done', reconnects: 0})
	assert.deepEqual(names(), ['connecting', 'open', 'ended'])
})

test('done is no error', async () => {
	const {told} = await watch(new ScriptedWorld(new LiveAnswer(done)))
	assert.ok(!told.includes('error'))
})

test('what follows done is not told', async () => {
	const {seen} = await watch(new ScriptedWorld(new LiveAnswer(done + event('chunk', {}, id(4)))))
	assert.equal(seen.length, 1)
})

test('what follows shutdown is not told', async () => {
	const {types} = await watch(new ScriptedWorld(new LiveAnswer(shutdown('drain', 5) + start)))
	assert.deepEqual(types(), ['shutdown'])
})

test('the end leaves no timer and no open connection', async () => {
	const world = new ScriptedWorld(new LiveAnswer(done))
	await watch(world)
	assert.equal(world.timers, 0)
	assert.ok(world.requests[0].signal.aborted)
})

test('a stream that ends without done is resumed from its last event', async () => {
	const world = new ScriptedWorld(new LiveAnswer(start, result).end(), new LiveAnswer(done))
	const {seen, names} = await watch(world)
	await world.pass(4_000)
	assert.equal(world.requests[1].headers['last-event-id'], id(2))
	assert.equal(seen.length, 3)
	assert.deepEqual(names(), ['connecting', 'open', 'resuming', 'resuming', 'open', 'ended'])
})

test('a connection that breaks is resumed too', async () => {
	const broken = new LiveAnswer(start)
	const world = new ScriptedWorld(broken, new LiveAnswer(result))
	await watch(world)
	broken.break()
	await world.pass(4_000)
	assert.equal(world.requests[1].headers['last-event-id'], id(1))
})

test('a response without a body is a stream that has ended', async () => {
	const empty = () => new Response(null, {headers: {'Content-Type': 'text/event-stream'}})
	const world = new ScriptedWorld(empty(), new LiveAnswer(done))
	const {last, told} = await watch(world)
	assert.deepEqual(told, ['connecting', 'open', 'open', 'resuming', 'error'])
	await world.pass(4_000)
	assert.equal(last().reason, 'done')
})

test('an event cut off by the break is not told', async () => {
	const {seen} = await watch(new ScriptedWorld(new LiveAnswer(start, 'event: result\ndata: {}\n').end()))
	assert.equal(seen.length, 1)
})

test('an event seen before is not told again, and does not move the place back', async () => {
	const world = new ScriptedWorld(new LiveAnswer(start, result).end(), new LiveAnswer(start).end())
	const {seen} = await watch(world)
	await world.pass(4_000)
	await world.pass(30_000)
	assert.equal(seen.length, 2)
	assert.equal(world.requests[2].headers['last-event-id'], id(2))
})

test('numbers are compared as numbers', async () => {
	const answer = new LiveAnswer(event('chunk', {}, id(9)), event('chunk', {}, id(10)))
	const {seen} = await watch(new ScriptedWorld(answer))
	assert.equal(seen.length, 2)
})

test('another run has its own numbers', async () => {
	const other = event('start', {}, `${'f'.repeat(32)}-1`)
	const {seen} = await watch(new ScriptedWorld(new LiveAnswer(start, result, other)))
	assert.equal(seen.length, 3)
})

test('an id beyond ASCII is sent as its UTF-8', async () => {
	const world = new ScriptedWorld(new LiveAnswer(event('start', {}, 'ü-1')).end())
	await watch(world)
	await world.pass(4_000)
	assert.equal(world.requests[1].headers['last-event-id'], 'Ã¼-1')
})

test('reset is told, and the run after it is a new one, whatever its ids', async () => {
	const answer = new LiveAnswer(start, result, event('reset', {reason: 'trimmed'}), start)
	const {types} = await watch(new ScriptedWorld(answer))
	assert.deepEqual(types(), ['start', 'result', 'reset', 'start'])
})

test('a beat after reset does not bring back what was forgotten', async () => {
	const answer = new LiveAnswer(start, result, event('reset', {}), event('ping', {}), ': beat\n', start)
	const {types} = await watch(new ScriptedWorld(answer))
	assert.deepEqual(types(), ['start', 'result', 'reset', 'ping', 'start'])
})

test('events without ids are told, each time, with the id of the event before them', async () => {
	const ping = event('ping', {})
	const {seen} = await watch(new ScriptedWorld(new LiveAnswer(ping, start, ping, ping)))
	assert.deepEqual(seen.map(({type, lastEventId}) => [type, lastEventId]), [
		['ping', ''], ['start', id(1)], ['ping', id(1)], ['ping', id(1)],
	])
})

test('an event without a name is a message, and its data need not be JSON', async () => {
	const {seen} = await watch(new ScriptedWorld(new LiveAnswer('id: 7\ndata: {broken\ndata: in two\n\n')))
	assert.deepEqual(seen, [{type: 'message', data: '{broken\nin two', lastEventId: '7'}])
})

for (const foreign of ['7', 'done', 'orders-17', `${RUN}-x`, `${RUN.toUpperCase()}-2`, `x${RUN}-2`]) {
	test(`events with the id ${foreign} are told each time, and resumed from`, async () => {
		const chunk = event('chunk', {}, foreign)
		const failure = event('failure', {}) // as a stream of one's own says it, without an id
		const world = new ScriptedWorld(new LiveAnswer(chunk, chunk, failure).end())
		const {types} = await watch(world)
		assert.deepEqual(types(), ['chunk', 'chunk', 'failure'])
		await world.pass(4_000)
		assert.equal(world.requests[1].headers['last-event-id'], foreign)
	})
}

test('an id that comes without data is a place too, and an empty one is none', async () => {
	const world = new ScriptedWorld(new LiveAnswer(start, 'id: 7\n\n').end(), new LiveAnswer('id\n\n').end())
	const {seen} = await watch(world)
	await world.pass(4_000)
	await world.pass(30_000)
	assert.equal(seen.length, 1)
	assert.equal(world.requests[1].headers['last-event-id'], '7')
	assert.ok(!('last-event-id' in world.requests[2].headers))
})

test("an id that is almost one of a run's event does not make known events new", async () => {
	const almost = event('chunk', {}, `${RUN}-x`)
	const {types} = await watch(new ScriptedWorld(new LiveAnswer(start, result, almost, start)))
	assert.deepEqual(types(), ['start', 'result', 'chunk'])
})

test("an id of a run's event without the event moves nothing", async () => {
	const world = new ScriptedWorld(new LiveAnswer(start, `id: ${id(2)}\n\n`).end(), new LiveAnswer(result))
	const {types} = await watch(world)
	await world.pass(4_000)
	assert.equal(world.requests[1].headers['last-event-id'], id(1))
	assert.deepEqual(types(), ['start', 'result'])
})

test('data that is not of the contract is passed on, and harms nothing', async () => {
	const answer = new LiveAnswer(event('ping', null), event('reset', 5), 'data: \u0000\n\n', start)
	const {types, last} = await watch(new ScriptedWorld(answer))
	assert.deepEqual(types(), ['ping', 'reset', 'message', 'start'])
	assert.equal(last().state, 'open')
})

test('each piece is heard, a beat and a part of an event too', async () => {
	const {told} = await watch(new ScriptedWorld(new LiveAnswer(': beat\n', 'data: a', 'b\n\n')))
	assert.equal(told.filter((name) => name === 'heard').length, 3)
})

test('UTF-8 may be cut within a character', async () => {
	const answer = new LiveAnswer()
	const {seen} = await watch(new ScriptedWorld(answer))
	for (const byte of Buffer.from(event('start', {city: 'Zürich 🏔'}, id(1)))) answer.say([byte])
	await settle()
	assert.equal(JSON.parse(seen[0].data).city, 'Zürich 🏔')
})

test('a listener that throws is reported, and nobody else misses anything', async () => {
	const reported = []
	process.setUncaughtExceptionCaptureCallback((error) => reported.push(error.message))
	try {
		const fail = (_, {type}) => {throw new Error(type)}
		const listeners = {state: fail, open: fail, start: fail, heard: fail, done: fail}
		const {types, last} = await watch(new ScriptedWorld(new LiveAnswer(start, done)), {}, listeners)
		assert.deepEqual(types(), ['start', 'done'])
		assert.equal(last().reason, 'done')
	} finally {
		process.setUncaughtExceptionCaptureCallback(null)
	}
	const names = ['state', 'state', 'open', 'start', 'heard', 'done', 'heard', 'state']
	assert.deepEqual(reported, names)
})

test('204 ends it for good', async () => {
	const world = new ScriptedWorld(new Response(null, {status: 204}))
	const {last, told} = await watch(world)
	await world.pass(100_000)
	assert.equal(world.requests.length, 1)
	assert.deepEqual(last(), {state: 'ended', reason: 'gone', reconnects: 0})
	assert.deepEqual(told, ['connecting', 'ended', 'error'])
})

for (const status of [206, 304, 400, 401, 403, 404, 406, 410, 422]) {
	test(`${status} ends it for good, with the problem`, async () => {
		const body = status === 304 ? null : JSON.stringify({detail: 'why', parameter: 'name'})
		const headers = {'Content-Type': 'application/problem+json'}
		const world = new ScriptedWorld(new Response(body, {status, headers}))
		const {last, told} = await watch(world)
		await world.pass(100_000)
		assert.equal(world.requests.length, 1)
		const {state, reason, problem: said} = last()
		assert.deepEqual([state, reason, said.status], ['ended', 'refused', status])
		if (body) assert.deepEqual([said.message, said.parameter], ['why', 'name'])
		assert.deepEqual(told, ['connecting', 'ended', 'error'])
	})
}

test('a refusal without a problem document says its status', async () => {
	const {last} = await watch(new ScriptedWorld(new Response('<h1>no</h1>', {status: 404})))
	assert.match(last().problem.message, /404/)
})

for (const type of ['text/html', 'text/event-streams', 'application/json; a=text/event-stream', null]) {
	test(`an answer of the type ${type} is no event stream and ends it`, async () => {
		const page = new Response(Buffer.from('<h1>login</h1>'), {headers: type ? {'Content-Type': type} : {}})
		const {last, told} = await watch(new ScriptedWorld(page))
		assert.deepEqual([last().reason, last().detail], ['unreadable', 'not an event stream'])
		assert.deepEqual(told, ['connecting', 'ended', 'error'])
	})
}

test('the type of an event stream may have parameters and any case', async () => {
	const headers = {'Content-Type': 'Text/Event-Stream ; charset=utf-8'}
	const {last} = await watch(new ScriptedWorld(new Response(done, {headers})))
	assert.equal(last().reason, 'done')
})

test('a stream over a bound ends it, as it would be the same again', async () => {
	const world = new ScriptedWorld(new LiveAnswer(`${start}id: ${'x'.repeat(5_000)}\n\n`))
	const {last, types, told} = await watch(world)
	assert.deepEqual([last().reason, types()], ['unreadable', ['start']])
	assert.match(last().detail, /the id is longer than 4096/)
	assert.equal(told.at(-1), 'error')
})

test('an error of its own ends it, and is not hidden', () => {
	const script = `
		import {FanStream} from '${new URL('../../static/fanstream.js', import.meta.url)}'
		const headers = {'Content-Type': 'text/event-stream'}
		const locked = new Response('', {headers})
		locked.body.getReader()
		const world = {setTimeout, clearTimeout, Math, fetch: async () => locked}
		const stream = new FanStream('https://host/', {world})
		stream.addEventListener('state', ({detail}) => console.log(detail.reason, detail.detail))
	`
	const ran = spawnSync(process.execPath, ['--input-type=module', '-e', script], {encoding: 'utf8'})
	assert.match(ran.stdout, /unreadable an error on this side/)
	assert.match(ran.stderr, /locked/)
	assert.equal(ran.status, 1)
})
