/*
 * What of an event's data is shown as text. Pure. Bodies are taken from the JSON as it was written:
 * JSON.parse rounds integers beyond 2^53 and moves keys that look like numbers to the front.
 */

/** The members of a JSON object or array, as written: [key or null, text]; none of a scalar. */
export function members(json) {
	const isArray = json.trimStart()[0] === '[';
	const found = [];
	let depth = 0;
	let key = null;
	let from = -1; // where the value of a member at depth 1 begins
	// By the character: a match for each mark makes a megabyte cost ten times as much.
	for (let at = 0; at < json.length; at += 1) {
		const char = json[at];
		if (char === '"') {
			const end = endOfString(json, at);
			if (depth === 1 && from < 0) key = JSON.parse(json.slice(at, end));
			at = end - 1;
			continue;
		}
		if (char === '}' || char === ']') depth -= 1;
		if (from >= 0 && (depth === 0 || (depth === 1 && char === ','))) {
			const value = json.slice(from, at).trim();
			if (value !== '') found.push([key, value]);
			from = -1;
		}
		if (char === '{' || char === '[') depth += 1;
		if (depth !== 1) continue;
		if (isArray ? (char === '[' || char === ',') && from < 0 : char === ':') from = at + 1;
	}
	return found;
}

function endOfString(json, from) {
	for (let at = from + 1; at < json.length; at += 1) {
		if (json[at] === '\\') at += 1;
		else if (json[at] === '"') return at + 1;
	}
	return json.length;
}

/** The value of an object's own member, as written; null if not there. */
export function memberText(json, name) {
	return members(json).findLast(([key]) => key === name)?.[1] ?? null;
}

/**
 * How a chunk is shown, {kind, text}: `token` (an event of a chat completion) flows on from the text
 * before it, `line` is a line, `piece` either, as the contract's `lines` and `stream` look alike.
 */
export function chunkText(data, writtenJson) {
	if (typeof data === 'string') return { kind: 'piece', text: data };
	const isEvent = typeof data?.data === 'string' && typeof data.event === 'string' && 'id' in data;
	if (!isEvent) return { kind: 'line', text: writtenJson() };
	const token = tokenText(data.data);
	if (token !== null) return { kind: 'token', text: token };
	const label = data.event === 'message' ? '' : `${data.event}: `;
	return { kind: 'line', text: label + data.data };
}

/** The text that an event of a chat completion adds; null for others. */
function tokenText(text) {
	if (text[0] !== '{') return null;
	try {
		const { choices } = JSON.parse(text);
		if (!Array.isArray(choices)) return null;
		const content = choices[0]?.delta?.content;
		return typeof content === 'string' ? content : '';
	} catch {
		return null;
	}
}

/** The address of a body that is a picture, in base64; else null. */
export function imageAddress(contentType, body) {
	const [type] = /^image\/[\w.+-]+/i.exec(contentType ?? '') ?? [];
	const isBase64 = typeof body === 'string' && /^[A-Za-z0-9+/]+={0,2}$/.test(body);
	return type && isBase64 ? `data:${type};base64,${body}` : null;
}

/** A value among words: a string without quotes, all else as written. */
export function plainText(json) {
	return json[0] === '"' ? JSON.parse(json) : json;
}

export function seconds(time) {
	return time < 0.9995 ? `${Math.round(time * 1000)} ms` : `${time.toFixed(2)} s`;
}
