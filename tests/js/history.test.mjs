/* The list of runs, whatever storage there is and whatever stands in it. */

import assert from 'node:assert/strict'
import {beforeEach, test} from 'node:test'

import {keepRun, knownRuns} from '../../static/history.js'

const KEY = 'fanstream runs'
const FACTS = {feed: 'city', params: '{}', title: 'City', word: 'open'}

/** Storage that has room for a text, and no room while it is full. */
class ScriptedStorage {
	isFull = false
	text = null

	getItem(key) {return key === KEY ? this.text : null}

	setItem(key, text) {
		if (this.isFull) throw new DOMException('no room', 'QuotaExceededError')
		this.text = text
	}
}

let storage

beforeEach(() => {
	storage = new ScriptedStorage()
	Object.defineProperty(globalThis, 'localStorage', {value: storage, configurable: true})
	keepRun('none', null) // what was not stored in the test before is forgotten
})

const names = () => knownRuns().map(({run}) => run)

test('the newest run comes first, and a known one keeps its place', () => {
	keepRun('a', FACTS)
	keepRun('b', FACTS)
	keepRun('a', {word: 'finished'})
	assert.deepEqual(knownRuns(), [{...FACTS, run: 'b'}, {...FACTS, run: 'a', word: 'finished'}])
})

test('fifty runs are kept', () => {
	for (let n = 0; n < 60; n += 1) keepRun(`r${n}`, FACTS)
	assert.deepEqual([names().length, names()[0]], [50, 'r59'])
})

test('where there is no room the list lasts as long as the page', () => {
	keepRun('a', FACTS)
	storage.isFull = true
	keepRun('b', FACTS)
	assert.deepEqual(names(), ['b', 'a'])
	storage.isFull = false
	keepRun('c', FACTS)
	assert.deepEqual(JSON.parse(storage.text).map(({run}) => run), ['c', 'b', 'a'])
})

for (const text of ['{}', '5', '[null]', '[{}]', '[{"run":"a"}]', '{"unfinished":', '""']) {
	test(`what is no list of runs is none: ${text}`, () => {
		storage.text = text
		assert.deepEqual(knownRuns(), [])
		keepRun('b', FACTS)
		assert.deepEqual(names(), ['b'])
	})
}

test('one entry that is none takes no other with it', () => {
	storage.text = JSON.stringify([{run: 'a'}, {...FACTS, run: 'b'}])
	assert.deepEqual(names(), ['b'])
})
