/* Watching a feed: what is asked for, when it is asked for again, and what ends it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FeedStream, MAX_BACKOFF_MS, MAX_WAIT_MS } from '../../static/stream.js';

/** A world without network and clock: scripted answers, and timers that `pass` moves on. */
class ScriptedWorld {
  requests = [];
  #answers = [];
  #timers = new Map();
  #nextId = 1;
  #now = 0;

  constructor(...answers) {
    this.#answers = answers;
  }

  random = () => 0.5;

  fetch = (url, { signal, ...options }) => {
    this.requests.push({ url, signal, ...options });
    const answer = this.#answers.shift();
    return new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason));
      if (answer instanceof Error) reject(answer);
      else if (answer) resolve(answer instanceof LiveAnswer ? answer.response(signal) : answer);
    });
  };

  setTimeout = (call, ms) => {
    this.#timers.set(this.#nextId, { call, at: this.#now + ms });
    return this.#nextId++;
  };

  clearTimeout = (id) => this.#timers.delete(id);

  get timers() { return this.#timers.size; }

  /** Let time pass, and with it what is due. */
  async pass(ms) {
    await settle();
    this.#now += ms;
    for (const [id, { call, at }] of [...this.#timers]) {
      if (at <= this.#now && this.#timers.delete(id)) call();
    }
    await settle();
  }
}

/** A response whose body is written by the test. */
class LiveAnswer {
  #controller;
  #body = new ReadableStream({ start: (controller) => { this.#controller = controller; } });

  constructor(...texts) {
    for (const text of texts) this.say(text);
  }

  response(signal) {
    signal.addEventListener('abort', () => this.break(signal.reason));
    return new Response(this.#body, { headers: { 'Content-Type': 'text/event-stream' } });
  }

  say(text) { this.#controller.enqueue(Buffer.from(text)); return this; }
  end() { this.#controller.close(); return this; }
  break(reason = new TypeError('network')) { try { this.#controller.error(reason); } catch { /* ended */ } }
}

/** Let everything happen that waits for nothing. */
async function settle() {
  for (let i = 0; i < 20; i += 1) await new Promise((resolve) => { setImmediate(resolve); });
}

/** Watch in a world; answers what was seen and said. */
async function watch(world, options = {}) {
  const seen = [];
  const states = [];
  const stream = new FeedStream('feeds/city', {
    onEvent: (event) => seen.push(event),
    onState: (state, facts) => states.push({ state, ...facts }),
    world,
    ...options,
  });
  await settle();
  return { stream, seen, states, names: () => states.map(({ state }) => state), last: () => states.at(-1) };
}

const event = (name, data, id) => (
  `${id ? `id: ${id}\n` : ''}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
);
const start = event('start', { upstreams: ['a'] }, 'r-1');
const result = event('result', { upstream: 'a' }, 'r-2');
const done = event('done', { reason: 'finished' }, 'r-3');
const problem = (status, body = {}, headers = {}) => new Response(JSON.stringify(body), {
  status,
  headers: { 'Content-Type': 'application/problem+json', ...headers },
});

test('a stream is asked for as an event stream, past every cache', async () => {
  const world = new ScriptedWorld();
  await watch(world);
  assert.deepEqual(world.requests[0].headers, { Accept: 'text/event-stream' });
  assert.equal(world.requests[0].cache, 'no-store');
});

test('events are told with their data, their text and their id', async () => {
  const { seen } = await watch(new ScriptedWorld(new LiveAnswer(start)));
  const text = '{"upstreams":["a"]}';
  assert.deepEqual(seen, [{ event: 'start', data: { upstreams: ['a'] }, text, id: 'r-1' }]);
});

test('after done there is no further request', async () => {
  const world = new ScriptedWorld(new LiveAnswer(start, result, done).end());
  const { states, last } = await watch(world);
  await world.pass(100_000);
  assert.equal(world.requests.length, 1);
  assert.deepEqual(last(), { state: 'ended', reason: 'done' });
  assert.deepEqual(states.map(({ state }) => state), ['connecting', 'open', 'ended']);
});

test('what follows done is not told', async () => {
  const { seen } = await watch(new ScriptedWorld(new LiveAnswer(done + event('chunk', {}, 'r-4'))));
  assert.equal(seen.length, 1);
});

test('the end leaves no timer and no open connection', async () => {
  const world = new ScriptedWorld(new LiveAnswer(done));
  await watch(world);
  assert.equal(world.timers, 0);
  assert.ok(world.requests[0].signal.aborted);
});

test('a stream that ends without done is resumed from its last event', async () => {
  const world = new ScriptedWorld(new LiveAnswer(start, result).end(), new LiveAnswer(done));
  const { seen, names } = await watch(world);
  await world.pass(4_000);
  assert.equal(world.requests[1].headers['Last-Event-ID'], 'r-2');
  assert.equal(seen.length, 3);
  assert.deepEqual(names(), ['connecting', 'open', 'reconnecting', 'reconnecting', 'open', 'ended']);
});

test('a connection that breaks is resumed too', async () => {
  const broken = new LiveAnswer(start);
  const world = new ScriptedWorld(broken, new LiveAnswer(result));
  await watch(world);
  broken.break();
  await world.pass(4_000);
  assert.equal(world.requests[1].headers['Last-Event-ID'], 'r-1');
});

test('an event cut off by the break is not told', async () => {
  const { seen } = await watch(new ScriptedWorld(new LiveAnswer(start, 'event: result\ndata: {}\n').end()));
  assert.equal(seen.length, 1);
});

test('an event seen before is not told again, and does not move the place back', async () => {
  const world = new ScriptedWorld(new LiveAnswer(start, result).end(), new LiveAnswer(start).end());
  const { seen } = await watch(world);
  await world.pass(4_000);
  await world.pass(30_000);
  assert.equal(seen.length, 2);
  assert.equal(world.requests[2].headers['Last-Event-ID'], 'r-2');
});

test('numbers are compared as numbers', async () => {
  const answer = new LiveAnswer(event('chunk', {}, 'r-9'), event('chunk', {}, 'r-10'));
  const { seen } = await watch(new ScriptedWorld(answer));
  assert.equal(seen.length, 2);
});

test('an id beyond ASCII is sent as its UTF-8', async () => {
  const world = new ScriptedWorld(new LiveAnswer(event('start', {}, 'ü-1')).end());
  await watch(world);
  await world.pass(4_000);
  assert.equal(world.requests[1].headers['Last-Event-ID'], 'Ã¼-1');
});

test('reset is told, and the run after it is a new one, whatever its ids', async () => {
  const answer = new LiveAnswer(start, result, event('reset', { reason: 'trimmed' }), start);
  const { seen } = await watch(new ScriptedWorld(answer));
  assert.deepEqual(seen.map((each) => each.event), ['start', 'result', 'reset', 'start']);
});

test('beats that are events are not told', async () => {
  const { seen } = await watch(new ScriptedWorld(new LiveAnswer(start, event('ping', {}))));
  assert.equal(seen.length, 1);
});

test('data that is not of the contract is passed over', async () => {
  const answer = new LiveAnswer('id: r-1\ndata: {broken\n\n', 'event: shutdown\ndata: null\n\n', start);
  const { seen } = await watch(new ScriptedWorld(answer));
  assert.equal(seen.length, 1);
});

test('shutdown brings the client back after the time it names', async () => {
  const shutdown = event('shutdown', { reason: 'drain', reconnect_ms: 700 });
  const world = new ScriptedWorld(new LiveAnswer(start, shutdown), new LiveAnswer(done));
  const { last } = await watch(world);
  assert.deepEqual([last().state, last().waitMs], ['reconnecting', 700]);
  await world.pass(699);
  assert.equal(world.requests.length, 1);
  await world.pass(1);
  assert.equal(world.requests[1].headers['Last-Event-ID'], 'r-1');
  assert.equal(last().reason, 'done');
});

test('a retry of nothing still spreads those who come back', async () => {
  const { last } = await watch(new ScriptedWorld(new LiveAnswer('retry: 0\n\n').end()));
  assert.equal(last().waitMs, 50);
});

test('retry is the least that is waited, and the width of the jitter', async () => {
  const { last } = await watch(new ScriptedWorld(new LiveAnswer('retry: 5000\n\n').end()));
  assert.equal(last().waitMs, 5_000 + 2_500);
});

test('the wait doubles with each failure, up to its bound', async () => {
  const world = new ScriptedWorld(...Array.from({ length: 8 }, () => new TypeError('network')));
  const { states } = await watch(world);
  for (let i = 0; i < 7; i += 1) await world.pass(MAX_BACKOFF_MS);
  const waits = states.map(({ waitMs }) => waitMs).filter((ms) => ms > 0);
  assert.deepEqual(waits, [3_000, 4_000, 6_000, 10_000, 16_000, 16_000, 16_000, 16_000]);
});

test('an event makes the wait short again', async () => {
  const world = new ScriptedWorld(new TypeError(), new TypeError(), new LiveAnswer(start).end());
  const { last } = await watch(world);
  await world.pass(MAX_BACKOFF_MS);
  await world.pass(MAX_BACKOFF_MS);
  assert.equal(last().waitMs, 3_000);
});

test('204 ends it for good', async () => {
  const world = new ScriptedWorld(new Response(null, { status: 204 }));
  const { last } = await watch(world);
  assert.deepEqual(last(), { state: 'ended', reason: 'gone' });
});

for (const status of [400, 401, 403, 404, 406, 410, 422]) {
  test(`${status} ends it for good, with the problem`, async () => {
    const said = { detail: 'why', parameter: 'name' };
    const world = new ScriptedWorld(problem(status, said));
    const { last } = await watch(world);
    await world.pass(100_000);
    assert.equal(world.requests.length, 1);
    assert.deepEqual(last(), { state: 'ended', reason: 'refused', status, problem: said });
  });
}

test('a refusal without a problem document says its status', async () => {
  const { last } = await watch(new ScriptedWorld(new Response('<h1>no</h1>', { status: 404 })));
  assert.match(last().problem.detail, /404/);
});

test('503 is asked again after Retry-After', async () => {
  const full = problem(503, { detail: 'full' }, { 'Retry-After': '7' });
  const world = new ScriptedWorld(full, new LiveAnswer(done));
  const { last } = await watch(world);
  assert.deepEqual([last().state, last().waitMs, last().problem.detail], ['reconnecting', 8_000, 'full']);
  await world.pass(8_000);
  assert.equal(last().reason, 'done');
});

test('Retry-After can be a date', async () => {
  const at = new Date(Date.now() + 20_000).toUTCString();
  const { last } = await watch(new ScriptedWorld(problem(503, {}, { 'Retry-After': at })));
  assert.ok(last().waitMs > 15_000 && last().waitMs < 22_000);
});

test('a Retry-After beyond all measure is cut down', async () => {
  const { last } = await watch(new ScriptedWorld(problem(503, {}, { 'Retry-After': '9'.repeat(40) })));
  assert.equal(last().waitMs, MAX_WAIT_MS + 1_000);
});

test('503 without Retry-After, or with nonsense, and other faults of servers are waited out', async () => {
  const nonsense = problem(503, {}, { 'Retry-After': 'soon' });
  for (const answer of [problem(503), nonsense, problem(502), problem(500)]) {
    const { last } = await watch(new ScriptedWorld(answer));
    assert.deepEqual([last().state, last().waitMs], ['reconnecting', 3_000]);
  }
});

test('an answer that is no event stream ends it', async () => {
  const login = new Response('<h1>login</h1>', { headers: { 'Content-Type': 'text/html' } });
  const { last } = await watch(new ScriptedWorld(login));
  assert.equal(last().reason, 'unreadable');
});

test('a stream over a bound ends it, as it would be the same again', async () => {
  const { last } = await watch(new ScriptedWorld(new LiveAnswer(`id: ${'x'.repeat(5_000)}\n\n`)));
  assert.equal(last().reason, 'unreadable');
});

test('three beats of silence are a dead connection', async () => {
  const world = new ScriptedWorld(new LiveAnswer(start), new LiveAnswer(done));
  const { last, names } = await watch(world, { pingInterval: 10 });
  await world.pass(29_999);
  assert.equal(last().state, 'open');
  await world.pass(1);
  assert.ok(world.requests[0].signal.aborted);
  assert.equal(last().state, 'stale');
  await world.pass(last().waitMs);
  assert.deepEqual(names(), ['connecting', 'open', 'stale', 'reconnecting', 'open', 'ended']);
});

test('a beat keeps the connection, though it is no event', async () => {
  const answer = new LiveAnswer(start);
  const world = new ScriptedWorld(answer);
  const { last } = await watch(world, { pingInterval: 10 });
  for (let i = 0; i < 5; i += 1) {
    await world.pass(20_000);
    answer.say(': beat\n\n');
  }
  await settle();
  assert.equal(last().state, 'open');
});

test('a head that never comes is a dead connection too', async () => {
  const world = new ScriptedWorld(undefined);
  const { last } = await watch(world);
  await world.pass(45_000);
  assert.equal(last().state, 'stale');
});

test('closing ends the connection and asks no more', async () => {
  const world = new ScriptedWorld(new LiveAnswer(start));
  const { stream, last } = await watch(world);
  stream.close();
  await world.pass(100_000);
  assert.ok(world.requests[0].signal.aborted);
  assert.deepEqual(last(), { state: 'ended', reason: 'closed' });
  assert.equal(world.requests.length, 1);
});

test('closing while waiting ends at once', async () => {
  const world = new ScriptedWorld(new TypeError());
  const { stream, last } = await watch(world);
  stream.close();
  await settle();
  assert.equal(last().reason, 'closed');
  assert.equal(world.timers, 0);
});

test('hurry cuts a wait short', async () => {
  const world = new ScriptedWorld(new TypeError(), new LiveAnswer(done));
  const { stream, last } = await watch(world);
  stream.hurry();
  await settle();
  assert.equal(last().reason, 'done');
});

test('UTF-8 may be cut within a character', async () => {
  const answer = new LiveAnswer();
  const { seen } = await watch(new ScriptedWorld(answer));
  for (const byte of Buffer.from(event('start', { city: 'Zürich 🏔' }, 'r-1'))) answer.say([byte]);
  await settle();
  assert.equal(seen[0].data.city, 'Zürich 🏔');
});
