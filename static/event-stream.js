/*
 * The pure parser of event streams, WHATWG HTML, section 9.2.6; shared vectors hold it and the Python
 * decoder to one behaviour. UTF-8 and the byte order mark are TextDecoder's.
 */

/* UTF-16 units: beyond them `feed` throws StreamTooLarge, after the events before, until `reset`. */
const MAX_LINE_CHARS = 16 * 1024 * 1024;
const MAX_EVENT_CHARS = 16 * 1024 * 1024;
const MAX_ID_CHARS = 4096;
/** The most milliseconds that a timer takes; a longer `retry` counts as this. */
export const MAX_RETRY_MS = 2 ** 31 - 1;

/** A bound was passed: `what` is "line", "event" or "id". */
export class StreamTooLarge extends RangeError {
	constructor(what, maxChars) {
		super(`the ${what} is longer than ${maxChars} characters`);
		this.name = 'StreamTooLarge';
		this.what = what;
	}
}

/**
 * Make a parser that calls `onEvent({event, data, lastEventId})`: `feed(text)` takes a piece, cut
 * anywhere; `reset()` is for a next connection, and keeps the id; `retryMs` is null at first.
 */
export function createParser(
	onEvent,
	{ maxLineChars = MAX_LINE_CHARS, maxEventChars = MAX_EVENT_CHARS, maxIdChars = MAX_ID_CHARS, lastEventId = '' } = {},
) {
	let partial, afterCr, name, lines, dataChars, id, fault;
	let retryMs = null;

	function reset() {
		partial = name = '';
		afterCr = false;
		lines = [];
		dataChars = 0;
		id = lastEventId;
		fault = null;
	}

	function feed(text) {
		if (fault) throw fault;
		if (text === '') return;
		const ends = /\r\n?|\n/g;
		let from = (ends.lastIndex = afterCr && text[0] === '\n' ? 1 : 0);
		// A CR ends its line at once; whether an LF belongs to it is known with the next piece only.
		afterCr = text.endsWith('\r');
		for (let end = ends.exec(text); end; end = ends.exec(text)) {
			const line = join(text.slice(from, end.index));
			from = ends.lastIndex;
			partial = '';
			takeLine(line);
		}
		partial = join(text.slice(from));
	}

	function join(rest) {
		bound('line', partial.length + rest.length, maxLineChars);
		return partial + rest;
	}

	function bound(what, chars, maxChars) {
		if (chars > maxChars) throw (fault = new StreamTooLarge(what, maxChars));
	}

	function takeLine(line) {
		if (line === '') return dispatch();
		const colon = line.indexOf(':');
		if (colon < 0) takeField(line, '');
		else takeField(line.slice(0, colon), line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1)));
	}

	function takeField(field, value) {
		if (field === 'data') takeData(value);
		else if (field === 'event') name = value;
		else if (field === 'id' && !value.includes('\0')) takeId(value);
		else if (field === 'retry' && /^[0-9]+$/.test(value)) retryMs = Math.min(value, MAX_RETRY_MS);
	}

	function takeData(value) {
		bound('event', dataChars + value.length, maxEventChars);
		dataChars += value.length + 1;
		lines.push(value);
	}

	function takeId(value) {
		bound('id', value.length, maxIdChars);
		id = value;
	}

	function dispatch() {
		lastEventId = id;
		const event = { event: name || 'message', data: lines.join('\n'), lastEventId };
		const isEvent = lines.length > 0;
		name = '';
		lines = [];
		dataChars = 0;
		if (isEvent) onEvent(event);
	}

	reset();
	return {
		feed,
		reset,
		get lastEventId() { return lastEventId; },
		get retryMs() { return retryMs; },
	};
}
