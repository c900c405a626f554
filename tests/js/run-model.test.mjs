/* What the events of a run mean for who looks at it. */

import assert from 'node:assert/strict'
import {test} from 'node:test'

import {RunModel} from '../../static/run-model.js'

/** A model that has taken these events, [name, data], and before them a start. */
function modelOf(...events) {
	const model = new RunModel()
	model.apply('start', {at: 0, upstreams: ['a', 'b']})
	for (const [name, data] of events) model.apply(name, data)
	return model
}

const rowOf = (...events) => modelOf(...events).rows.get('a')
const attempt = (at, elapsed, retry_in) => ['attempt', {at, upstream: 'a', elapsed, retry_in}]
const chunk = (at) => ['chunk', {at, upstream: 'a'}]
const result = (at, data = {}) => ['result', {at, upstream: 'a', elapsed: at, first_byte: at, done: 1, ...data}]
const failure = (at, data = {}) => ['failure', {at, upstream: 'a', elapsed: at, first_byte: null, done: 1, ...data}]

test('a run has a row for each upstream, in the order of the feed', () => {
	const {rows} = modelOf()
	assert.deepEqual([...rows.keys()], ['a', 'b'])
	assert.deepEqual([...rows.values()].map(({state}) => state), ['waiting', 'waiting'])
})

test('another start begins anew', () => {
	const model = modelOf(result(1))
	model.apply('start', {at: 0, upstreams: ['c']})
	assert.deepEqual([...model.rows.keys()], ['c'])
})

test('an event says which row it is about', () => {
	const model = modelOf()
	assert.equal(model.apply(...chunk(1)), model.rows.get('a'))
	assert.equal(model.apply('done', {at: 2, ok: 1}), null)
	assert.equal(model.apply('chunk', {at: 2, upstream: 'unknown'}), null)
})

test('states follow the events', () => {
	assert.equal(rowOf(attempt(1, 1, 1)).state, 'retrying')
	assert.equal(rowOf(chunk(1)).state, 'streaming')
	assert.equal(rowOf(result(1)).state, 'result')
	assert.equal(rowOf(failure(1, {code: 'timeout'})).state, 'failure')
	assert.equal(rowOf(failure(1, {code: 'cancelled'})).state, 'cancelled')
})

test('an answer goes from its call over its first byte to its end', () => {
	const {from, head, end, tries} = rowOf(result(3, {elapsed: 2, first_byte: 0.5}))
	assert.deepEqual({from, head, end, tries}, {from: 1, head: 1.5, end: 3, tries: []})
})

test('failed attempts stand where they were, and the next after its wait', () => {
	const {tries, from, head, end} = rowOf(attempt(1, 0.75, 0.5), attempt(2, 0.5, 1), result(4, {first_byte: 0.25}))
	assert.deepEqual(tries, [{from: 0.25, to: 1}, {from: 1.5, to: 2}])
	assert.deepEqual({from, head, end}, {from: 3, head: 3.25, end: 4})
})

test('an attempt without a time takes none', () => {
	assert.deepEqual(rowOf(attempt(1, null, 0.5)).tries, [{from: 1, to: 1}])
})

test('who is given up while waiting has not begun again', () => {
	const {from, head, end} = rowOf(attempt(1, 1, 5), failure(2, {code: 'cancelled'}))
	assert.deepEqual({from, head, end}, {from: 2, head: null, end: 2})
})

test('what has never begun takes no time', () => {
	const {from, end} = rowOf(failure(2, {elapsed: null}))
	assert.deepEqual({from, end}, {from: 2, end: 2})
})

test('the first piece is after the first byte, wherever that is said to be', () => {
	assert.equal(rowOf(chunk(1)).head, 1)
	assert.equal(rowOf(chunk(1), result(3, {first_byte: 2})).head, 1)
	assert.equal(rowOf(chunk(1), result(3, {first_byte: 0.5})).head, 0.5)
})

test('pieces are told apart up to a bound, over the whole of their time', () => {
	const model = modelOf()
	for (let n = 0; n < 100_000; n += 1) model.apply(...chunk(n / 1000))
	const {ticks} = model.rows.get('a')
	assert.ok(ticks.length <= 300 && ticks.length > 75, `${ticks.length}`)
	assert.equal(ticks[0], 0)
	assert.ok(ticks.at(-1) > 98)
})

test('figures are those of the events', () => {
	const model = modelOf(
		['failure', {at: 1, upstream: 'b', elapsed: 1, first_byte: null, done: 1}],
		result(3, {elapsed: 2.5, done: 2}),
	)
	const {first, last, sequential} = model
	assert.deepEqual({first, last, sequential}, {first: 3, last: 3, sequential: 3.5})
})

test('a piece can be the first', () => {
	assert.equal(modelOf(chunk(1), result(3)).first, 1)
})

test('what was cancelled has not failed', () => {
	assert.equal(modelOf(failure(1, {code: 'timeout'})).failed, 1)
	assert.equal(modelOf(failure(1, {code: 'cancelled'})).failed, 0)
})

test('without an answer there is no first', () => {
	const {first, last} = modelOf(failure(1))
	assert.deepEqual({first, last}, {first: null, last: 1})
})

test('a picture holds what has ended, and now', () => {
	const model = modelOf(result(3))
	assert.equal(model.end(0), 3)
	assert.equal(model.end(5), 5)
})

test('a picture holds what has come of what has not ended', () => {
	assert.equal(modelOf(chunk(2)).end(0), 2)
	assert.equal(modelOf(attempt(2, 1, 1)).end(0), 3)
})

test('a replay gives the same', () => {
	const events = [attempt(1, 1, 0.5), chunk(2), chunk(3), result(4)]
	assert.deepEqual(modelOf(...events), modelOf(...events))
})
