/* What of an event's data is shown as text. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { bodyText, chunkText, indentJson, memberText } from '../../static/body-text.js';

const sse = (data, event = 'message') => ({ event, data, id: '' });
const delta = (content) => sse(JSON.stringify({ choices: [{ index: 0, delta: { content } }] }));

test('a member is cut out as it was written', () => {
  const body = '{"n":12345678901234567890,"f":1.50}';
  assert.equal(memberText(`{"at":0.1,"body":${body},"of":4}`, 'body'), body);
});

test('a member can stand first, last and alone', () => {
  assert.equal(memberText('{"body":1,"a":2}', 'body'), '1');
  assert.equal(memberText('{"a":2,"body": "x" }', 'body'), '"x"');
  assert.equal(memberText('{"body":[]}', 'body'), '[]');
});

test('a member of a deeper object is not taken for it', () => {
  assert.equal(memberText('{"a":{"body":1},"b":["body",{"body":2}]}', 'body'), null);
});

test('a value that looks like the member is not taken for it', () => {
  assert.equal(memberText('{"a":"body","body":"b"}', 'body'), '"b"');
});

test('marks inside strings are text', () => {
  assert.equal(memberText('{"a":"}],\\"body\\":1","body":"{\\\\"}', 'body'), '"{\\\\"');
});

test('the last of duplicate members counts', () => {
  assert.equal(memberText('{"body":1,"body":2}', 'body'), '2');
});

test('a name written with escapes is found', () => {
  assert.equal(memberText('{"b\\u006fdy":1}', 'body'), '1');
});

test('JSON is spread over lines with each value as written', () => {
  assert.equal(
    indentJson('{"10":1,"2":[1.50,12345678901234567890],"s":"a, {b}: \\"c\\""}'),
    '{\n  "10": 1,\n  "2": [\n    1.50,\n    12345678901234567890\n  ],\n  "s": "a, {b}: \\"c\\""\n}',
  );
});

test('JSON is indented as JSON.stringify does it', () => {
  const values = [{}, [], [[]], { a: {} }, [1, [2, { b: [] }]], null, true, -1.5e3, 'x', { a: [{}, {}] }];
  for (const value of values) {
    assert.equal(indentJson(JSON.stringify(value)), JSON.stringify(value, null, 2));
  }
});

test('a long string is no trouble', () => {
  const long = JSON.stringify({ body: 'a"\\'.repeat(2_000_000) });
  assert.equal(memberText(long, 'body').length, long.length - '{"body":}'.length);
});

test('indenting stops at its bound, however deep the value', () => {
  const deep = `${'['.repeat(500_000)}${']'.repeat(500_000)}`;
  assert.ok(indentJson(deep, 10_000).length < 12_000);
});

test('a body over its bound is cut, and says so', () => {
  assert.equal(bodyText('abcdef', '"abcdef"', 3), 'abc\n…');
  assert.equal(bodyText([100], '[100]', 6), '[\n  10\n…');
});

test('a text body is shown as it is', () => assert.equal(bodyText('a\n"b"', '"a\\n\\"b\\""'), 'a\n"b"'));

test('a JSON body is shown from its text', () => assert.equal(bodyText([1], '[1.0]'), '[\n  1.0\n]'));

test('the text of a chat completion flows', () => {
  assert.deepEqual(chunkText(delta('Hel')), { kind: 'token', text: 'Hel' });
});

test('a chat completion without text adds none', () => {
  assert.deepEqual(chunkText(delta(undefined)), { kind: 'token', text: '' });
  assert.deepEqual(chunkText(sse('{"choices":[]}')), { kind: 'token', text: '' });
  assert.deepEqual(chunkText(delta({ not: 'text' })), { kind: 'token', text: '' });
});

test('another event of an upstream is a line, with its type', () => {
  assert.deepEqual(chunkText(sse('hello')), { kind: 'line', text: 'hello' });
  assert.deepEqual(chunkText(sse('{"a":1}', 'tick')), { kind: 'line', text: 'tick: {"a":1}' });
  assert.deepEqual(chunkText(sse('{broken')), { kind: 'line', text: '{broken' });
});

test('text is a piece', () => assert.deepEqual(chunkText('abc'), { kind: 'piece', text: 'abc' }));

test('any other value is a line, as written', () => {
  const written = '{"n":12345678901234567890}';
  assert.deepEqual(chunkText(JSON.parse(written), () => written), { kind: 'line', text: written });
  assert.deepEqual(chunkText(null, () => 'null'), { kind: 'line', text: 'null' });
});
