import assert from 'node:assert/strict';
import test from 'node:test';

import { connected, encode, newClient, next, refused, subscribed, token } from './lib.js';

const DAY = 24 * 3600;

/** Why a client was sent away for good. */
async function sentAway(t, options) {
  const client = newClient(t, options);
  const end = next(client, 'disconnected');
  client.connect();
  const { code, reason } = await end;
  assert.notEqual(reason, '');
  return code;
}

test('a token says who the client is and what others see of it', async (t) => {
  const ada = await connected(t, 'ada', { token: token({ sub: 'ada', info: { colour: 'green' } }) });
  const bob = await connected(t, 'bob');
  const subscription = await subscribed(bob, 'who');
  const heard = next(subscription, 'publication');
  await ada.publish('who', encode('me'));
  const { info } = await heard;
  assert.equal(info.user, 'ada');
  const seen = info.connInfo instanceof Uint8Array ? JSON.parse(new TextDecoder().decode(info.connInfo)) : info.connInfo;
  assert.deepEqual(seen, { colour: 'green' });
});

test('a client nobody vouches for is sent away', async (t) => {
  assert.equal(await sentAway(t, {}), 101);
  assert.equal(await sentAway(t, { token: 'nonsense' }), 3500);
  assert.equal(await sentAway(t, { token: token({ sub: 'ada' }, 'another secret of the right length!') }), 3500);
  assert.equal(await sentAway(t, { token: token({ sub: 'ada', nbf: Math.floor(Date.now() / 1000) + DAY }) }), 3500);
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${token({ sub: 'ada' }).split('.')[1]}.`;
  assert.equal(await sentAway(t, { token: unsigned }), 3500);
});

test('an expired token is renewed', async (t) => {
  let asked = 0;
  const renew = async () => {
    asked++;
    return token({ sub: 'ada' });
  };
  await connected(t, 'ada', { token: token({ sub: 'ada', ttl: -DAY }), getToken: renew });
  assert.equal(asked, 1);
});

test('a connection outlives its token by refreshing', async (t) => {
  let asked = 0;
  let third;
  const thrice = new Promise((resolve) => { third = resolve; });
  const getToken = async () => {
    if (++asked === 3) third();
    return token({ sub: 'ada', ttl: 1 });
  };
  const ada = await connected(t, 'ada', { token: '', getToken });
  let interrupted = false;
  ada.on('connecting', () => { interrupted = true; });
  // The SDK asks for the third only when the server has taken the second.
  await Promise.race([thrice, next(ada, 'disconnected').then(({ reason }) => assert.fail(reason))]);
  await ada.publish('live:x', encode('still here'));
  assert.equal(interrupted, false);
});

test('a token of somebody else refreshes nothing', async (t) => {
  // However long connecting takes, the server's leeway is longer: else she would connect as bob.
  const tokens = [token({ sub: 'ada', ttl: 1 }), token({ sub: 'bob' })];
  const ada = await connected(t, 'ada', { token: '', getToken: async () => tokens.shift() });
  assert.equal((await next(ada, 'disconnected')).code, 3500);
});

test('a subscription token opens one channel to one user', async (t) => {
  const ada = await connected(t, 'ada');
  const bob = await connected(t, 'bob');
  const forAda = token({ sub: 'ada', channel: 'private:diary' });
  await subscribed(ada, 'private:diary', { token: forAda });
  for (const [client, channel] of [[bob, 'private:diary'], [ada, 'private:letters']]) {
    const subscription = client.newSubscription(channel, { token: forAda });
    const end = next(subscription, 'unsubscribed');
    subscription.subscribe();
    assert.equal((await end).code, 103, channel);
  }
});

test('a subscription outlives its token by refreshing', async (t) => {
  const ada = await connected(t, 'ada');
  let asked = 0;
  let third;
  const thrice = new Promise((resolve) => { third = resolve; });
  const getToken = async ({ channel }) => {
    assert.equal(channel, 'private:diary');
    if (++asked === 3) third();
    return token({ sub: 'ada', channel, ttl: 1 });
  };
  const subscription = await subscribed(ada, 'private:diary', { token: token({ sub: 'ada', channel: 'private:diary', ttl: -DAY }), getToken });
  let interrupted = false;
  subscription.on('subscribing', () => { interrupted = true; });
  await thrice;
  assert.equal(interrupted, false);
});

test('capabilities in a token open what they name and nothing else', async (t) => {
  const caps = [{ channels: ['private:team-*'], match: 'wildcard', allow: ['sub', 'pub'] }, { channels: ['private:board'], allow: ['sub'] }];
  const ada = await connected(t, 'ada', { token: token({ sub: 'ada', caps }) });
  const team = await subscribed(ada, 'private:team-blue');
  const heard = next(team, 'publication');
  await team.publish(encode('hello'));
  await heard;
  await subscribed(ada, 'private:board');
  await refused(ada.publish('private:board', encode('no')), 103);
  await refused(ada.publish('private:other', encode('no')), 103);
});

test('a token makes subscriptions for its client', async (t) => {
  const ada = newClient(t, { token: token({ sub: 'ada', subs: { 'private:news': {} }, channels: ['live:ticker'] }) });
  const made = [];
  ada.on('subscribed', ({ channel }) => made.push(channel));
  const ready = next(ada, 'connected');
  const both = next(ada, 'subscribed', () => made.length === 2);
  ada.connect();
  await ready;
  await both;
  assert.deepEqual(made.sort(), ['live:ticker', 'private:news']);

  const bob = await connected(t, 'bob');
  const heard = next(ada, 'publication');
  await bob.publish('live:ticker', encode(1));
  assert.equal((await heard).channel, 'live:ticker');
});
