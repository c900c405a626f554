/* What a stream asks for: its headers, the place that it goes on from, and the one POST. */

import assert from 'node:assert/strict'
import {test} from 'node:test'

import {
	begin, created, done, FEED, id, LiveAnswer, problem, result, RUN, ScriptedWorld, settle, start, watch,
} from './scripted-world.mjs'

const RUN_URL = `https://host/prefix/runs/${RUN}`
const params = {city: 'Oslo'}

test('a stream is asked for as an event stream, past every cache', async () => {
	const world = new ScriptedWorld()
	await watch(world)
	const {url, method, headers, cache, credentials} = world.requests[0]
	assert.deepEqual([url, method, cache, credentials], [FEED, undefined, 'no-store', undefined])
	assert.deepEqual(headers, {accept: 'text/event-stream'})
})

test('an address may be a URL', async () => {
	const world = new ScriptedWorld()
	const {stream} = await watch(world, {url: new URL(FEED)})
	assert.deepEqual([world.requests[0].url, stream.url], [FEED, FEED])
})

const mine = {Authorization: 'Bearer x', accept: 'text/plain', 'LAST-EVENT-ID': 'mine'}
const kinds = {
	'an object': mine,
	'a Headers': new Headers(mine),
	'a list': Object.entries(mine),
	'a function': () => mine,
	'an async function': async () => mine,
}

for (const [kind, headers] of Object.entries(kinds)) {
	test(`headers may be ${kind}, and the stream's own win`, async () => {
		const world = new ScriptedWorld()
		await watch(world, {headers, lastEventId: 'ours'})
		assert.deepEqual(world.requests[0].headers, {
			accept: 'text/event-stream', authorization: 'Bearer x', 'last-event-id': 'ours',
		})
	})

	test(`a POST has headers that are ${kind} too, and its own win`, async () => {
		const world = new ScriptedWorld()
		await watch(world, {headers, params})
		const {authorization, accept, 'content-type': type} = world.requests[0].headers
		assert.deepEqual([authorization, accept, type], ['Bearer x', 'application/json', 'application/json'])
	})
}

test('headers from a function are asked for anew for each request, the POST too', async () => {
	let n = 0
	const headers = async () => ({Authorization: `Bearer ${n += 1}`})
	const world = new ScriptedWorld(created(), new LiveAnswer(start).end(), new LiveAnswer(done))
	await watch(world, {headers, params})
	await world.pass(4_000)
	const sent = world.requests.map((request) => request.headers.authorization)
	assert.deepEqual(sent, ['Bearer 1', 'Bearer 2', 'Bearer 3'])
})

test('headers that fail are a connection that fails', async () => {
	const given = [() => {throw new Error()}, async () => {throw new Error()}, async () => ({})]
	const world = new ScriptedWorld(new LiveAnswer(done))
	const {names, last} = await watch(world, {headers: () => given.shift()()})
	await world.pass(4_000)
	await world.pass(8_000)
	assert.deepEqual(names(), [
		'connecting', 'resuming', 'resuming', 'resuming', 'resuming', 'open', 'ended',
	])
	assert.equal(last().reason, 'done')
})

test('headers that never come are given up like a connection', async () => {
	const given = [new Promise(() => {}), {}]
	const world = new ScriptedWorld(new LiveAnswer(done))
	const {last} = await watch(world, {headers: () => given.shift()})
	await world.pass(45_000)
	assert.deepEqual([last().state, world.requests.length], ['stale', 0])
	await world.pass(last().waitMs)
	assert.equal(last().reason, 'done')
})

for (const options of [{}, {params}]) {
	const request = options.params ? 'the POST' : 'the stream'

	test(`closing while headers for ${request} are awaited ends it at once`, async () => {
		const world = new ScriptedWorld()
		const {stream, last} = await watch(world, {headers: () => new Promise(() => {}), ...options})
		stream.close()
		await settle()
		assert.deepEqual([last().reason, world.requests.length, world.timers], ['closed', 0, 0])
	})
}

test('credentials are as they were asked for, in the POST too', async () => {
	const world = new ScriptedWorld(created(), new LiveAnswer())
	await watch(world, {credentials: 'include', params})
	assert.deepEqual(world.requests.map(({credentials}) => credentials), ['include', 'include'])
})

test('a stream can begin behind an event, which is then known', async () => {
	const world = new ScriptedWorld(new LiveAnswer(start, result).end(), new LiveAnswer())
	const {types} = await watch(world, {lastEventId: id(1)})
	await world.pass(4_000)
	assert.deepEqual(world.requests.map(({headers}) => headers['last-event-id']), [id(1), id(2)])
	assert.deepEqual(types(), ['result'])
})

test('a place that a stream begins behind is kept until an event comes', async () => {
	const world = new ScriptedWorld(new LiveAnswer('retry: 1\n\n: beat\n').end(), new LiveAnswer())
	await watch(world, {lastEventId: '7'})
	await world.pass(4_000)
	assert.equal(world.requests[1].headers['last-event-id'], '7')
})

test('a run is made with one POST and then followed with GET, however often', async () => {
	const world = new ScriptedWorld(
		created(), new TypeError('network'), new LiveAnswer(start).end(), new LiveAnswer(done),
	)
	const {stream, names, last} = await watch(world, {params})
	assert.equal(stream.url, RUN_URL)
	await world.pass(4_000)
	await world.pass(4_000)
	const asked = world.requests.map(({method = 'GET', url}) => [method, url])
	assert.deepEqual(asked, [['POST', FEED], ['GET', RUN_URL], ['GET', RUN_URL], ['GET', RUN_URL]])
	assert.equal(world.requests[0].body, '{"city":"Oslo"}')
	assert.ok(world.requests.slice(1).every(({body}) => body === undefined))
	assert.deepEqual(names(), [
		'connecting', 'resuming', 'resuming', 'open', 'resuming', 'resuming', 'open', 'ended',
	])
	assert.deepEqual([last().reason, last().reconnects], ['done', 1])
})

test('a run that was joined is followed too', async () => {
	const world = new ScriptedWorld(created({status: 200}), new LiveAnswer(done))
	const {last} = await watch(world, {params})
	assert.equal(last().reason, 'done')
})

const unclear = {
	'a network error': () => new TypeError('network'),
	'an answer without a Location': () => created({location: null}),
	'a Location that is no address': () => created({location: 'https://'}),
	'an answer that is no JSON': () => new Response('<h1>', {status: 201, headers: {Location: '/'}}),
}

for (const [what, answer] of Object.entries(unclear)) {
	test(`after ${what} it is uncertain whether a run was made, and nothing is repeated`, async () => {
		const world = new ScriptedWorld(answer())
		const {last, told} = await watch(world, {params})
		await world.pass(100_000)
		assert.deepEqual([world.requests.length, world.timers], [1, 0])
		assert.deepEqual(last(), {state: 'ended', reason: 'uncertain', reconnects: 0})
		assert.deepEqual(told, ['connecting', 'ended', 'error'])
	})
}

for (const status of [401, 415, 422, 500, 503]) {
	test(`a POST that is answered with ${status} is refused, and not repeated`, async () => {
		const said = {detail: 'why', parameter: 'city'}
		const world = new ScriptedWorld(problem(status, said, {'Retry-After': '1'}))
		const {last, told} = await watch(world, {params})
		await world.pass(100_000)
		assert.deepEqual([world.requests.length, world.timers], [1, 0])
		const {reason, problem: {message, parameter, status: read}} = last()
		assert.deepEqual([reason, message, parameter, read], ['refused', 'why', 'city', status])
		assert.deepEqual(told, ['connecting', 'ended', 'error'])
	})
}

test('closing during the POST ends it, and asks for no stream', async () => {
	const world = new ScriptedWorld(undefined, new LiveAnswer(start))
	const {stream, last, told} = await watch(world, {params})
	stream.close()
	await settle()
	assert.ok(world.requests[0].signal.aborted)
	assert.deepEqual([world.requests.length, last().reason], [1, 'closed'])
	assert.ok(!told.includes('error'))
})

test('closing when the POST has just been answered asks for no stream', async () => {
	const made = created()
	const world = new ScriptedWorld(made, new LiveAnswer(start))
	const {json} = made
	made.json = async () => {const read = await json.call(made); stream.close(); return read}
	const {stream} = begin(world, {params})
	await settle()
	assert.deepEqual([world.requests.length, stream.readyState, world.timers], [1, 2, 0])
})

test('a POST is not cut and not hurried', async () => {
	const world = new ScriptedWorld(undefined)
	const {stream, last} = await watch(world, {params})
	stream.cut()
	stream.hurry()
	await world.pass(100_000)
	assert.deepEqual([last().state, world.requests[0].signal.aborted], ['connecting', false])
	stream.close()
})
