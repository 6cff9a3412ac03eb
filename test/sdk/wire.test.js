import assert from 'node:assert/strict';
import test from 'node:test';
import WebSocket from 'ws';

import { collect, connected, encode, next, range, subscribed } from './lib.js';

/** A client that remembers what its socket agreed on and received. */
async function watched(t, user, options = {}) {
  const seen = { extensions: '', frames: [] };
  class Watched extends WebSocket {
    constructor(...args) {
      super(...args);
      this.addEventListener('open', () => { seen.extensions = this.extensions; });
      this.addEventListener('message', ({ data }) => seen.frames.push(Buffer.from(data).toString()));
    }
  }
  const client = await connected(t, user, { websocket: Watched, ...options });
  return { client, seen };
}

const long = 'what is said again and again is short '.repeat(100);

test('messages are compressed for those who offer it, and reach those who do not', async (t) => {
  const { client: ada, seen } = await watched(t, 'ada');
  assert.match(seen.extensions, /^permessage-deflate/);
  class Bare extends WebSocket {
    constructor(url, protocols) { super(url, protocols, { perMessageDeflate: false }); }
  }
  const bob = await connected(t, 'bob', { websocket: Bare, direct: true });
  const [atAda, atBob] = [await subscribed(ada, 'plain:talk'), await subscribed(bob, 'plain:talk')];
  const [gotAda, gotBob] = [collect(atAda), collect(atBob)];
  for (const text of [long, 'short', long + long + long, '🎉'.repeat(500)]) {
    await atAda.publish(encode(text)); // Compressed as well.
    await Promise.all([gotAda.until(text), gotBob.until(text)]);
  }
});

test('a channel is a number for those who may, and a name for the others', async (t) => {
  const { client: ada, seen } = await watched(t, 'ada');
  const { client: bob, seen: seenByBob } = await watched(t, 'bob', { direct: true });
  const first = await subscribed(ada, 'numbers:one', { joinLeave: true });
  const second = await subscribed(ada, 'numbers:two');
  const came = next(first, 'join', ({ info }) => info.user === 'bob');
  const atBob = await subscribed(bob, 'numbers:one');
  assert.equal((await came).info.client, bob.session);
  const [got, other] = [collect(first), collect(second)];
  const heard = collect(atBob);
  await first.publish(encode('in one'));
  await second.publish(encode('in two'));
  await Promise.all([got.until('in one'), other.until('in two'), heard.until('in one')]);
  assert.deepEqual(got.map(({ data }) => data), ['in one']);
  assert.deepEqual(other.map(({ data }) => data), ['in two']);
  const gone = next(first, 'leave', ({ info }) => info.user === 'bob');
  atBob.unsubscribe();
  await gone;
  if (process.env.ZENCONN_BUILD === 'json') { // The Protobuf build does not find subscriptions by a number, so it gets names.
    for (const frame of [...seen.frames, ...seenByBob.frames]) assert.doesNotMatch(frame, /numbers:/);
  }

  const { client: eve, seen: seenByEve } = await watched(t, 'eve');
  const named = collect(await subscribed(eve, 'plain:one'));
  await eve.publish('plain:one', encode('by name'));
  await named.until('by name');
  assert.ok(seenByEve.frames.some((frame) => frame.includes('plain:one')));
});

test('publications that wait for others come together, in order, and are recovered', async (t) => {
  const { client: ada, seen } = await watched(t, 'ada');
  const bob = await connected(t, 'bob', { direct: true });
  const subscription = await subscribed(ada, 'ticks:fast');
  const got = collect(subscription);
  await Promise.all(range(1, 200).map((n) => bob.publish('ticks:fast', encode(n))));
  await got.until(200);
  assert.deepEqual(got.map(({ data }) => data), range(1, 200));
  assert.deepEqual(got.map(({ offset }) => offset), range(1, 200));
  assert.ok(seen.frames.length < 100, `${seen.frames.length} frames for 200 publications`);

  ada.disconnect();
  await Promise.all(range(201, 210).map((n) => bob.publish('ticks:fast', encode(n))));
  const back = next(subscription, 'subscribed');
  ada.connect();
  const { wasRecovering, recovered } = await back;
  assert.ok(wasRecovering && recovered);
  await bob.publish('ticks:fast', encode(211));
  await got.until(211);
  assert.deepEqual(got.map(({ data }) => data), range(1, 211));
});

test('of a state only the newest comes', async (t) => {
  const ada = await connected(t, 'ada');
  const subscription = await subscribed(ada, 'state:x');
  const got = collect(subscription);
  await Promise.all(range(1, 50).map((n) => ada.publish('state:x', encode(n))));
  await got.until(50);
  assert.ok(got.length < 50, `${got.length} of 50 publications came`);
  assert.deepEqual(got.map(({ data }) => data), got.map(({ data }) => data).toSorted((a, b) => a - b));
});
