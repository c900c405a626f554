/*
 * What of an event's data is shown as text. Pure: no DOM, no network.
 * Bodies are taken from the JSON as it was written, never from a parsed value: JSON.parse rounds
 * integers beyond 2^53 and moves keys that look like numbers to the front.
 */

/** Cut the value of an object's own member out of its JSON text, as written; null if not there. */
export function memberText(json, name) {
  let depth = 0;
  let key = null; // of the member being passed at depth 1
  let from = -1; // where the wanted value begins
  let found = null;
  for (const token of tokens(json)) {
    const [text] = token;
    if (text === '}' || text === ']') depth -= 1;
    if (from >= 0 && ((depth === 1 && text === ',') || depth === 0)) {
      found = json.slice(from, token.index).trim(); // the last of duplicate keys counts
      from = -1;
    }
    if (key === null && text[0] === '"') key = text;
    else if (depth === 1 && text === ':' && JSON.parse(key) === name) from = token.index + 1;
    else if (depth === 1 && text === ',') key = null;
    if (text === '{' || text === '[') depth += 1;
  }
  return found;
}

/**
 * Spread a JSON text over indented lines, with every value as it was written.
 *
 * It stops soon after `maxChars`: indenting a deep value whole would cost its square.
 */
export function indentJson(json, maxChars = Infinity) {
  let out = '';
  let margin = '\n';
  let last = '';
  for (const [text] of tokens(json)) {
    const isClosing = text === '}' || text === ']';
    const isFirst = last === '{' || last === '[';
    if (isClosing) margin = margin.slice(0, -2);
    if (isClosing ? !isFirst : isFirst || last === ',') out += margin;
    out += text === ':' ? ': ' : text;
    if (text === '{' || text === '[') margin += '  ';
    if (out.length > maxChars) break;
    last = text;
  }
  return out;
}

/** One match for each string, number, word or mark of a JSON text. */
function tokens(json) {
  return json.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g);
}

/** The text of a body: a string itself, anything else as indented JSON; `…` where it is cut. */
export function bodyText(body, json, maxChars) {
  const text = typeof body === 'string' ? body : indentJson(json, maxChars);
  return text.length > maxChars ? `${text.slice(0, maxChars)}\n…` : text;
}

/**
 * Say how a chunk is shown: {kind, text}.
 *
 * `token` flows on from the text before it (an event of a chat completion), `piece` is a line of
 * its own or flows on too (the contract's `lines` and `stream` look alike), `line` is a line.
 * `writtenJson()` is asked only where the value is shown as it was written.
 */
export function chunkText(data, writtenJson) {
  if (typeof data === 'string') return { kind: 'piece', text: data };
  if (!isServerSentEvent(data)) return { kind: 'line', text: writtenJson() };
  const token = tokenText(data.data);
  if (token !== null) return { kind: 'token', text: token };
  const label = data.event === 'message' ? '' : `${data.event}: `;
  return { kind: 'line', text: label + data.data };
}

function isServerSentEvent(data) {
  return typeof data?.data === 'string' && typeof data.event === 'string' && 'id' in data;
}

/** The text that an event of a chat completion adds, "" where it adds none; null for others. */
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
