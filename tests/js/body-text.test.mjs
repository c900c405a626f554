/* What of an event's data is shown as text. */

import assert from 'node:assert/strict'
import {test} from 'node:test'

import {chunkText, imageAddress, members, memberText, plainText, seconds} from '../../static/body-text.js'

const sse = (data, event = 'message') => ({event, data, id: ''})
const delta = (content) => sse(JSON.stringify({choices: [{index: 0, delta: {content}}]}))

test('a member is cut out as it was written', () => {
	const body = '{"n":12345678901234567890,"f":1.50}'
	assert.equal(memberText(`{"at":0.1,"body":${body},"of":4}`, 'body'), body)
})

test('a member can stand first, last and alone', () => {
	assert.equal(memberText('{"body":1,"a":2}', 'body'), '1')
	assert.equal(memberText('{"a":2,"body": "x" }', 'body'), '"x"')
	assert.equal(memberText('{"body":[]}', 'body'), '[]')
})

test('a member of a deeper object is not taken for it', () => {
	assert.equal(memberText('{"a":{"body":1},"b":["body",{"body":2}]}', 'body'), null)
})

test('a value that looks like the member is not taken for it', () => {
	assert.equal(memberText('{"a":"body","body":"b"}', 'body'), '"b"')
})

test('marks inside strings are text', () => {
	assert.equal(memberText('{"a":"}],\\"body\\":1","body":"{\\\\"}', 'body'), '"{\\\\"')
})

test('the last of duplicate members counts', () => {
	assert.equal(memberText('{"body":1,"body":2}', 'body'), '2')
})

test('a name written with escapes is found', () => {
	assert.equal(memberText('{"b\\u006fdy":1}', 'body'), '1')
})

test('members come in their order, each as it was written', () => {
	assert.deepEqual(members('{"10":1,"2": [1.50,12345678901234567890] ,"s":"a, {b}: \\"c\\""}'), [
		['10', '1'],
		['2', '[1.50,12345678901234567890]'],
		['s', '"a, {b}: \\"c\\""'],
	])
})

test('the members of a list have no key', () => {
	assert.deepEqual(members('[1, "a,b", [2, {"c": 3}], {}, null]'), [
		[null, '1'], [null, '"a,b"'], [null, '[2, {"c": 3}]'], [null, '{}'], [null, 'null'],
	])
})

test('what is not an object or a list has no members, nor has an empty one', () => {
	for (const json of ['1', '"[1]"', '"{\\"a\\":1}"', 'null', 'true', '-1.5e3', '{}', '[]', ' [ ] ']) {
		assert.deepEqual(members(json), [])
	}
})

/** What JSON.parse gives, put together from members. */
function rebuild(json) {
	const found = members(json)
	if (found.length === 0) return JSON.parse(json)
	if (json.trimStart()[0] === '[') return found.map(([, text]) => rebuild(text))
	return Object.fromEntries(found.map(([key, text]) => [key, rebuild(text)]))
}

test('members of members make the value that JSON.parse makes', () => {
	const values = [
		{}, [], [[]], {a: {}}, [1, [2, {b: []}]], null, true, -1.5e3, 'x', {a: [{}, {}]},
		{'': '', ':': ',', '{"a"': ']', '\\': '\\"', '\u2028\n\0': ['\ud83d\ude00']}, [null, '', 'null'],
	]
	for (const value of values) {
		for (const space of [0, 2, '\t']) assert.deepEqual(rebuild(JSON.stringify(value, null, space)), value)
	}
})

test('a long string is no trouble', () => {
	const long = JSON.stringify({body: 'a"\\'.repeat(2_000_000)})
	assert.equal(memberText(long, 'body').length, long.length - '{"body":}'.length)
})

test('a deep value is no trouble', () => {
	const deep = `${'['.repeat(500_000)}1${']'.repeat(500_000)}`
	assert.equal(members(deep)[0][1].length, deep.length - 2)
})

test('a string is said without its quotes, all else as it was written', () => {
	assert.equal(plainText('"a\\n\\"b\\""'), 'a\n"b"')
	assert.equal(plainText('12345678901234567890'), '12345678901234567890')
	assert.equal(plainText('false'), 'false')
})

test('base64 of a picture is an address', () => {
	assert.equal(imageAddress('image/png', 'YWJj'), 'data:image/png;base64,YWJj')
	assert.equal(imageAddress('image/svg+xml; charset=utf-8', 'YQ=='), 'data:image/svg+xml;base64,YQ==')
	assert.equal(imageAddress('IMAGE/PNG', 'YWJj'), 'data:IMAGE/PNG;base64,YWJj')
})

test('what is no picture is none', () => {
	for (const type of ['text/plain', 'image/', 'x-image/png', '', null, undefined]) {
		assert.equal(imageAddress(type, 'YWJj'), null)
	}
})

test('a picture of what is not base64 is none', () => {
	for (const body of ['', 'a b', '<svg/>', 'YQ===', 'YWJj"', null, 7, ['YWJj']]) {
		assert.equal(imageAddress('image/png', body), null)
	}
})

test('of a type that says more only the type is taken', () => {
	assert.equal(imageAddress('image/png,<script>', 'YWJj'), 'data:image/png;base64,YWJj')
})

test('times are written for a person', () => {
	const written = [0, 0.0004, 0.0006, 0.412, 0.9994, 0.9996, 1, 1.234, 75].map(seconds)
	assert.deepEqual(written, ['0 ms', '0 ms', '1 ms', '412 ms', '999 ms', '1.00 s', '1.00 s', '1.23 s', '75.00 s'])
})

test('the text of a chat completion flows', () => {
	assert.deepEqual(chunkText(delta('Hel')), {kind: 'token', text: 'Hel'})
})

test('a chat completion without text adds none', () => {
	assert.deepEqual(chunkText(delta(undefined)), {kind: 'token', text: ''})
	assert.deepEqual(chunkText(sse('{"choices":[]}')), {kind: 'token', text: ''})
	assert.deepEqual(chunkText(delta({not: 'text'})), {kind: 'token', text: ''})
})

test('another event of an upstream is a line, with its type', () => {
	assert.deepEqual(chunkText(sse('hello')), {kind: 'line', text: 'hello'})
	assert.deepEqual(chunkText(sse('{"a":1}', 'tick')), {kind: 'line', text: 'tick: {"a":1}'})
	assert.deepEqual(chunkText(sse('{broken')), {kind: 'line', text: '{broken'})
})

test('text is a piece', () => assert.deepEqual(chunkText('abc'), {kind: 'piece', text: 'abc'}))

test('any other value is a line, as written', () => {
	const written = '{"n":12345678901234567890}'
	assert.deepEqual(chunkText(JSON.parse(written), written), {kind: 'line', text: written})
	assert.deepEqual(chunkText(null, 'null'), {kind: 'line', text: 'null'})
})
