/*
 * The rows: one for each upstream of a run, and what its events do to it. All text goes in as
 * textContent; CSS reads `data-state`. Knows no network.
 *
 * So that a long stream does not fill the page, a row keeps its last MAX_LINES lines, a text its
 * last MAX_CHARS characters (at least half), a body its first MAX_CHARS.
 */

import { bodyText, chunkText, memberText } from './body-text.js';

const MAX_LINES = 1_000;
const MAX_CHARS = 200_000;
/** A body of at most so many lines, and 2,000 characters, is shown unasked. */
const OPEN_LINES = 20;

export class Row {
  element;
  seconds = 0;
  #parts = {}; #follows = true;

  constructor(template, name) {
    this.element = template.content.firstElementChild.cloneNode(true);
    for (const part of this.element.querySelectorAll('[data-part]')) {
      this.#parts[part.dataset.part] = part;
    }
    this.element.dataset.upstream = name;
    this.#parts.name.textContent = name;
    const { stream } = this.#parts;
    stream.setAttribute('aria-label', `what ${name} sends`);
    stream.addEventListener('scroll', () => { this.#follows = isAtEnd(stream); });
    this.#enter('waiting');
  }

  attempt({ attempt, code, status, retry_in }) {
    this.#enter('retrying');
    const why = status ? `${code} ${status}` : code;
    this.#show('note', `try ${attempt} failed (${why}), the next in ${seconds(retry_in)}`);
  }

  chunk({ data }, text) {
    if (this.element.dataset.state !== 'streaming') this.#show('note', '');
    this.#enter('streaming');
    this.#append(chunkText(data, () => memberText(text, 'data')));
  }

  result(data, text) {
    this.#settle('result', data);
    if (data.chunks === undefined) this.#showBody(data, text);
  }

  failure(data) {
    const { code, message } = data;
    const isCancelled = code === 'cancelled';
    this.#settle(isCancelled ? code : 'failure', data);
    this.element.dataset.code = code;
    this.#show('error', isCancelled ? message : `${code}: ${message}`);
  }

  /** Show the time of a row that is under way, `now` seconds into the run. */
  tick(now) {
    if (!('done' in this.element.dataset)) this.#showTime(now);
  }

  /** Draw the bar as a share of the longest time there is. */
  scale(longest) {
    this.element.style.setProperty('--share', this.seconds / longest || 0);
  }

  #settle(state, data) {
    this.#enter(state);
    this.#parts.status.textContent = data.status ?? '';
    this.#showTime(data.elapsed ?? data.at);
    this.element.dataset.done = data.done;
    const facts = [];
    if (data.first_byte != null) facts.push(`first byte after ${seconds(data.first_byte)}`);
    if (data.attempts > 1) facts.push(`${data.attempts} tries`);
    if (data.chunks !== undefined) facts.push(data.chunks === 1 ? '1 chunk' : `${data.chunks} chunks`);
    this.#show('note', facts.join(', '));
  }

  #enter(state) {
    this.element.dataset.state = state;
    this.#parts.state.textContent = state;
  }

  #show(part, text) {
    this.#parts[part].textContent = text;
    this.#parts[part].hidden = text === '';
  }

  #showTime(time) {
    this.seconds = time;
    this.#parts.time.textContent = seconds(time);
  }

  #showBody({ body, content_type }, text) {
    const json = memberText(text, 'body') ?? 'null';
    const shown = bodyText(body, json, MAX_CHARS);
    const { details, kind, size, body: pre } = this.#parts;
    pre.textContent = shown;
    pre.setAttribute('aria-label', `the answer of ${this.element.dataset.upstream}`);
    kind.textContent = content_type || 'body';
    size.textContent = `${json.length.toLocaleString('en')} characters`;
    const lines = shown.split('\n', OPEN_LINES + 1).length;
    details.open = lines <= OPEN_LINES && shown.length <= 2_000;
    details.hidden = false;
  }

  #append({ kind, text }) {
    const { stream } = this.#parts;
    stream.hidden = false;
    // A piece with a line break is no line: this upstream sends text as it comes.
    if (kind === 'token' || (kind === 'piece' && text.includes('\n'))) stream.dataset.flow = '';
    const flows = kind !== 'line' && 'flow' in stream.dataset;
    const last = stream.lastElementChild;
    if (flows && last && last.dataset.kind !== 'line') {
      last.firstChild.appendData(text);
      if (last.firstChild.length > MAX_CHARS) last.firstChild.deleteData(0, MAX_CHARS / 2);
    } else {
      const span = document.createElement('span');
      span.dataset.kind = kind;
      span.append(document.createTextNode(text));
      stream.append(span);
      if (stream.childElementCount > MAX_LINES) stream.firstElementChild.remove();
    }
  }

  /** Scroll to what came last, unless the reader has scrolled away from it. */
  follow() {
    const { stream } = this.#parts;
    if (this.#follows && !stream.hidden) stream.scrollTop = stream.scrollHeight;
  }
}

/** Write a time for a person: `412 ms`, `1.23 s`. */
export function seconds(time) {
  return time < 0.9995 ? `${Math.round(time * 1000)} ms` : `${time.toFixed(2)} s`;
}

function isAtEnd(element) {
  return element.scrollTop + element.clientHeight >= element.scrollHeight - 8;
}
