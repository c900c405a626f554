/*
 * Watching a feed with fetch: what EventSource does (WHATWG HTML, section 9.2), and what it cannot:
 * see a status, wait out a 503, hear beats. The contract's "Events" and "Resume". It knows no DOM.
 *
 * States told to `onState(state, facts)`:
 *   connecting    the first request is under way
 *   open          a stream is being read
 *   stale         no byte for three beats; {waitMs} until the next try
 *   reconnecting  the stream is gone; {waitMs, problem} until the next try, then under way
 *   ended         for good: {reason}, one of done, gone (204), refused {status, problem},
 *                 unreadable {detail}, closed (by us)
 */

import { createParser, StreamTooLarge } from './event-stream.js';
import { readProblem } from './requests.js';

/** Beats that may fail to come before a connection counts as dead. */
const MISSED_BEATS = 3;
/** Between connections, until the stream says another with `retry:`. */
const RETRY_MS = 2_000;
/** The longest wait that is of our own making. */
export const MAX_BACKOFF_MS = 30_000;
/** The longest wait that a server can ask for; more is cut down to it. */
export const MAX_WAIT_MS = 3_600_000;

const browser = { fetch, setTimeout, clearTimeout, random: Math.random };

export class FeedStream {
  #url; #onEvent; #onState; #silenceMs; #world;
  #lastEventId = ''; #run = null; #n = 0;
  #retryMs = RETRY_MS; #failures = 0;
  #verdict = null; // what an event has decided: {end} or {waitMs}
  #attempt = null; #wake = () => {}; #closed = false;

  /**
   * Watch `url` from now on.
   *
   * `onEvent({event, data, text, id})` gets each event once, in order, its data parsed and as
   * written. `pingInterval` is the server's, in seconds; `world` has fetch, timers and random.
   */
  constructor(url, { onEvent, onState = () => {}, pingInterval = 15, world = browser }) {
    this.#url = url;
    this.#onEvent = onEvent;
    this.#onState = onState;
    this.#silenceMs = MISSED_BEATS * pingInterval * 1000;
    this.#world = world;
    this.#live().catch((error) => {
      onState('ended', { reason: 'unreadable', detail: 'an error on this page' });
      throw error;
    });
  }

  /** Leave the stream; the run goes on as its feed says. */
  close() {
    this.#closed = true;
    this.#attempt?.abort();
    this.#wake();
  }

  /** Cut a wait short, as when the network is back. */
  hurry() {
    this.#wake();
  }

  async #live() {
    this.#onState('connecting', {});
    for (;;) {
      const { end, stale, waitMs, problem } = await this.#connect();
      if (end) return this.#onState('ended', end);
      this.#onState(stale ? 'stale' : 'reconnecting', { waitMs, problem });
      await this.#pause(waitMs);
      if (!this.#closed) this.#onState('reconnecting', {});
    }
  }

  /** One connection, from request to end; answers what follows: {end}, or {waitMs}. */
  async #connect() {
    const { fetch } = this.#world;
    const { signal } = (this.#attempt = new AbortController());
    const watchdog = this.#startWatchdog(this.#attempt);
    try {
      if (this.#closed) return { end: { reason: 'closed' } };
      const asked = { headers: this.#headers(), cache: 'no-store', signal };
      const response = await fetch(this.#url, asked).catch(() => null);
      const next = response && ((await this.#judge(response)) ?? (await this.#read(response, watchdog)));
      if (this.#closed) return { end: { reason: 'closed' } };
      return next ?? { waitMs: this.#backoff(), stale: watchdog.hasBarked };
    } finally {
      watchdog.stop();
      this.#attempt.abort(); // a response that is not read on would hold its connection
    }
  }

  #headers() {
    const headers = { Accept: 'text/event-stream' };
    // A header's value is bytes: an id beyond ASCII goes as its UTF-8, as EventSource sends it.
    const id = new TextEncoder().encode(this.#lastEventId);
    if (id.length > 0) headers['Last-Event-ID'] = String.fromCharCode(...id);
    return headers;
  }

  /** What the response's head decides; null where its body is to be read. */
  async #judge(response) {
    const { status } = response;
    if (status === 204) return { end: { reason: 'gone' } };
    if (status === 200) return isEventStream(response) ? null : unreadable('not an event stream');
    const problem = await readProblem(response);
    if (status >= 500) return { waitMs: this.#waitAsked(response), problem };
    return { end: { reason: 'refused', status, problem } };
  }

  /** Read events until the stream ends; null where it broke, or ended without a word. */
  async #read(response, watchdog) {
    this.#verdict = null;
    this.#onState('open', {});
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const parser = createParser((event) => this.#receive(event));
    while (!this.#verdict && !this.#closed) {
      // A connection that breaks and a stream that ends are the same here: come back.
      const { done, value } = await reader.read().catch(() => ({ done: true }));
      if (done) return null;
      watchdog.calm();
      const fault = feed(parser, decoder.decode(value, { stream: true }));
      if (fault) return unreadable(fault.message);
      this.#retryMs = Math.min(parser.retryMs ?? this.#retryMs, MAX_WAIT_MS);
    }
    return this.#verdict;
  }

  #receive({ event, data: text, lastEventId }) {
    if (this.#verdict || this.#closed) return;
    const data = parse(text);
    if (typeof data !== 'object' || data === null) return; // no event of the contract
    // These have no id of their own: the one that they carry is the last event's.
    if (event === 'reset') this.#run = null;
    else if (event === 'shutdown') this.#verdict = { waitMs: clamp(data.reconnect_ms ?? this.#retryMs) };
    else if (!this.#isNew(lastEventId)) return;
    this.#failures = 0;
    if (event === 'done') this.#verdict = { end: { reason: 'done' } };
    this.#onEvent({ event, data, text, id: this.#lastEventId });
  }

  /** Say whether an event `<run>-<n>` was not seen yet, and remember it. */
  #isNew(id) {
    const [, run, digits] = /^(.+)-([0-9]+)$/.exec(id) ?? [];
    const n = Number(digits);
    if (run === undefined || (run === this.#run && n <= this.#n)) return false;
    this.#run = run;
    this.#n = n;
    this.#lastEventId = id;
    return true;
  }

  /** The standard's reconnection time, and beyond it full jitter over a span that doubles. */
  #backoff() {
    const span = Math.max(this.#retryMs, 100) * 2 ** this.#failures++;
    const room = Math.max(MAX_BACKOFF_MS - this.#retryMs, 0);
    return this.#retryMs + this.#world.random() * Math.min(span, room);
  }

  #waitAsked(response) {
    const asked = response.headers.get('Retry-After') ?? '';
    const ms = /^[0-9]+$/.test(asked) ? Number(asked) * 1000 : Date.parse(asked) - Date.now();
    if (Number.isNaN(ms)) return this.#backoff();
    // All who were turned away heard the same number: spread them.
    return clamp(ms) + this.#world.random() * this.#retryMs;
  }

  #startWatchdog(attempt) {
    const { setTimeout, clearTimeout } = this.#world;
    const silenceMs = this.#silenceMs;
    const watchdog = { hasBarked: false, calm, stop: () => clearTimeout(timer) };
    let timer;
    function calm() {
      clearTimeout(timer);
      timer = setTimeout(bark, silenceMs);
    }
    function bark() {
      watchdog.hasBarked = true;
      attempt.abort();
    }
    calm();
    return watchdog;
  }

  async #pause(ms) {
    const { setTimeout, clearTimeout } = this.#world;
    let timer;
    await new Promise((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, ms);
    });
    clearTimeout(timer);
    this.#wake = () => {};
  }
}

function isEventStream(response) {
  return /^text\/event-stream\s*(;|$)/i.test(response.headers.get('Content-Type') ?? '');
}

function unreadable(detail) {
  return { end: { reason: 'unreadable', detail } };
}

/** Feed a piece; answers the bound that was passed, if one was. */
function feed(parser, text) {
  try {
    return parser.feed(text);
  } catch (error) {
    if (error instanceof StreamTooLarge) return error;
    throw error;
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function clamp(ms) {
  return Math.min(Math.max(Number(ms) || 0, 0), MAX_WAIT_MS);
}
