/* The parser of event streams, on the vectors that the Python decoder passes too. */

import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {test} from 'node:test'

import {createParser, MAX_RETRY_MS} from '../../static/event-stream.js'

const {vectors} = JSON.parse(readFileSync(new URL('../vectors/sse_decode.json', import.meta.url)))

/** What the parser makes of a stream that comes in these pieces of bytes. */
function decode(pieces) {
	const events = []
	const decoder = new TextDecoder()
	const parser = createParser((event) => events.push(event))
	for (const piece of pieces) parser.feed(decoder.decode(piece, {stream: true}))
	parser.feed(decoder.decode())
	return {events, lastEventId: parser.lastEventId, retry_ms: parser.retryMs}
}

/** The events of a text, fed as it stands to a parser with these bounds. */
function parse(text, bounds) {
	const events = []
	createParser((event) => events.push(event), bounds).feed(text)
	return events
}

function bytesOf({input, input_base64}) {
	return input === undefined ? Buffer.from(input_base64, 'base64') : Buffer.from(input)
}

function check(vector, pieces) {
	const decoded = decode(pieces)
	for (const key of ['events', 'lastEventId', 'retry_ms']) {
		if (key in vector) assert.deepEqual(decoded[key], vector[key], key)
	}
}

test('there are vectors', () => assert.ok(vectors.length > 20))

for (const vector of vectors) {
	const bytes = bytesOf(vector)

	test(`${vector.name}: whole`, () => check(vector, [bytes]))

	test(`${vector.name}: cut in two at every byte`, () => {
		for (let at = 0; at <= bytes.length; at += 1) check(vector, [bytes.subarray(0, at), bytes.subarray(at)])
	})

	test(`${vector.name}: byte by byte`, () => check(vector, [...bytes].map((byte) => Uint8Array.of(byte))))
}

test('a line up to its bound passes', () => {
	assert.equal(parse('data:aaaaa\n\n', {maxChars: 10})[0].data, 'aaaaa')
})

test('a line over its bound is refused', () => {
	const fault = /^RangeError: the line is longer than 10 characters$/
	assert.throws(() => parse('data:aaaaaa\n\n', {maxChars: 10}), fault)
})

test('a line that never ends is refused as soon as it is over', () => {
	const parser = createParser(() => {}, {maxChars: 10})
	parser.feed('data:')
	parser.feed('aaaaa')
	assert.throws(() => parser.feed('a'), RangeError)
})

test('the data of an event is counted with its line breaks', () => {
	const bounds = {maxChars: 9}
	assert.equal(parse('data:aaaa\ndata:bbbb\n\n', bounds)[0].data, 'aaaa\nbbbb')
	assert.throws(() => parse('data:aaaa\ndata:bbb\ndata:c\n\n', bounds), /the event is longer/)
})

test('the bound of an event starts anew with each event', () => {
	assert.equal(parse('data:aaaa\n\ndata:bbbb\n\n', {maxChars: 9}).length, 2)
})

test('an id over its bound is refused, as passing over it would resume elsewhere', () => {
	assert.throws(() => parse('id:1234\n\n', {maxIdChars: 3}), /the id is longer/)
})

test('events before a fault are handed over first', () => {
	const events = []
	const parser = createParser((event) => events.push(event), {maxChars: 6})
	assert.throws(() => parser.feed('data:a\n\ndata:too long\n\n'), RangeError)
	assert.deepEqual(events.map((event) => event.data), ['a'])
})

test('the last id of an earlier connection can be handed in', () => {
	assert.equal(parse('data: a\n\n', {lastEventId: '7'})[0].lastEventId, '7')
})

test('a retry longer than a timer takes is cut down', () => {
	const parser = createParser(() => {})
	parser.feed(`retry: ${'9'.repeat(400)}\n`)
	assert.equal(parser.retryMs, MAX_RETRY_MS)
})

test('reading takes linear time', () => {
	const rounds = 200_000
	let count = 0
	const parser = createParser(() => {count += 1})
	parser.feed('data: a\n\n'.repeat(rounds))
	for (let i = 0; i < rounds; i += 1) parser.feed('a')
	assert.equal(count, rounds)
})
