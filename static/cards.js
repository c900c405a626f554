/* The cards: what each upstream has said. Pieces wait for `draw`, so that many cost one layout. */

import { chunkText, imageAddress, memberText, plainText, seconds } from './body-text.js';
import { jsonTree } from './json-tree.js';
import { copy, say } from './template.js';

/* The last pieces are kept, and half so many characters of a text that flows. */
const MAX_LINES = 1_000;
const MAX_CHARS = 200_000;

/** Make the card of an upstream: {element, apply, draw}. */
export function createCard(name) {
	const { element, parts } = copy('card-template');
	const { scroller, stream, raw, body, actions } = parts;
	let pending = []; // chunks
	let shown = [];
	let answer = null; // to be shown
	let written = null; // a body

	element.dataset.upstream = parts.name.textContent = name;
	scroller.ariaLabel = `what ${name} sends`;
	raw.ariaLabel = `what ${name} has sent, as written`;
	parts.rawButton.onclick = () => showAs(raw.hidden);
	parts.copyButton.onclick = copyText;
	return { element, apply, draw };

	/** Take an event: its name, its data parsed, and as written. */
	function apply(event, data, text) {
		if (event === 'attempt') say(parts.note, describeAttempt(data));
		else if (event === 'chunk') pending.push({ data: data.data, text });
		else settle(data);
		if (event === 'result' && data.chunks === undefined) answer = [data, text];
	}

	function draw({ state, end }) {
		element.dataset.state = parts.state.textContent = state;
		if (end !== null) parts.time.textContent = seconds(end);
		else if (state === 'streaming') say(parts.note, '');
		if (answer) showBody(...answer);
		answer = null;
		if (pending.length === 0) return;
		for (const { data, text } of pending) append(chunkText(data, () => memberText(text, 'data')));
		shown = [...shown, ...pending].slice(-MAX_LINES);
		pending = [];
		actions.hidden = false;
		showAs(!raw.hidden);
	}

	function settle({ status, first_byte, attempts, chunks, done, code, message }) {
		Object.assign(element.dataset, { done, ...(code && { code }) });
		parts.status.textContent = status ?? '';
		say(parts.error, code && (code === 'cancelled' ? message : `${code}: ${message}`));
		say(
			parts.note,
			first_byte !== null && `first byte after ${seconds(first_byte)}`,
			attempts > 1 && `${attempts} attempts`,
			chunks !== undefined && `${chunks} chunk${chunks === 1 ? '' : 's'}`,
		);
	}

	function showBody({ body: value, content_type }, text) {
		written = memberText(text, 'body') ?? 'null';
		const src = imageAddress(content_type, value);
		if (src) body.append(Object.assign(new Image(), { src, alt: `what ${name} has sent` }));
		else body.append(typeof value === 'string' ? plain(value) : jsonTree(written));
		body.hidden = actions.hidden = false;
		say(parts.kind, content_type, !src && `${written.length.toLocaleString('en')} characters`);
	}

	function append({ kind, text }) {
		// A piece with a line break is no line: this upstream sends text as it comes.
		if (kind === 'token' || (kind === 'piece' && text.includes('\n'))) stream.dataset.flow = '';
		const last = stream.lastElementChild;
		if (kind !== 'line' && 'flow' in stream.dataset && last && last.dataset.kind !== 'line') {
			last.firstChild.appendData(text);
			if (last.firstChild.length > MAX_CHARS) last.firstChild.deleteData(0, MAX_CHARS / 2);
			return;
		}
		const span = document.createElement('span');
		span.dataset.kind = kind;
		span.append(document.createTextNode(text));
		stream.append(span);
		if (stream.childElementCount > MAX_LINES) stream.firstElementChild.remove();
	}

	function showAs(isRaw) {
		const text = written ?? shown.map((each) => memberText(each.text, 'data')).join('\n');
		parts.rawButton.ariaPressed = isRaw;
		say(raw, isRaw ? text.slice(0, MAX_CHARS) : '');
		body.hidden = isRaw || written === null;
		scroller.hidden = isRaw || written !== null;
	}

	async function copyText({ target }) {
		const text = written !== null ? plainText(written) : raw.hidden ? stream.innerText : raw.textContent;
		const isDone = await navigator.clipboard?.writeText(text).then(() => true, () => false);
		target.textContent = isDone ? 'Copied' : 'Not allowed';
		setTimeout(() => { target.textContent = 'Copy'; }, 1500);
	}
}

function describeAttempt({ attempt, code, status, retry_in }) {
	return `attempt ${attempt} failed (${code}${status ? ` ${status}` : ''}), the next in ${seconds(retry_in)}`;
}

function plain(text) {
	const shown = text.length > MAX_CHARS ? `${text.slice(0, MAX_CHARS)}\n…` : text;
	return Object.assign(document.createElement('pre'), { textContent: shown, tabIndex: 0, dir: 'auto' });
}
