import {members, memberText, plainText, seconds} from './body-text.js'
import {createCard} from './cards.js'
import {stopRun} from './requests.js'
import {RunModel} from './run-model.js'
import {followRun} from './shared-stream.js'
import {copy, say} from './template.js'
import {createWaterfall} from './waterfall.js'

const DRAW_MS = 30, MAX_DRAW_MS = 8, TICK_MS = 100

const STATES = {stale: 'stale: three beats missed', draining: 'draining: the server restarts'}
const WORDS = {result: 'answered', failure: 'failed'}
const NOTICES = {
	trimmed: 'The oldest pieces of this run are no longer held.',
	gone: 'Nothing more comes from this run.',
	lost: 'This run is lost: the server no longer has it. Run it again?',
	closed: 'Not followed now.',
	shutdown: 'The server has ended, and this run with it. Run it again?',
}

/** Make the view of a run. Its `word` is how it stands or has ended. */
export function createRunView(run, url, {known, onChange, onAgain, announce, titleOf, pingInterval}) {
	const {element, parts} = copy('run')
	const {dataset} = element
	const view = {...known, run, element, follow, leave}
	const drawWaterfall = createWaterfall(parts.plot, drawSoon)
	const dirty = new Set()
	const cards = new Map() // by row
	let model = new RunModel()
	let zero = Infinity // performance.now() at second 0
	let stream, drawing, ticking
	let missing // what is said of a log that was trimmed

	dataset.run = run
	parts.cut.onclick = () => view.isLive && stream.cut()
	parts.stop.onclick = stop
	parts.again.onclick = () => onAgain(view)
	return view

	function follow() {
		delete dataset.reason
		receiveState({state: 'connecting', reconnects: 0})
		tell(missing = '')
		stream = followRun(url, {onEvent: receive, onState: receiveState, pingInterval})
		const {matches: isCalm} = matchMedia('(prefers-reduced-motion: reduce)')
		ticking = setInterval(drawSoon, isCalm ? 1_000 : TICK_MS)
	}

	function leave() {stream.close()}
	function tell(notice) {say(parts.notice, notice)}

	function receive({type, data: text}) {
		const data = JSON.parse(text)
		if (type === 'reset') return tell(missing = NOTICES[data.reason])
		if (type === 'start') model = new RunModel()
		const row = model.apply(type, data)
		if (type === 'start') begin(data, memberText(text, 'params'))
		if (row) {
			const card = cards.get(row)
			card.apply(type, data, text)
			if (!card.element.isConnected) parts.cards.append(card.element)
			dirty.add(row)
		}
		if (type === 'done') finish(data)
		else if (data.done) count(data, WORDS[row.state] ?? row.state)
		// Events are late, never early.
		zero = Math.min(zero, performance.now() - data.at * 1000)
		drawSoon()
	}

	function begin({feed, upstreams}, params) {
		Object.assign(view, {feed, params})
		dataset.feed = feed
		zero = Infinity
		cards.clear()
		dirty.clear()
		for (const row of model.rows.values()) cards.set(row, createCard(row.name))
		parts.names.replaceChildren(...[...cards.values()].map(({line}) => line))
		parts.cards.replaceChildren()
		say(parts.title, titleOf(feed))
		say(parts.params, ...members(params).map(([name, json]) => `${name}: ${plainText(json)}`))
		say(parts.total)
		count({done: 0, of: upstreams.length})
		onChange(view)
	}

	function count({upstream, done, of}, word) {
		Object.assign(parts.progress, {max: of, value: done})
		say(parts.count, `${done} of ${of}`, model.failed && `${model.failed} failed`)
		if (done > 0) announce(`${upstream} ${word}, ${done} of ${of}`)
	}

	function finish({ok, failed, cancelled, elapsed, reason}) {
		dataset.reason = reason
		view.failed = failed
		const not = [failed && `${failed} failed`, cancelled && `${cancelled} cancelled`]
		say(parts.total, `${reason}: ${ok} ok`, ...not, `in ${seconds(elapsed)}`)
		tell(NOTICES[reason] ?? missing)
		announce(parts.total.textContent)
	}

	function receiveState({state, reconnects, shared, waitMs, reason, problem, detail}) {
		view.isLive = state !== 'ended'
		if (!view.isLive) end(reason, problem?.status, problem?.message ?? detail)
		dataset.state = state
		view.word = dataset.reason ?? state
		parts.cut.ariaDisabled = state !== 'open'
		parts.stop.ariaDisabled = !view.isLive
		const facts = [problem?.message, waitMs && `next try in ${seconds(waitMs / 1000)}`, shared && 'read by another tab']
		const again = reconnects && `reconnected ${reconnects}×`
		say(parts.connection, STATES[state] ?? state, ...(view.isLive ? facts : []), again)
		onChange(view)
		drawSoon()
	}

	function end(reason, status, why) {
		clearInterval(ticking)
		if (reason === 'done') return // whose event has said why
		const word = (dataset.reason = [404, 410].includes(status) ? 'lost' : reason)
		tell(NOTICES[word] ?? `This run cannot be followed: ${why}.`)
		for (const row of model.rows.values()) {
			if (row.end === null) dirty.add(Object.assign(row, {state: word}))
		}
	}

	async function stop() {
		if (!view.isLive) return
		const refusal = await stopRun(url).catch((error) => error)
		if (refusal && view.isLive) tell(`The run could not be stopped: ${refusal.message}.`)
	}

	function drawSoon() {
		// No animation frame: a tab in the background has none, and goes on hearing.
		drawing ??= setTimeout(draw, DRAW_MS)
	}

	function draw() {
		drawing = undefined
		const now = view.isLive ? Math.max(performance.now() - zero, 0) / 1000 : model.end(0)
		for (const [row, card] of cards) {
			if (row.end === null || dirty.has(row)) card.drawHead(row.state, row.end ?? now)
		}
		const drawn = new Set()
		const until = performance.now() + MAX_DRAW_MS
		for (const row of dirty) {
			cards.get(row).draw()
			drawn.add(row)
			dirty.delete(row)
			if (performance.now() > until) break
		}
		if (dirty.size > 0) drawSoon()
		drawWaterfall(model, now, drawn, view.isLive)
		for (const part of ['first', 'last', 'sequential']) {
			const isKnown = model[part] !== null && (part === 'first' || !view.isLive)
			say(parts[part], isKnown && seconds(model[part]))
		}
	}
}
