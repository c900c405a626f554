/* The requests that are no streams. */

import assert from 'node:assert/strict'
import {test} from 'node:test'

import {createRun, readJson, Problem, stopRun} from '../../static/requests.js'

const FEED = 'https://host/prefix/feeds/city'

/** A world whose fetch gives this answer and writes down what was asked. */
function answering(response) {
	const asked = []
	const fetch = async (url, {headers, ...options}) => {
		asked.push({url: String(url), headers: Object.fromEntries(new Headers(headers)), ...options})
		return response
	}
	return {asked, fetch}
}

/** A world whose fetch waits until its signal ends it. */
const silent = {
	fetch: (_, {signal}) => new Promise((_resolve, reject) => {
		signal.throwIfAborted()
		signal.addEventListener('abort', () => reject(signal.reason))
	}),
}

const problem = (status, body) => new Response(body, {
	status,
	headers: {'Content-Type': 'application/problem+json'},
})

/** The answer to a POST, as from `url`: a Response that node has made does not know its own. */
function created(location, url = FEED) {
	const headers = location === undefined ? {} : {Location: location}
	const response = Response.json({run: 'r', params: {city: 'Oslo'}}, {status: 201, headers})
	return Object.defineProperty(response, 'url', {value: url})
}

const calls = {
	'making a run': (...asked) => createRun(FEED, {}, ...asked),
	'stopping a run': (...asked) => stopRun('runs/r', ...asked),
	'listing the feeds': (...asked) => readJson('feeds', ...asked),
}

test('feeds come as they are listed', async () => {
	const world = answering(Response.json({feeds: [], ping_interval: 15}))
	assert.deepEqual(await readJson('feeds', {world}), {feeds: [], ping_interval: 15})
	const {url, method, headers} = world.asked[0]
	assert.deepEqual([url, method, headers], ['feeds', undefined, {accept: 'application/json'}])
})

test('a run is stopped with DELETE', async () => {
	const world = answering(new Response(null, {status: 204}))
	assert.equal(await stopRun('runs/r', {world}), undefined)
	assert.deepEqual([world.asked[0].url, world.asked[0].method], ['runs/r', 'DELETE'])
})

test('a run is made with a POST of JSON', async () => {
	const world = answering(created('../runs/r'))
	const made = await createRun(FEED, {city: 'Zürich'}, {world})
	assert.deepEqual(made, {run: 'r', params: {city: 'Oslo'}, url: 'https://host/prefix/runs/r'})
	const {url, method, headers, body} = world.asked[0]
	assert.deepEqual([url, method, body], [FEED, 'POST', '{"city":"Zürich"}'])
	assert.deepEqual(headers, {accept: 'application/json', 'content-type': 'application/json'})
})

test('parameters that are JSON already go as they are', async () => {
	const world = answering(created('../runs/r'))
	await createRun(FEED, '{"n": 12345678901234567890}', {world})
	assert.equal(world.asked[0].body, '{"n": 12345678901234567890}')
})

const places = [
	['../runs/r', 'https://host/prefix/feeds/city', 'https://host/prefix/runs/r'],
	['../runs/r', 'https://other/deep/er/feeds/city?x=1', 'https://other/deep/er/runs/r'],
	['../runs/r', 'https://host/feeds/city', 'https://host/runs/r'],
	['/runs/r', 'https://host/prefix/feeds/city', 'https://host/runs/r'],
	['https://other/r', 'https://host/prefix/feeds/city', 'https://other/r'],
	['../runs/r', '', 'https://host/prefix/runs/r'],
]

for (const [location, url, place] of places) {
	test(`the Location ${location} of an answer from '${url}' is ${place}`, async () => {
		assert.equal((await createRun(new URL(FEED), {}, {world: answering(created(location, url))})).url, place)
	})
}

test('an answer that does not say where the run is, is an error but no refusal', async () => {
	const error = await createRun(FEED, {}, {world: answering(created())}).catch((thrown) => thrown)
	assert.ok(error instanceof TypeError)
	assert.match(error.message, /has no Location/)
})

for (const [what, call] of Object.entries(calls)) {
	test(`what keeps ${what} from being done is a Problem`, async () => {
		const world = answering(problem(403, '{"detail":"not yours"}'))
		const error = await call({world}).catch((thrown) => thrown)
		assert.ok(error instanceof Problem && error instanceof Error)
		assert.deepEqual([error.name, error.message, error.status], ['Problem', 'not yours', 403])
	})

	test(`a network that fails is no Problem, with ${what}`, async () => {
		const world = {fetch: async () => {throw new TypeError('network')}}
		await assert.rejects(call({world}), {name: 'TypeError', message: 'network'})
	})

	for (const more of [{'X-More': '1', accept: 'text/html'}, new Headers({'X-More': '1'})]) {
		const kind = more instanceof Headers ? 'a Headers' : 'an object'
		test(`${what} takes the options of fetch, with headers in ${kind}`, async () => {
			const world = answering(created('../runs/r'))
			await call({headers: more, credentials: 'include', world})
			const {headers, credentials} = world.asked[0]
			assert.deepEqual([headers['x-more'], credentials], ['1', 'include'])
			if (what !== 'stopping a run') assert.equal(headers.accept, 'application/json')
		})
	}

	test(`${what} ends with the signal that it was given`, async () => {
		const controller = new AbortController()
		const answer = call({signal: controller.signal, world: silent})
		controller.abort(new Error('enough'))
		await assert.rejects(answer, {message: 'enough'})
		await assert.rejects(call({signal: controller.signal, world: silent}), {message: 'enough'})
	})

	for (const options of [{}, {signal: new AbortController().signal}]) {
		const given = options.signal ? 'with' : 'without'
		test(`${what} waits 15 s for an answer, ${given} a signal`, async ({mock}) => {
			const clock = new AbortController()
			const timed = mock.method(AbortSignal, 'timeout', () => clock.signal)
			const answer = call({...options, world: silent})
			assert.deepEqual(timed.mock.calls.map(({arguments: [ms]}) => ms), [15_000])
			clock.abort(new DOMException('too slow', 'TimeoutError'))
			await assert.rejects(answer, {name: 'TimeoutError'})
		})
	}
}

test("without a world of its own, it is this one's fetch that asks", async ({mock}) => {
	mock.method(globalThis, 'fetch', async () => Response.json({feeds: [1]}))
	assert.deepEqual(await readJson('feeds'), {feeds: [1]})
})

test('a problem keeps its members', async () => {
	const read = await Problem.read(problem(422, '{"detail":"too long","parameter":"name"}'))
	assert.deepEqual([read.message, read.parameter, read.status], ['too long', 'name', 422])
})

test('a problem without a detail says its title', async () => {
	assert.equal((await Problem.read(problem(404, '{"title":"Unknown feed"}'))).message, 'Unknown feed')
})

for (const type of ['application/json', 'application/problem+json; charset=utf-8', 'Application/JSON']) {
	test(`a problem may be of the type ${type}`, async () => {
		const headers = {'Content-Type': type}
		const read = await Problem.read(new Response('{"detail":"why"}', {status: 400, headers}))
		assert.equal(read.message, 'why')
	})
}

test('a problem that cannot be read says its status', async () => {
	const headers = {'Content-Type': 'text/html'}
	const page = new Response(new ReadableStream(), {status: 500, headers}) // which never ends
	const bodies = ['{broken', 'null', '5', '"text"', '[]', ''].map((body) => problem(500, body))
	for (const response of [...bodies, page]) {
		const read = await Problem.read(response)
		assert.match(read.message, /status 500/)
		assert.deepEqual([read.status, read.parameter], [500, undefined])
	}
})
