import assert from 'node:assert/strict';
import test from 'node:test';

import { becomes, collect, connected, control, encode, newClient, next, refused, subscribed, token } from './lib.js';

test('a session may have only so many channels', async (t) => {
  const ada = await connected(t, 'ada');
  for (let n = 1; n <= 8; n++) await subscribed(ada, `live:${n}`);
  const ninth = ada.newSubscription('live:9');
  const end = next(ninth, 'unsubscribed');
  ninth.subscribe();
  assert.equal((await end).code, 106);
  ada.getSubscription('live:1').unsubscribe();
  const ready = next(ninth, 'subscribed');
  ninth.subscribe();
  await ready;
});

test('a user may have only so many sessions', async (t) => {
  for (let n = 1; n <= 3; n++) await connected(t, 'carol');
  const fourth = newClient(t, { token: token({ sub: 'carol' }) });
  const knock = async () => {
    const answer = Promise.race([next(fourth, 'connected'), next(fourth, 'disconnected')]);
    fourth.connect();
    const { code } = await answer;
    fourth.disconnect();
    return code;
  };
  // Of several processes one may be silent for a moment, and then its sessions are not counted.
  if (process.env.ZENCONN_TOPOLOGY) await becomes(knock, 3504);
  else assert.equal(await knock(), 3504);
  await connected(t, 'dave'); // Nobody else notices.
});

test('a frame that is too large ends the connection for good', async (t) => {
  const ada = await connected(t, 'ada');
  const end = next(ada, 'disconnected');
  ada.publish('live:x', encode('x'.repeat(70_000))).catch(() => {});
  assert.equal((await end).code, 3); // What the SDK makes of close code 1009.
});

if (process.env.ZENCONN_BUILD === 'protobuf') { // The JSON build has no way to send this.
  test('data that is not JSON is refused and reaches nobody', async (t) => {
    const ada = await connected(t, 'ada');
    const subscription = await subscribed(ada, 'live:x');
    const got = collect(subscription);
    await refused(subscription.publish(new TextEncoder().encode('{"open":')), 107);
    await subscription.publish(encode('good'));
    await got.until('good');
    assert.equal(got.length, 1);
  });
}

test('a server that shuts down says so, and clients come back with their subscriptions', async (t) => {
  const ada = await connected(t, 'ada');
  const subscription = await subscribed(ada, 'room');
  const got = collect(subscription);
  const away = next(ada, 'connecting');
  await control('stop');
  const { code, reason } = await away;
  assert.deepEqual({ code, reason }, { code: 3001, reason: 'shutdown' });
  const back = next(subscription, 'subscribed');
  await control('run');
  await back;
  await subscription.publish(encode('after the restart'));
  await got.until('after the restart');
});

test('clients survive a server that dies', async (t) => {
  const ada = await connected(t, 'ada');
  const durable = await subscribed(ada, 'room');
  const fleeting = await subscribed(ada, 'memory:room');
  const away = next(ada, 'connecting');
  await control('kill');
  assert.equal((await away).code, 1); // The SDK's own: transport closed.
  const back = [next(durable, 'subscribed'), next(fleeting, 'subscribed')];
  await control('run');
  const [kept, gone] = (await Promise.all(back)).map(({ wasRecovering, recovered }) => ({ wasRecovering, recovered }));
  assert.deepEqual(kept, { wasRecovering: true, recovered: true });
  // What was in the memory of the server is gone, and the client is told rather than left to believe it missed nothing. A bus elsewhere
  // still has it.
  assert.deepEqual(gone, { wasRecovering: true, recovered: process.env.ZENCONN_TOPOLOGY === 'agents' });
});
