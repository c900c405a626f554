/* One run on the page: its connection, its waterfall and its cards. */

import { members, memberText, plainText, seconds } from './body-text.js';
import { createCard } from './cards.js';
import { stopRun } from './requests.js';
import { RunModel } from './run-model.js';
import { followRun } from './shared-stream.js';
import { copy, say } from './template.js';
import { createWaterfall } from './waterfall.js';

/* Milliseconds: to a drawing of what has come, for its cards, and between those of the time. */
const DRAW_MS = 30, MAX_DRAW_MS = 8, TICK_MS = 100;

const STATES = { stale: 'stale: nothing heard for three beats', draining: 'draining: the server restarts' };
const WORDS = { result: 'answered', failure: 'failed' };
const NOTICES = {
	trimmed: 'The oldest pieces of this run are no longer held.',
	gone: 'There is nothing more to come from this run.',
	lost: 'This run is lost: the server no longer has it. Run it again?',
	closed: 'Not followed at present.',
	shutdown: 'The server has ended, and this run with it. Run it again?',
};

/** Make the view of a run: {run, element, feed, params, …}; `word` is how it stands or has ended. */
export function createRunView(run, url, { onChange, onAgain, announce, titleOf, pingInterval }) {
	const { element, parts } = copy('run-template');
	const view = { run, element, feed: '', params: '{}', follow, leave };
	const drawWaterfall = createWaterfall(parts.plot, drawSoon);
	const dirty = new Set(); // rows
	const cards = new Map(); // by row
	const names = new Map();
	let model = new RunModel();
	let zero = Infinity; // performance.now() at the run's second 0
	let stream, drawing, ticking;
	let missing; // what is said of a log that was trimmed

	element.dataset.run = run;
	parts.cut.onclick = () => view.isLive && stream.cut();
	parts.stop.onclick = () => view.isLive && stop();
	parts.again.onclick = () => onAgain(view);
	return view;

	function follow() {
		receiveState({ state: 'connecting', reconnects: 0 });
		tell(missing = '');
		stream = followRun(url, { onEvent: receive, onState: receiveState, pingInterval });
		const isCalm = matchMedia('(prefers-reduced-motion: reduce)').matches;
		ticking = setInterval(drawSoon, isCalm ? 10 * TICK_MS : TICK_MS);
	}

	function leave() { stream.close(); }
	function tell(notice) { say(parts.notice, notice); }

	function receive({ type, data: text }) {
		const data = JSON.parse(text);
		if (type === 'reset') return tell(missing = NOTICES[data.reason]);
		if (type === 'start') begin(data, memberText(text, 'params'));
		const row = model.apply(type, data);
		if (row) {
			dirty.add(row);
			cardOf(row).apply(type, data, text);
		}
		if (type === 'done') finish(data);
		else if (data.done) count(data, WORDS[row.state] ?? row.state);
		// A replayed event is late, never early: the earliest second 0 that was seen is the right one.
		zero = Math.min(zero, performance.now() - data.at * 1000);
		drawSoon();
	}

	function begin({ feed, upstreams }, params) {
		Object.assign(view, { feed, params });
		element.dataset.feed = feed;
		model = new RunModel();
		names.clear();
		zero = Infinity;
		cards.clear();
		parts.cards.replaceChildren();
		say(parts.title, titleOf(feed));
		say(parts.params, ...members(params).map(([name, json]) => `${name}: ${plainText(json)}`));
		say(parts.total);
		count({ done: 0, of: upstreams.length });
		onChange(view);
	}

	function count({ upstream, done, of }, word) {
		Object.assign(parts.progress, { max: of, value: done });
		say(parts.count, `${done} of ${of}`, model.failed && `${model.failed} failed`);
		if (done > 0) announce(`${upstream} ${word}, ${done} of ${of}`);
	}

	function finish({ ok, failed, cancelled, elapsed, reason }) {
		element.dataset.reason = reason;
		view.failed = failed;
		say(
			parts.total,
			`${reason}: ${ok} ok`,
			failed && `${failed} failed`,
			cancelled && `${cancelled} cancelled`,
			`in ${seconds(elapsed)}`,
		);
		tell(NOTICES[reason] ?? missing);
		announce(parts.total.textContent);
	}

	function receiveState({ state, reconnects, shared, waitMs, reason, problem, detail }) {
		view.isLive = state !== 'ended';
		if (view.isLive) delete element.dataset.reason;
		else end(reason, problem?.status, problem ? problem.message : detail);
		Object.assign(element.dataset, { state, reconnects });
		view.word = element.dataset.reason ?? state;
		// Not `disabled`: that would take the focus away from whoever has just pressed the button.
		parts.cut.ariaDisabled = state !== 'open';
		parts.stop.ariaDisabled = !view.isLive;
		const facts = [problem?.message, waitMs && `next try in ${seconds(waitMs / 1000)}`, shared && 'read by another tab'];
		say(parts.connection, STATES[state] ?? state, ...(view.isLive ? facts : []));
		say(parts.reconnects, reconnects && `reconnected ${reconnects}\u00d7`);
		onChange(view);
		drawSoon();
	}

	function end(reason, status, why) {
		clearInterval(ticking);
		parts.stop.textContent = 'Stop';
		if (reason === 'done') return; // whose event has said why
		const word = (element.dataset.reason = [404, 410].includes(status) ? 'lost' : reason);
		tell(NOTICES[word] ?? `This run cannot be followed: ${why}.`);
		for (const row of model.rows.values()) {
			if (row.end === null) dirty.add(Object.assign(row, { state: word }));
		}
	}

	async function stop() {
		parts.stop.textContent = 'Stopping…';
		const refusal = await stopRun(url).catch((error) => error);
		if (!refusal || !view.isLive) return; // its end comes with the stream
		parts.stop.textContent = 'Stop';
		tell(`The run could not be stopped: ${refusal.message}.`);
	}

	/** The card of a row, which comes with the first that it says. */
	function cardOf(row) {
		if (!cards.has(row)) {
			cards.set(row, createCard(row.name));
			parts.cards.append(cards.get(row).element);
		}
		return cards.get(row);
	}

	function drawSoon() {
		// No animation frame: a tab in the background has none, and goes on hearing.
		drawing ??= setTimeout(draw, DRAW_MS);
	}

	function nameOf(row) {
		const name = copy('name-template');
		names.set(row, name);
		name.element.dataset.upstream = name.element.title = name.parts.name.textContent = row.name;
		return name.element;
	}

	function drawName(row, time) {
		const name = names.get(row);
		name.element.dataset.state = name.parts.state.textContent = row.state;
		name.parts.time.textContent = seconds(time);
	}

	function draw() {
		drawing = undefined;
		const rows = [...model.rows.values()];
		const now = view.isLive ? Math.max(performance.now() - zero, 0) / 1000 : model.end(0);
		if (names.size === 0) parts.names.replaceChildren(...rows.map(nameOf));
		for (const row of rows) {
			if (row.end === null || dirty.has(row)) drawName(row, row.end ?? now);
		}
		const drawn = new Set();
		const until = performance.now() + MAX_DRAW_MS;
		for (const row of dirty) {
			cardOf(row).draw(row);
			drawn.add(row);
			dirty.delete(row);
			if (performance.now() > until) break;
		}
		if (dirty.size > 0) drawSoon();
		drawWaterfall(model, now, drawn, view.isLive);
		for (const part of ['first', 'last', 'sequential']) {
			const isKnown = model[part] !== null && (part === 'first' || !view.isLive);
			say(parts[part], isKnown && seconds(model[part]));
		}
	}
}
