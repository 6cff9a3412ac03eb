// What the server API does to sessions, seen through the public SDK.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connected, decode, next, subscribed } from './lib.js';

/** Calls a method and returns its result. */
async function call(method, request) {
  const answer = await fetch(`${process.env.ZENCONN_API_URL}/api/${method}`, {
    method: 'POST',
    headers: { 'X-API-Key': process.env.ZENCONN_API_KEY },
    body: JSON.stringify(request),
  });
  const { result, error } = await answer.json();
  assert.equal(error, undefined);
  return result;
}

test('a publication arrives, with its tags and without a publisher', async (t) => {
  const client = await connected(t, 'alice');
  const subscription = await subscribed(client, 'api-news');
  const arrived = next(subscription, 'publication');
  const { offset } = await call('publish', { channel: 'api-news', data: { text: 'hello' }, tags: { lang: 'en' } });
  const publication = await arrived;
  assert.deepEqual(decode(publication.data), { text: 'hello' });
  assert.deepEqual({ ...publication.tags }, { lang: 'en' });
  assert.equal(publication.info, undefined);
  assert.equal(Number(publication.offset), offset);
});

test('a server-side subscription begins, recovers, delivers and ends', async (t) => {
  await call('publish', { channel: 'api-room', data: 1 });
  const { offset, epoch } = await call('publish', { channel: 'api-room', data: 2 });
  const client = await connected(t, 'bob');
  const begun = next(client, 'subscribed', ({ channel }) => channel === 'api-room');
  const got = [];
  client.on('publication', ({ data }) => got.push(decode(data)));
  const third = next(client, 'publication', ({ data }) => decode(data) === 3);
  await call('subscribe', { user: 'bob', channel: 'api-room', data: { why: 'test' }, recover_since: { offset: offset - 1, epoch } });
  const context = await begun;
  assert.deepEqual(decode(context.data), { why: 'test' });
  assert.equal(context.recoverable, true);
  await call('publish', { channel: 'api-room', data: 3 });
  await third;
  assert.deepEqual(got, [2, 3]);
  const ended = next(client, 'unsubscribed', ({ channel }) => channel === 'api-room');
  await call('unsubscribe', { user: 'bob', channel: 'api-room' });
  await ended;
});

test('a client-side subscription is ended for good', async (t) => {
  const client = await connected(t, 'carol');
  const subscription = await subscribed(client, 'api-news');
  const ended = next(subscription, 'unsubscribed');
  await call('unsubscribe', { client: client.session, channel: 'api-news' });
  assert.equal((await ended).code, 2000);
});

test('a message reaches the user, in no channel', async (t) => {
  const client = await connected(t, 'dave');
  const arrived = next(client, 'message');
  assert.deepEqual(await call('send', { user: 'dave', data: { text: 'for you' } }), { sessions: 1 });
  assert.deepEqual(decode((await arrived).data), { text: 'for you' });
});

test('a disconnect says whether to come back', async (t) => {
  const client = await connected(t, 'eve');
  const back = next(client, 'connected');
  const connecting = next(client, 'connecting');
  await call('disconnect', { user: 'eve', disconnect: { code: 4000, reason: 'come back' } });
  assert.equal((await connecting).code, 4000);
  await back;
  const gone = next(client, 'disconnected');
  await call('disconnect', { user: 'eve' });
  assert.deepEqual([(await gone).code], [3503]);
});

// The SDK does not listen to the push that tells a new time of expiry. A session that ends as expired comes back with the token it has.
test('a new time of expiry does no harm, and an expired session comes back', async (t) => {
  const client = await connected(t, 'frank');
  const message = next(client, 'message');
  await call('refresh', { user: 'frank', expire_at: Math.floor(Date.now() / 1000) + 3600 });
  await call('send', { user: 'frank', data: 'still there' });
  assert.equal(decode((await message).data), 'still there');
  const connecting = next(client, 'connecting');
  const back = next(client, 'connected');
  await call('refresh', { user: 'frank', expired: true });
  assert.equal((await connecting).code, 3005);
  await back;
});
