/* The requests that are no streams. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fetchFeeds, readProblem, stopRun } from '../../static/requests.js';

/** A world whose fetch gives this answer and writes down what was asked. */
function answering(response) {
  const asked = [];
  return { asked, fetch: async (url, options) => { asked.push({ url, ...options }); return response; } };
}

const problem = (status, body) => new Response(body, {
  status,
  headers: { 'Content-Type': 'application/problem+json' },
});

test('feeds come as they are listed', async () => {
  assert.deepEqual(await fetchFeeds('feeds', answering(Response.json({ feeds: [] }))), { feeds: [] });
});

test('what keeps feeds from being listed is the message', async () => {
  const world = answering(problem(401, '{"detail":"who are you?"}'));
  await assert.rejects(fetchFeeds('feeds', world), { message: 'who are you?' });
});

test('a run is stopped with DELETE', async () => {
  const world = answering(new Response(null, { status: 204 }));
  await stopRun('runs/r', world);
  assert.deepEqual([world.asked[0].url, world.asked[0].method], ['runs/r', 'DELETE']);
});

test('what keeps a run from being stopped is the message', async () => {
  const world = answering(problem(403, '{"detail":"not yours"}'));
  await assert.rejects(stopRun('runs/r', world), { message: 'not yours' });
});

test('a problem keeps its members', async () => {
  const read = await readProblem(problem(422, '{"detail":"too long","parameter":"name"}'));
  assert.deepEqual(read, { detail: 'too long', parameter: 'name' });
});

test('a problem without a detail says its title', async () => {
  assert.equal((await readProblem(problem(404, '{"title":"Unknown feed"}'))).detail, 'Unknown feed');
});

test('a problem that cannot be read says its status', async () => {
  const page = new Response('<h1>', { status: 500 });
  for (const response of [problem(500, '{broken'), problem(500, 'null'), page]) {
    assert.match((await readProblem(response)).detail, /status 500/);
  }
});
